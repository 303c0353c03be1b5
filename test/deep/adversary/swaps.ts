import { ristretto255 } from '@noble/curves/ed25519.js'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import nacl from 'tweetnacl'
import { checkSymbol } from '../../../src/crypto/pairing-code.ts'
import type { JoinRequest } from '../../../src/protocol/requests.ts'
import { SYMBOLS } from './budgets.ts'
import type { Case } from './cases.ts'
import { negative } from './impostors.ts'
import { lieAboutRow, type Message, pinned, swapField } from './operators.ts'
import type { Operator } from './relay.ts'
import type { Seed } from './seed.ts'

/** A value of the attacker in the place of an honest one, good in itself. */

const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
const anyKey = (seed: Seed) => nacl.scalarMult.base(seed.bytes(32))
const anyCode = (seed: Seed) => Array.from({ length: 6 }, () => SYMBOLS[seed.below(32)]).join('')
const anyPoint = (seed: Seed) => ristretto255.Point.BASE.multiply(BigInt(1 + seed.below(1e9))).toBytes()
const anyEk = (seed: Seed) => ml_kem768.keygen(seed.bytes(64)).publicKey
const anyCt = (seed: Seed) => ml_kem768.encapsulate(anyEk(seed), seed.bytes(32)).cipherText
const any32 = (seed: Seed) => seed.bytes(32)

/** [name, message, index of the field, attacker's value] */
const FIELDS: readonly [string, Message, number, (seed: Seed) => Uint8Array][] = [
  ['n_R', 'm1', 0, any32],
  ['commit_R', 'm1', 1, any32],
  ['ek', 'm1', 2, anyEk],
  ['X_S', 'm2', 0, anyKey],
  ['commit_S', 'm2', 1, any32],
  ['Ya', 'm2', 2, anyPoint],
  ['ct', 'm2', 3, anyCt],
  ['Yb', 'm3', 0, anyPoint],
  ['T_R', 'm3', 1, any32],
  ['n_S', 'm4', 0, any32],
  ['T_S', 'm4', 1, any32],
]

/** What each message's change leads to: m1 breaks the commitment, m2 and T_R cost a guess, m4 fails at the receiver. */
function expected(name: string, message: Message): Pick<Case, 'sender' | 'receiver'> {
  if (message === 'm4') return { sender: ['waits', 1, 0], receiver: ['wrong_code', 0, 1] }
  const guesses = message === 'm2' || name === 'T_R' ? 1 : 0
  return { sender: [guesses > 0 ? 'wrong_code' : 'peer_misbehaved', 0, guesses], receiver: ['wrong_code', 0, 1] }
}

const swaps: Case[] = FIELDS.map(([name, message, field, attacker]) => ({
  operator: `swap ${name}`,
  against: message === 'm1' || message === 'm3' ? 'sender' : 'receiver',
  plan: (seed) => ({ operators: () => [swapField(message, field, () => attacker(seed))] }),
  ...expected(name, message),
}))

/** Another spelling of the same key: X25519 ignores the last bit, and dh stays what it was. */
const ignoredBit = (key: Uint8Array) => Uint8Array.from(key, (byte, i) => (i === 31 ? byte ^ 0x80 : byte))

const join = (change: (seed: Seed, request: JoinRequest) => object) => (seed: Seed) => {
  const attacker: Operator = { name: 'join', join: (request) => ({ ...request, ...change(seed, request) }) }
  return { operators: () => [attacker] }
}

export const swapCases: Case[] = [
  ...swaps,
  {
    operator: 'swap X_R',
    against: 'sender',
    plan: join((seed) => ({ publicKey: base64url(anyKey(seed)) })),
    sender: ['peer_misbehaved', 0, 0],
    receiver: ['wrong_code', 0, 1],
  },
  {
    operator: 'spell X_R in another way',
    against: 'sender',
    plan: join((_, { publicKey }) => ({ publicKey: base64url(ignoredBit(Buffer.from(publicKey, 'base64url'))) })),
    sender: ['peer_misbehaved', 0, 0],
    receiver: ['wrong_code', 0, 1],
  },
  {
    operator: 'spell X_S in another way',
    against: 'receiver',
    plan: () => ({ operators: () => [swapField('m2', 0, ignoredBit)] }),
    sender: ['wrong_code', 0, 1],
    receiver: ['wrong_code', 0, 1],
  },
  {
    operator: 'spell Ya in another way',
    against: 'receiver',
    plan: () => ({ operators: () => [swapField('m2', 2, negative)] }),
    sender: ['waits', 0, 0],
    receiver: ['wrong_code', 0, 0],
  },
  {
    operator: 'swap X_R in its own view',
    against: 'receiver',
    plan: (seed) => ({ operators: () => [lieAboutRow('receiver', { publicKey: base64url(anyKey(seed)) })] }),
    sender: ['waits', 0, 0],
    receiver: ['relay_misbehaved', 0, 0],
  },
  {
    operator: 'swap receiver code',
    against: 'sender',
    plan: join((seed) => ({ receiverCode: anyCode(seed) })),
    sender: ['peer_misbehaved', 0, 0],
    receiver: ['wrong_code', 0, 1],
  },
  {
    operator: 'swap receiver code in its own view',
    against: 'receiver',
    plan: (seed) => ({ operators: () => [lieAboutRow('receiver', { receiverCode: anyCode(seed) }, pinned())] }),
    sender: ['not_delivered', 1, 0],
    receiver: ['relay_misbehaved', 1, 1],
  },
  {
    operator: 'swap session id',
    against: 'receiver',
    plan: (seed) => {
      const attacker = base64url(seed.bytes(16))
      return { operators: () => [{ name: 'id', joined: (answer) => ({ ...answer, sessionId: attacker }) }] }
    },
    sender: ['wrong_code', 0, 1],
    receiver: ['wrong_code', 0, 1],
  },
  {
    operator: 'swap session id',
    against: 'sender',
    plan: (seed) => {
      const attacker = base64url(seed.bytes(16))
      return { operators: () => [{ name: 'id', created: (answer) => ({ ...answer, sessionId: attacker }) }] }
    },
    sender: ['wrong_code', 0, 1],
    receiver: ['wrong_code', 0, 1],
  },
  {
    operator: 'serve each side a session id of its own',
    against: 'receiver',
    plan: (seed) => {
      const [one, two] = [base64url(seed.bytes(16)), base64url(seed.bytes(16))]
      const attacker: Operator = {
        name: 'ids',
        created: (answer) => ({ ...answer, sessionId: one }),
        joined: (answer) => ({ ...answer, sessionId: two }),
      }
      return { operators: () => [attacker] }
    },
    sender: ['wrong_code', 0, 1],
    receiver: ['wrong_code', 0, 1],
  },
  {
    // The same 16 bytes in base64url whose last character has a bit too many.
    operator: 'spell the session id in another way',
    against: 'receiver',
    plan: () => {
      const attacker = (id: string) => id.slice(0, -1) + String.fromCharCode(id.charCodeAt(id.length - 1) + 1)
      return {
        operators: () => [{ name: 'id', joined: (answer) => ({ ...answer, sessionId: attacker(answer.sessionId) }) }],
      }
    },
    sender: ['handshake_timeout', 0, 0],
    receiver: ['relay_unreachable', 0, 0],
  },
  {
    // The same secret half under another locator: only CI tells the two codes apart.
    operator: 'swap locator',
    against: 'sender',
    plan: () => ({
      typed: (code) => {
        const ten = SYMBOLS[(SYMBOLS.indexOf(code[0]) + 1) % 32] + code.slice(1, 5) + code.slice(6, 11)
        return `${ten}${checkSymbol(ten)}`
      },
      operators: () => {
        const attacker: Operator = {
          name: 'locator',
          join: (request, relay) => ({ ...request, senderCode: relay.meeting.locator }),
        }
        return [attacker]
      },
    }),
    sender: ['wrong_code', 0, 1],
    receiver: ['wrong_code', 0, 1],
  },
]

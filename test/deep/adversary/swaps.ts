import { ristretto255 } from '@noble/curves/ed25519.js'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import nacl from 'tweetnacl'
import { checkSymbol } from '../../../src/crypto/pairing-code.ts'
import type { JoinRequest } from '../../../src/protocol/requests.ts'
import { SYMBOLS } from './budgets.ts'
import { attack, BROKEN, type Case, ends, GUESSED, UNANSWERED, UNPROVEN } from './cases.ts'
import { negative } from './impostors.ts'
import { lieAboutRow, type Message, pinned, swapField } from './operators.ts'
import type { Operator } from './relay.ts'
import type { Seed } from './seed.ts'

/** A value of the attacker in the place of an honest one, good in itself. */

const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
const anyKey = (seed: Seed) => nacl.scalarMult.base(seed.bytes(32))
export const anyCode = (seed: Seed) => Array.from({ length: 6 }, () => SYMBOLS[seed.below(32)]).join('')
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

/** Where each message's change shows: m1 breaks the commitment, m2 and T_R cost a guess, m4 fails at the receiver. */
const swaps = FIELDS.map(([name, message, field, attacker]) =>
  attack(
    `swap ${name}`,
    message === 'm1' || message === 'm3' ? 'sender' : 'receiver',
    message === 'm4' ? UNPROVEN : message === 'm2' || name === 'T_R' ? GUESSED : BROKEN,
    ({ seed }) => [swapField(message, field, () => attacker(seed))],
  ),
)

/** Another spelling of the same key: X25519 ignores the last bit, and dh stays what it was. */
const ignoredBit = (key: Uint8Array) => Uint8Array.from(key, (byte, i) => (i === 31 ? byte ^ 0x80 : byte))

const join = (change: (request: JoinRequest) => object): Operator => ({
  name: 'join',
  join: (request) => ({ ...request, ...change(request) }),
})
const id = (hook: 'created' | 'joined', change: (id: string) => string): Operator => ({
  name: 'id',
  [hook]: <T extends { readonly sessionId: string }>(answer: T): T => ({
    ...answer,
    sessionId: change(answer.sessionId),
  }),
})
/** The same 16 bytes in base64url whose last character has a bit too many. */
const respelt = (id: string) => id.slice(0, -1) + String.fromCharCode(id.charCodeAt(id.length - 1) + 1)
/** The same secret half under another locator: only CI tells the two codes apart. */
const relocated = (code: string) => {
  const ten = SYMBOLS[(SYMBOLS.indexOf(code[0]) + 1) % 32] + code.slice(1, 5) + code.slice(6, 11)
  return `${ten}${checkSymbol(ten)}`
}

export const swapCases: Case[] = [
  ...swaps,
  attack('swap X_R', 'sender', BROKEN, ({ seed }) => [join(() => ({ publicKey: base64url(anyKey(seed)) }))]),
  attack('spell X_R in another way', 'sender', BROKEN, () => [
    join(({ publicKey }) => ({ publicKey: base64url(ignoredBit(Buffer.from(publicKey, 'base64url'))) })),
  ]),
  attack('spell X_S in another way', 'receiver', GUESSED, () => [swapField('m2', 0, ignoredBit)]),
  attack('spell Ya in another way', 'receiver', UNANSWERED, () => [swapField('m2', 2, negative)]),
  attack('swap X_R in its own view', 'receiver', ends(['waits', 0, 0], ['relay_misbehaved', 0, 0]), ({ seed }) => [
    lieAboutRow('receiver', { publicKey: base64url(anyKey(seed)) }),
  ]),
  attack('swap receiver code', 'sender', BROKEN, ({ seed }) => [join(() => ({ receiverCode: anyCode(seed) }))]),
  attack(
    'swap receiver code in its own view',
    'receiver',
    ends(['not_delivered', 1, 0], ['relay_misbehaved', 1, 1]),
    ({ seed }) => [lieAboutRow('receiver', { receiverCode: anyCode(seed) }, pinned())],
  ),
  attack('swap session id', 'receiver', GUESSED, ({ seed }) => {
    const attacker = base64url(seed.bytes(16))
    return [id('joined', () => attacker)]
  }),
  attack('swap session id', 'sender', GUESSED, ({ seed }) => {
    const attacker = base64url(seed.bytes(16))
    return [id('created', () => attacker)]
  }),
  attack('serve each side a session id of its own', 'receiver', GUESSED, ({ seed }) => {
    const [one, two] = [base64url(seed.bytes(16)), base64url(seed.bytes(16))]
    return [id('created', () => one), id('joined', () => two)]
  }),
  attack(
    'spell the session id in another way',
    'receiver',
    ends(['handshake_timeout', 0, 0], ['relay_unreachable', 0, 0]),
    () => [id('joined', respelt)],
  ),
  attack('swap locator', 'sender', GUESSED, ({ relay }) => [join(() => ({ senderCode: relay.meeting.locator }))], {
    typed: relocated,
  }),
]

import type { Role } from '../../../src/protocol/view.ts'
import type { Case } from './cases.ts'
import { MESSAGES, type Message, messages, nothing, onMessage, saying, swapField } from './operators.ts'
import { type Flying, type Operator, other, type Relay } from './relay.ts'
import { play } from './scenario.ts'
import { Seed } from './seed.ts'

/** What was said before, said again: in another run, in another session, or to whoever said it. */

let recorded: Promise<Relay> | undefined

/** A relay that has seen a whole pairing under another code. */
export function recording(): Promise<Relay> {
  recorded ??= play({ seed: new Seed('recording') }).then(({ relay }) => relay)
  return recorded
}

export function recordedFrame({ frames }: Relay, from: Role, seq: number): Uint8Array {
  const frame = frames.find((each) => each.from === from && each.seq === seq)
  if (!frame) throw new Error(`nobody said ${from} ${seq}`)
  return frame.ciphertext
}

const recordedMessage = (relay: Relay, message: Message) =>
  recordedFrame(relay, MESSAGES[message].from, MESSAGES[message].seq)

const replay = (message: Message, attacker: Uint8Array): Operator => onMessage(message, saying(attacker))

/** An old m1 breaks the commitment in m3, an old nonce is known; an old m2 or tag costs a guess; an old m4 fails at the receiver. */
const AFTER: Record<Message, Pick<Case, 'against' | 'sender' | 'receiver'>> = {
  m1: { against: 'sender', sender: ['peer_misbehaved', 0, 0], receiver: ['wrong_code', 0, 1] },
  m2: { against: 'receiver', sender: ['wrong_code', 0, 1], receiver: ['wrong_code', 0, 1] },
  m3: { against: 'sender', sender: ['peer_misbehaved', 0, 0], receiver: ['wrong_code', 0, 1] },
  m4: { against: 'receiver', sender: ['waits', 1, 0], receiver: ['wrong_code', 0, 1] },
}

/** The nonce of an old m1 of this session is known: it is not even answered, and the receiver has nothing to answer. */
const UNANSWERED = { ...AFTER.m1, receiver: ['wrong_code', 0, 0] } as const

const replays: Case[] = messages.flatMap((message) => [
  {
    operator: `replay ${message} of another run`,
    plan: () => ({ rehearsed: true, operators: (relay) => [replay(message, recordedMessage(relay, message))] }),
    ...(message === 'm1' ? UNANSWERED : AFTER[message]),
  },
  {
    operator: `replay ${message} of another session`,
    plan: async () => {
      const attacker = recordedMessage(await recording(), message)
      return { operators: () => [replay(message, attacker)] }
    },
    ...AFTER[message],
  },
])

/** Says to a device what it has just said, instead of carrying it on. */
const reflect = (message: Message, length: number): Operator =>
  onMessage(message, (frame: Flying, relay) => {
    const attacker = { ...frame, from: other(frame.from), ciphertext: frame.ciphertext.subarray(0, length) }
    relay.deliver(attacker)
    return []
  })

/** [what is reflected, as what, in which message, where it comes from] */
const FIELDS: readonly (readonly [string, string, Message, number, (relay: Relay) => Uint8Array])[] = [
  ['X_R', 'X_S', 'm2', 0, ({ meeting }) => Buffer.from(meeting.guests[0].ownKey, 'base64url')],
  ['commit_R', 'commit_S', 'm2', 1, (relay) => recordedMessage(relay, 'm1').subarray(32, 64)],
  ['Ya', 'Yb', 'm3', 0, (relay) => recordedMessage(relay, 'm2').subarray(64, 96)],
  ['n_R', 'n_S', 'm4', 0, (relay) => recordedMessage(relay, 'm1').subarray(0, 32)],
  ['T_R', 'T_S', 'm4', 1, (relay) => recordedMessage(relay, 'm3').subarray(32)],
]

/** A value of one side, said to it as the other's. */
const reflectedFields = FIELDS.map(
  ([name, as, message, field, attacker]): Case => ({
    operator: `reflect ${name} as ${as}`,
    plan: () => ({ operators: (relay) => [swapField(message, field, () => attacker(relay))] }),
    ...AFTER[message],
  }),
)

/** All that a receiver of another session said, under the name it had there. */
async function impersonateReceiver(): Promise<Operator[]> {
  const old = await recording()
  const { publicKey, receiverCode } = old.meeting.guests[0]
  const attacker: Operator = { name: 'join', join: (request) => ({ ...request, publicKey, receiverCode }) }
  return [attacker, replay('m1', recordedMessage(old, 'm1')), replay('m3', recordedMessage(old, 'm3'))]
}

/** All that a sender of another session said. */
async function impersonateSender(): Promise<Operator[]> {
  const old = await recording()
  const answer = onMessage('m3', (frame, relay) => {
    relay.deliver({ ...frame, from: 'sender', ciphertext: recordedMessage(old, 'm4') })
    return [frame]
  })
  return [replay('m2', recordedMessage(old, 'm2')), answer, onMessage('m4', nothing)]
}

export const replayCases: Case[] = [
  ...replays,
  ...reflectedFields,
  {
    operator: 'replay X_R of another run',
    against: 'sender',
    plan: () => ({
      rehearsed: true,
      operators: ({ meeting }) => {
        const { publicKey } = meeting.guests[0]
        const attacker: Operator = { name: 'join', join: (request) => ({ ...request, publicKey }) }
        return [attacker]
      },
    }),
    sender: ['peer_misbehaved', 0, 0],
    receiver: ['wrong_code', 0, 1],
  },
  {
    operator: 'replay everything of another session',
    against: 'sender',
    plan: async () => {
      const attackers = await impersonateReceiver()
      return { operators: () => attackers }
    },
    sender: ['wrong_code', 0, 1],
    receiver: ['wrong_code', 0, 1],
  },
  {
    operator: 'replay everything of another session',
    against: 'receiver',
    plan: async () => {
      const attackers = await impersonateSender()
      return { operators: () => attackers }
    },
    sender: ['wrong_code', 0, 1],
    receiver: ['wrong_code', 0, 1],
  },
  {
    operator: 'replay a whole run to the same sender',
    against: 'sender',
    plan: () => ({
      rehearsed: true,
      operators: (relay) => {
        const { publicKey, receiverCode } = relay.meeting.guests[0]
        const attacker: Operator = { name: 'join', join: (request) => ({ ...request, publicKey, receiverCode }) }
        return [attacker, ...(['m1', 'm3'] as const).map((message) => replay(message, recordedMessage(relay, message)))]
      },
    }),
    // Two rows of one receiver code are none of an honest relay.
    sender: ['relay_misbehaved', 0, undefined],
    receiver: ['closed_by_sender', 0, 0],
  },
  {
    operator: 'reflect m1 as m2',
    against: 'receiver',
    plan: () => ({ operators: () => [reflect('m1', 1184)] }),
    sender: ['waits', 0, 0],
    receiver: ['wrong_code', 0, 0],
  },
  {
    operator: 'reflect m3 as m4',
    against: 'receiver',
    plan: () => ({ operators: () => [reflect('m3', 64)] }),
    sender: ['waits', 0, 0],
    receiver: ['wrong_code', 0, 1],
  },
  ...[1184, 64].map(
    (length): Case => ({
      operator: `reflect ${length} bytes of m2 as m3`,
      against: 'sender',
      plan: () => ({ operators: () => [reflect('m2', length)] }),
      sender: ['peer_misbehaved', 0, 0],
      receiver: ['wrong_code', 0, 0],
    }),
  ),
  {
    operator: 'reflect m4 as payload',
    against: 'sender',
    plan: () => ({ operators: () => [reflect('m4', 64)] }),
    sender: ['waits', 1, 0],
    receiver: ['wrong_code', 0, 1],
  },
]

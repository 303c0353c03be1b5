import type { Role } from '../../../src/protocol/view.ts'
import { attack, BROKEN, type Case, type Ends, ends, GUESSED, REFUSED, UNANSWERED, UNPROVEN } from './cases.ts'
import type { Guest } from './meeting.ts'
import { MESSAGES, type Message, messages, nothing, onMessage, saying, swapField } from './operators.ts'
import { type Operator, other, type Relay } from './relay.ts'
import { play } from './scenario.ts'
import { Seed } from './seed.ts'

/** Replays earlier messages: in another run, in another session, or to their own sender. */

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

/** An attack with what was said in another session. */
export const replaying = (
  operator: string,
  against: Role,
  ends: Ends,
  attackers: (old: Relay) => readonly Operator[],
): Case => ({
  operator,
  against,
  plan: async () => {
    const made = attackers(await recording())
    return { operators: () => made }
  },
  ...ends,
})

/** An old m1 breaks the commitment in m3, an old nonce is known; an old m2 or tag costs a guess; an old m4 fails at the receiver. */
const AFTER: Record<Message, readonly [Role, Ends]> = {
  m1: ['sender', BROKEN],
  m2: ['receiver', GUESSED],
  m3: ['sender', BROKEN],
  m4: ['receiver', UNPROVEN],
}

const replays = messages.flatMap((message) => {
  const [against, ended] = AFTER[message]
  return [
    attack(
      `replay ${message} of another run`,
      against,
      // The nonce of an old m1 of this session is known: it is not even answered.
      message === 'm1' ? REFUSED : ended,
      ({ relay }) => [replay(message, recordedMessage(relay, message))],
      { rehearsed: true },
    ),
    replaying(`replay ${message} of another session`, against, ended, (old) => [
      replay(message, recordedMessage(old, message)),
    ]),
  ]
})

/** Says to a device what it has just said, instead of carrying it on. */
const reflect = (message: Message, length: number): Operator =>
  onMessage(message, (frame, relay) => {
    relay.deliver({ ...frame, from: other(frame.from), ciphertext: frame.ciphertext.subarray(0, length) })
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
const reflectedFields = FIELDS.map(([name, as, message, field, attacker]) =>
  attack(`reflect ${name} as ${as}`, ...AFTER[message], ({ relay }) => [
    swapField(message, field, () => attacker(relay)),
  ]),
)

const joiningAs = (row: Partial<Pick<Guest, 'publicKey' | 'receiverCode'>>): Operator => ({
  name: 'join',
  join: (request) => ({ ...request, ...row }),
})
const identityIn = ({ meeting }: Relay) => {
  const { publicKey, receiverCode } = meeting.guests[0]
  return joiningAs({ publicKey, receiverCode })
}
const replayed = (old: Relay, ...which: Message[]) => which.map((each) => replay(each, recordedMessage(old, each)))

export const replayCases: Case[] = [
  ...replays,
  ...reflectedFields,
  attack(
    'replay X_R of another run',
    'sender',
    BROKEN,
    ({ relay }) => [joiningAs({ publicKey: relay.meeting.guests[0].publicKey })],
    { rehearsed: true },
  ),
  // All that a receiver of another session said, under the name it had there; and all that a sender said.
  replaying('replay everything of another session', 'sender', GUESSED, (old) => [
    identityIn(old),
    ...replayed(old, 'm1', 'm3'),
  ]),
  replaying('replay everything of another session', 'receiver', GUESSED, (old) => [
    ...replayed(old, 'm2'),
    onMessage('m3', (frame, relay) => {
      relay.deliver({ ...frame, from: 'sender', ciphertext: recordedMessage(old, 'm4') })
      return [frame]
    }),
    onMessage('m4', nothing),
  ]),
  attack(
    'replay a whole run to the same sender',
    'sender',
    // Two rows of one receiver code are none of an honest relay.
    ends(['relay_misbehaved', 0, undefined], ['closed_by_sender', 0, 0]),
    ({ relay }) => [identityIn(relay), ...replayed(relay, 'm1', 'm3')],
    { rehearsed: true },
  ),
  attack('reflect m1 as m2', 'receiver', UNANSWERED, () => [reflect('m1', 1184)]),
  attack('reflect m3 as m4', 'receiver', ends(['waits', 0, 0], ['wrong_code', 0, 1]), () => [reflect('m3', 64)]),
  ...[1184, 64].map((length) =>
    attack(`reflect ${length} bytes of m2 as m3`, 'sender', REFUSED, () => [reflect('m2', length)]),
  ),
  attack('reflect m4 as payload', 'sender', UNPROVEN, () => [reflect('m4', 64)]),
]

import type { ReceiverRow, Role } from '../../../src/protocol/view.ts'
import type { Case } from './cases.ts'
import { hasRow, isPayload, lieAboutRow, nothing, onFrame, pinned, saying } from './operators.ts'
import { type Operator, other, type Relay } from './relay.ts'
import { recordedFrame, recording } from './replays.ts'

/** What only the other device or its person can say, said by the relay: approvals, denials, acks, receipts. */

/** [what the relay makes of the row, how the receiver takes it] once its handshake is done. */
const SAID_TO_RECEIVER: readonly (readonly [Partial<ReceiverRow>, Case['receiver'][0]])[] = [
  [{ state: 'denied', reason: 'rejected' }, 'denied'],
  [{ state: 'denied', reason: 'handshake_failed' }, 'wrong_code'],
  [{ state: 'denied', reason: 'handshake_timeout' }, 'handshake_timeout'],
  [{ state: 'denied' }, 'denied'],
  [{ state: 'revoked' }, 'revoked'],
  [{ state: 'left' }, 'session_lost'],
  [{ state: 'done' }, 'session_lost'],
]

const SAID_TO_SENDER: readonly (readonly [Partial<ReceiverRow>, Case['sender'][0]])[] = [
  [{ state: 'denied', reason: 'rejected' }, 'relay_misbehaved'],
  [{ state: 'revoked' }, 'relay_misbehaved'],
  [{ state: 'left' }, 'receiver_left'],
  [{ state: 'done' }, 'not_delivered'],
]

const rowForgeries: Case[] = [
  ...SAID_TO_RECEIVER.map(
    ([row, names]): Case => ({
      operator: `forge ${row.state}${row.reason ? `, ${row.reason}` : ''}`,
      against: 'receiver',
      plan: () => ({
        operators: () => [lieAboutRow('receiver', row, pinned()), onFrame('payload', isPayload('sender'), nothing)],
      }),
      sender: ['waits', 1, 0],
      receiver: [names, 1, 1],
    }),
  ),
  ...SAID_TO_SENDER.map(
    ([row, names]): Case => ({
      operator: `forge ${row.state}`,
      against: 'sender',
      // When the sender has approved: before that it would not look.
      plan: () => ({
        operators: () => [lieAboutRow('sender', row, ({ receivers }) => receivers[0]?.state === 'approved')],
      }),
      sender: [names, 1, 0],
      receiver: ['revoked', 1, 1],
    }),
  ),
]

/** What the relay answers to a decision instead of carrying it out. */
const decision = (status: number, code?: string): Operator => ({
  name: 'decision',
  command: (_, path) => {
    if (!path.endsWith('/decision')) return undefined
    return code === undefined ? { status } : { status, code }
  },
})

const REFUSALS: readonly (readonly [number, string, Case['sender'][0]])[] = [
  [409, 'decision_made', 'relay_refused'],
  [409, 'session_full', 'session_full'],
  [410, 'receiver_gone', 'receiver_left'],
  [410, 'session_gone', 'expired'],
  [404, 'session_not_found', 'session_lost'],
  [503, 'at_capacity', 'at_capacity'],
  [400, '<script>', 'relay_refused'],
]

const approvals: Case[] = [
  ...(['receiver', 'sender'] as const).map(
    (against): Case => ({
      operator: 'forge approval',
      against,
      plan: () => ({ approves: false, operators: () => [lieAboutRow(against, { state: 'approved' }, pinned())] }),
      // The sender's app tries to send: to nobody, because its own person has approved nobody.
      sender: ['nobody_approved', 1, 0],
      receiver: ['waits', 1, 1],
    }),
  ),
  {
    operator: 'forge approval from the first view on',
    against: 'sender',
    plan: () => ({ operators: () => [lieAboutRow('sender', { state: 'approved' }, hasRow)] }),
    sender: ['waits', 0, 0],
    receiver: ['waits', 0, 0],
  },
  {
    operator: 'swallow the approval',
    against: 'sender',
    // It gets no further: the window stays that of a handshake.
    plan: () => ({ operators: () => [decision(204)] }),
    sender: ['waits', 1, 0],
    receiver: ['waits', 1, 1],
  },
  ...REFUSALS.map(
    ([status, code, names]): Case => ({
      operator: `refuse the approval, ${code}`,
      against: 'sender',
      plan: () => ({ operators: () => [decision(status, code)] }),
      sender: [names, 1, 0],
      receiver: ['waits', 1, 1],
    }),
  ),
]

/** Acks everything as soon as it comes. */
const ackAll = (from: Role): Operator =>
  onFrame('ack', isPayload(from), (frame, relay) => {
    relay.acknowledge(frame.guest, from, frame.seq)
    return [frame]
  })

/** More acked than was sent. */
const ackTooMuch = (to: Role): Operator => ({
  name: 'ack',
  ack: (seq, reader, { lines }) => (reader === to && lines[to].received >= 2 ? lines[to].received + 1 : seq),
})

const acks: Case[] = [
  {
    operator: 'forge acks and drop the payload',
    against: 'sender',
    plan: () => ({ operators: () => [ackAll('sender'), onFrame('drop', isPayload('sender'), nothing)] }),
    sender: ['waits', 1, 0],
    receiver: ['waits', 1, 1],
  },
  {
    operator: 'forge acks and drop the receipt',
    against: 'receiver',
    plan: () => ({ operators: () => [ackAll('receiver'), onFrame('drop', isPayload('receiver'), nothing)] }),
    sender: ['waits', 1, 0],
    receiver: ['waits', 1, 1],
  },
  {
    operator: 'ack more than was sent',
    against: 'sender',
    plan: () => ({ operators: () => [ackTooMuch('sender')] }),
    sender: ['peer_misbehaved', 1, 0],
    receiver: ['revoked', 1, 1],
  },
  {
    operator: 'ack more than was sent',
    against: 'receiver',
    plan: () => ({ operators: () => [ackTooMuch('receiver')] }),
    // It comes with the ack of the receipt.
    sender: ['delivered', 1, 0],
    receiver: ['peer_misbehaved', 1, 1],
  },
]

const replacing = (from: Role, bytes: (relay: Relay) => Uint8Array): Operator =>
  onFrame('replace', isPayload(from), (frame, relay) => saying(bytes(relay))(frame))

/** [what is said, by whom it was said] in the place of receipts, and in the place of everything the sender says. */
const SPLICES: readonly (readonly [string, (from: Role) => (relay: Relay) => Uint8Array])[] = [
  ['noise', () => () => Uint8Array.from([1, ...new Array(60).fill(9)])],
  [
    'the other direction',
    (from) => (relay) =>
      relay.frames.findLast((each) => each.from === other(from) && each.seq > 2)?.ciphertext ?? new Uint8Array(17),
  ],
]

const receipts: Case[] = [
  ...SPLICES.map(
    ([name, attacker]): Case => ({
      operator: `forge a receipt of ${name}`,
      against: 'sender',
      plan: () => ({ operators: () => [replacing('receiver', attacker('receiver'))] }),
      sender: ['corrupt', 1, 0],
      receiver: ['revoked', 1, 1],
    }),
  ),
  {
    operator: 'forge a receipt of another session',
    against: 'sender',
    plan: async () => {
      const attacker = recordedFrame(await recording(), 'receiver', 3)
      return { operators: () => [replacing('receiver', () => attacker)] }
    },
    sender: ['corrupt', 1, 0],
    receiver: ['revoked', 1, 1],
  },
  {
    operator: 'forge the second receipt with the first',
    against: 'sender',
    plan: () => ({
      transfers: [[new Uint8Array(10).fill(1)], [new Uint8Array(10).fill(1)]],
      operators: ({ frames }) => [
        onFrame(
          'replace',
          ({ from, seq }) => from === 'receiver' && seq === 4,
          (frame) =>
            saying(frames.find(({ from, seq }) => from === 'receiver' && seq === 3)?.ciphertext ?? frame.ciphertext)(
              frame,
            ),
        ),
      ],
    }),
    sender: ['corrupt', 1, 0],
    receiver: ['revoked', 1, 1],
  },
]

export const forgeryCases: Case[] = [...rowForgeries, ...approvals, ...acks, ...receipts]

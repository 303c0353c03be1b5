import type { ReceiverRow, Role } from '../../../src/protocol/view.ts'
import { attack, type Case, CORRUPT_HERE, ends, STUCK, UNMET } from './cases.ts'
import { hasRow, isPayload, lieAboutRow, nothing, onFrame, pinned, saying } from './operators.ts'
import type { Operator, Relay } from './relay.ts'
import { recordedFrame, replaying } from './replays.ts'

/** Forgeries by the relay of the other device's words: approvals, denials, acks, receipts. */

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

const rowForgeries = [
  ...SAID_TO_RECEIVER.map(([row, names]) =>
    attack(
      `forge ${row.state}${row.reason ? `, ${row.reason}` : ''}`,
      'receiver',
      ends(['waits', 1, 0], [names, 1, 1]),
      () => [lieAboutRow('receiver', row, pinned()), onFrame('payload', isPayload('sender'), nothing)],
    ),
  ),
  ...SAID_TO_SENDER.map(([row, names]) =>
    // When the sender has approved: before that it would not look.
    attack(
      `forge ${row.state}`,
      'sender',
      ends([names, 1, 0], [names === 'relay_misbehaved' ? 'closed_by_sender' : 'revoked', 1, 1]),
      () => [lieAboutRow('sender', row, ({ receivers }) => receivers[0]?.state === 'approved')],
    ),
  ),
]

/** The relay's answer to a decision that it does not carry out. */
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

const approvals = [
  ...(['receiver', 'sender'] as const).map((against) =>
    attack(
      'forge approval',
      against,
      // The sender's app tries to send: to nobody, because its own person has approved nobody.
      ends(['nobody_approved', 1, 0], ['waits', 1, 1]),
      () => [lieAboutRow(against, { state: 'approved' }, pinned())],
      { approves: false },
    ),
  ),
  attack('forge approval from the first view on', 'sender', UNMET, () => [
    lieAboutRow('sender', { state: 'approved' }, hasRow),
  ]),
  // The window stays that of a handshake.
  attack('swallow the approval', 'sender', STUCK, () => [decision(204)]),
  ...REFUSALS.map(([status, code, names]) =>
    attack(`refuse the approval, ${code}`, 'sender', ends([names, 1, 0], ['waits', 1, 1]), () => [
      decision(status, code),
    ]),
  ),
]

/** Acks everything as soon as it comes, and drops it. */
const ackAndDrop = (from: Role): Operator =>
  onFrame('ack', isPayload(from), (frame, relay) => {
    relay.acknowledge(frame.guest, from, frame.seq)
    return []
  })

/** More acked than was sent. */
const ackTooMuch = (to: Role): Operator => ({
  name: 'ack',
  ack: (seq, reader, { lines }) => (reader === to && lines[to].received >= 2 ? lines[to].received + 1 : seq),
})

const acks = [
  attack('forge acks and drop the payload', 'sender', STUCK, () => [ackAndDrop('sender')]),
  attack('forge acks and drop the receipt', 'receiver', STUCK, () => [ackAndDrop('receiver')]),
  attack('ack more than was sent', 'sender', ends(['peer_misbehaved', 1, 0], ['revoked', 1, 1]), () => [
    ackTooMuch('sender'),
  ]),
  // Arrives with the ack of the receipt.
  attack('ack more than was sent', 'receiver', ends(['delivered', 1, 0], ['peer_misbehaved', 1, 1]), () => [
    ackTooMuch('receiver'),
  ]),
]

/** Other bytes in the place of each receipt. */
const receipt = (bytes: (relay: Relay) => Uint8Array | undefined, seq?: number): Operator =>
  onFrame(
    'replace',
    (frame) => isPayload('receiver')(frame) && (seq === undefined || frame.seq === seq),
    (frame, relay) => saying(bytes(relay) ?? frame.ciphertext)(frame),
  )

/** The end of the receiver's row, in the place of its receipt. */
function doneForReceipt(): Operator[] {
  let dropped = false
  const drop = onFrame('drop', isPayload('receiver'), (_, relay) => {
    dropped = true
    relay.show(relay.meeting)
    return []
  })
  return [drop, lieAboutRow('sender', { state: 'done' }, () => dropped)]
}

const receipts = [
  attack(
    'forge done in the place of the receipt',
    'sender',
    ends(['not_delivered', 1, 0], ['revoked', 1, 1]),
    doneForReceipt,
  ),
  attack('forge a receipt of noise', 'sender', CORRUPT_HERE, () => [
    receipt(() => Uint8Array.of(1, ...new Array(60).fill(9))),
  ]),
  attack('forge a receipt of the other direction', 'sender', CORRUPT_HERE, () => [
    receipt(({ frames }) => frames.findLast(isPayload('sender'))?.ciphertext),
  ]),
  replaying('forge a receipt of another session', 'sender', CORRUPT_HERE, (old) => [
    receipt(() => recordedFrame(old, 'receiver', 3)),
  ]),
  attack(
    'forge the second receipt with the first',
    'sender',
    CORRUPT_HERE,
    () => [receipt(({ frames }) => frames.find(isPayload('receiver'))?.ciphertext, 4)],
    { transfers: [[new Uint8Array(10).fill(1)], [new Uint8Array(10).fill(1)]] },
  ),
]

export const forgeryCases: Case[] = [...rowForgeries, ...approvals, ...acks, ...receipts]

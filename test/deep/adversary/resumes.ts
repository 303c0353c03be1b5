import type { CreateSessionResponse } from '../../../src/protocol/responses.ts'
import type { Role } from '../../../src/protocol/view.ts'
import { attack, type Case, ends, UNMET } from './cases.ts'
import type { Operator } from './relay.ts'

/** Lies about what a relay holds and what it grants. */

/**
 * The relay's claim at the next attach about frames up to `seq`, and the liar. A peer can
 * make an honest relay say the first and the third. It cuts the socket to be asked.
 */
const RESUMES: readonly (readonly [
  string,
  (seq: number) => { received: number; acked: number },
  'relay_misbehaved' | 'peer_misbehaved',
])[] = [
  ['more received than was sent', (seq) => ({ received: 99, acked: seq }), 'peer_misbehaved'],
  ['more acked than received', (seq) => ({ received: seq - 1, acked: seq }), 'relay_misbehaved'],
  ['more acked than was sent', (seq) => ({ received: seq + 1, acked: seq + 1 }), 'peer_misbehaved'],
  ['less received than was acked', (seq) => ({ received: seq - 2, acked: seq - 2 }), 'relay_misbehaved'],
]

/** Acks all but the last of so many frames of a device, cuts its socket, and lies when it is back. */
function resuming(against: Role, seq: number, row: object): Operator {
  let cut = false
  return {
    name: 'resume',
    data(frame, relay) {
      if (frame.from !== against || frame.seq !== seq) return undefined
      relay.acknowledge(frame.guest, against, seq - 1)
      cut = true
      ;(against === 'sender' ? relay.meeting.plug : frame.guest.plug)?.drop()
      return [frame]
    },
    view(view, to) {
      if (!cut || to !== against) return view
      return { ...view, channels: view.channels.map((each) => (each.channel === 1 ? { ...each, ...row } : each)) }
    },
  }
}

/** The last frame before the cut: the transfer, or the receipt. */
const resumes = RESUMES.flatMap(([name, row, liar]) => [
  attack(
    `resume with ${name}`,
    'sender',
    ends([liar, 1, 0], [liar === 'peer_misbehaved' ? 'revoked' : 'closed_by_sender', 1, 1]),
    () => [resuming('sender', 4, row(4))],
  ),
  attack(`resume with ${name}`, 'receiver', ends(['delivered', 1, 0], [liar, 1, 1]), () => [
    resuming('receiver', 5, row(5)),
  ]),
])

/** Limits that a relay has no reason to set. */
const granting = (against: Role, limits: object): Operator => ({
  name: 'limits',
  [against === 'sender' ? 'created' : 'joined']: (answer: CreateSessionResponse) => ({
    ...answer,
    limits: { ...answer.limits, ...limits },
  }),
})
const SMALL_FRAMES = { maxFrameBytes: 1 }
const SMALL_WINDOW = { windowBytes: 1 }

export const resumeCases: Case[] = [
  ...resumes,
  attack('grant frames too small for a chunk', 'sender', ends(['relay_misbehaved', 1, 0], ['revoked', 1, 1]), () => [
    granting('sender', SMALL_FRAMES),
  ]),
  attack(
    'grant frames too small for a chunk',
    'receiver',
    ends(['receiver_left', 1, 0], ['relay_misbehaved', 1, 1]),
    () => [granting('receiver', SMALL_FRAMES)],
  ),
  attack('grant a window too small for a frame', 'sender', UNMET, () => [granting('sender', SMALL_WINDOW)]),
  attack(
    'grant a window too small for a frame',
    'receiver',
    ends(['handshake_timeout', 0, 0], ['handshake_timeout', 0, 0]),
    () => [granting('receiver', SMALL_WINDOW)],
  ),
]

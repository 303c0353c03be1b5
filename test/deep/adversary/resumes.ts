import type { Role } from '../../../src/protocol/view.ts'
import type { Case } from './cases.ts'
import type { Operator } from './relay.ts'

/** Lies about what a relay holds and what it grants. */

type Ends = Pick<Case, 'sender' | 'receiver'>

/**
 * What the relay says it holds of what a device has sent up to `seq`, at the next attach, and whose lie that is. A peer can
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
const resumes = RESUMES.flatMap(([name, row, liar]): Case[] => [
  {
    operator: `resume with ${name}`,
    against: 'sender',
    plan: () => ({ operators: () => [resuming('sender', 4, row(4))] }),
    sender: [liar, 1, 0],
    receiver: [liar === 'peer_misbehaved' ? 'revoked' : 'closed_by_sender', 1, 1],
  },
  {
    operator: `resume with ${name}`,
    against: 'receiver',
    plan: () => ({ operators: () => [resuming('receiver', 3, row(3))] }),
    sender: ['delivered', 1, 0],
    receiver: [liar, 1, 1],
  },
])

const granting = (against: Role, change: object): Operator =>
  against === 'sender'
    ? { name: 'limits', created: (answer) => ({ ...answer, limits: { ...answer.limits, ...change } }) }
    : { name: 'limits', joined: (answer) => ({ ...answer, limits: { ...answer.limits, ...change } }) }

/** Limits a relay has no reason to set. */
const LIMITS: readonly (readonly [string, Role, object, Ends])[] = [
  [
    'frames too small for a chunk',
    'sender',
    { maxFrameBytes: 1 },
    { sender: ['relay_misbehaved', 1, 0], receiver: ['waits', 1, 1] },
  ],
  [
    'frames too small for a chunk',
    'receiver',
    { maxFrameBytes: 1 },
    { sender: ['not_delivered', 1, 0], receiver: ['relay_misbehaved', 1, 1] },
  ],
  [
    'a window too small for a frame',
    'sender',
    { windowBytes: 1 },
    { sender: ['waits', 0, 0], receiver: ['waits', 0, 0] },
  ],
  [
    'a window too small for a frame',
    'receiver',
    { windowBytes: 1 },
    { sender: ['handshake_timeout', 0, 0], receiver: ['handshake_timeout', 0, 0] },
  ],
]

const limits = LIMITS.map(
  ([name, against, change, ends]): Case => ({
    operator: `grant ${name}`,
    against,
    plan: () => ({ operators: () => [granting(against, change)] }),
    ...ends,
  }),
)

export const resumeCases: Case[] = [...resumes, ...limits]

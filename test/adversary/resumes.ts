import type { Role } from '../../src/protocol/frames.ts'
import type { Case } from './cases.ts'
import type { Operator } from './relay.ts'

/** Lies about what a relay holds and what it grants. */

type Ends = Pick<Case, 'sender' | 'receiver'>

/** What the relay says it holds, at the next attach. It cuts the socket to be asked. */
const RESUMES: readonly (readonly [string, object])[] = [
  ['more received than was sent', { received: 99, acked: 2 }],
  ['more acked than received', { received: 2, acked: 3 }],
  ['less received than was acked', { received: 1, acked: 1 }],
]

/** Acks the second message of a device, cuts its socket, and lies when it is back. */
function resuming(against: Role, row: object): Operator {
  let cut = false
  return {
    name: 'resume',
    data(frame, relay) {
      if (frame.from !== against || frame.seq !== 2) return undefined
      relay.acknowledge(frame.guest, against, 2)
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

const resumes = RESUMES.flatMap(([name, row]): Case[] => [
  {
    operator: `resume with ${name}`,
    against: 'sender',
    plan: () => ({ operators: () => [resuming('sender', row)] }),
    sender: ['relay_misbehaved', 1, 0],
    receiver: ['revoked', 1, 1],
  },
  {
    operator: `resume with ${name}`,
    against: 'receiver',
    plan: () => ({ operators: () => [resuming('receiver', row)] }),
    sender: ['waits', 1, 0],
    receiver: ['relay_misbehaved', 0, 1],
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
    { sender: ['relay_misbehaved', 0, undefined], receiver: ['waits', 0, 0] },
  ],
  [
    'a window too small for a frame',
    'receiver',
    { windowBytes: 1 },
    { sender: ['waits', 0, 0], receiver: ['relay_misbehaved', 0, 0] },
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

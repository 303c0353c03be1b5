import type { Role } from '../../../src/protocol/view.ts'
import type { Case } from './cases.ts'
import {
  delay,
  GOOD,
  isMessage,
  lie,
  lieAboutRow,
  MESSAGES,
  type Message,
  messages,
  nothing,
  onFrame,
  onMessage,
} from './operators.ts'
import { type Flying, type Operator, other } from './relay.ts'

/** Right bytes at the wrong time: never, late, twice. */

type Ends = Pick<Case, 'sender' | 'receiver'>

const reader = (message: Message) => other(MESSAGES[message].from)

/** Who waits for what does not come says so after 20 s. The sender tells the relay, which may tell the receiver. */
const NEVER: Record<Message, Ends> = {
  m1: { sender: ['handshake_timeout', 0, 0], receiver: ['handshake_timeout', 0, 0] },
  m2: { sender: ['handshake_timeout', 0, 0], receiver: ['handshake_timeout', 0, 0] },
  m3: { sender: ['handshake_timeout', 0, 0], receiver: ['handshake_timeout', 0, 1] },
  m4: { sender: ['waits', 1, 0], receiver: ['handshake_timeout', 0, 1] },
}

/** A second copy under the next number is taken for the next message, which it is not. */
const TWICE: Record<Message, Ends> = {
  m1: { sender: ['peer_misbehaved', 0, 0], receiver: ['wrong_code', 0, 1] },
  m2: { sender: ['waits', 1, 0], receiver: ['wrong_code', 0, 1] },
  m3: { sender: ['waits', 1, 0], receiver: ['wrong_code', 0, 1] },
  m4: { sender: ['receiver_left', 1, 0], receiver: ['peer_misbehaved', 1, 1] },
}

/** Noise in front of a message is taken for it. */
const NOISE: Record<Message, Ends> = {
  m1: { sender: ['peer_misbehaved', 0, 0], receiver: ['wrong_code', 0, 0] },
  m2: { sender: ['waits', 0, 0], receiver: ['wrong_code', 0, 0] },
  m3: { sender: ['peer_misbehaved', 0, 0], receiver: ['wrong_code', 0, 1] },
  m4: { sender: ['waits', 1, 0], receiver: ['wrong_code', 0, 1] },
}

/** Keeps everything from one frame on for so long, in its order. Without a time: for ever. */
function holding(from: Role, since: number, ms?: number): Operator {
  return onFrame(
    'hold',
    (frame) => frame.from === from && frame.seq >= since,
    (frame, relay) => {
      if (ms !== undefined) relay.time.setTimeout(() => relay.deliver(frame), ms)
      return []
    },
  )
}

const payload: Case[] = [
  ...(
    [
      ['approval', 'sender', 3, { sender: ['waits', 1, 0], receiver: ['waits', 1, 1] }],
      ['transfer', 'sender', 4, { sender: ['waits', 1, 0], receiver: ['waits', 1, 1] }],
      ['end', 'sender', 5, { sender: ['delivered', 1, 0], receiver: ['closed_by_sender', 1, 1] }],
      ['receipt', 'receiver', 3, { sender: ['waits', 1, 0], receiver: ['waits', 1, 1] }],
    ] as const
  ).flatMap(([name, from, seq, ends]): Case[] => [
    {
      operator: `drop the ${name} and what follows`,
      against: other(from),
      plan: () => ({ operators: () => [holding(from, seq)] }),
      ...ends,
    },
    {
      operator: `delay the ${name} for 8 s`,
      against: other(from),
      plan: () => ({ operators: () => [holding(from, seq, 8_000)] }),
      ...GOOD,
    },
  ]),
  {
    operator: 'swap the order of approval and transfer',
    against: 'receiver',
    plan: () => {
      let approval: Flying
      return {
        operators: () => [
          onFrame(
            'swap',
            ({ from, seq }) => from === 'sender' && (seq === 3 || seq === 4),
            (frame) => {
              if (frame.seq === 4) return [frame, approval]
              approval = frame
              return []
            },
          ),
        ],
      }
    },
    sender: ['not_delivered', 1, 0],
    receiver: ['corrupt', 1, 1],
  },
]

/** While a device waits for an answer, the other one is said to have gone. */
function absentFromNow(to: Role): Operator {
  let gone = false
  return {
    name: 'absent',
    data(frame, relay) {
      if (!isMessage(frame, to === 'sender' ? 'm2' : 'm3')) return undefined
      relay.time.setTimeout(() => {
        gone = true
        relay.show(relay.meeting)
      }, 5_000)
      return undefined
    },
    view(view, role) {
      if (!gone || role !== to) return view
      const receivers = view.receivers.map((row) => ({ ...row, present: false }))
      return to === 'sender' ? { ...view, receivers } : { ...view, senderPresent: false }
    },
  }
}

export const timingCases: Case[] = [
  ...payload,
  ...messages.flatMap((message): Case[] => [
    {
      operator: `drop ${message}`,
      against: reader(message),
      plan: () => ({ operators: () => [onMessage(message, nothing)] }),
      ...NEVER[message],
    },
    {
      operator: `delay ${message} past the deadline`,
      against: reader(message),
      plan: () => ({ operators: () => [delay(message, 25_000)] }),
      ...NEVER[message],
    },
    {
      operator: `delay ${message} within the deadline`,
      against: reader(message),
      plan: () => ({ operators: () => [delay(message, 15_000)] }),
      ...GOOD,
    },
    {
      operator: `duplicate ${message} as the next message`,
      against: reader(message),
      plan: () => ({ operators: () => [onMessage(message, (frame) => [frame, frame])] }),
      ...TWICE[message],
    },
    {
      operator: `say noise before ${message}`,
      against: reader(message),
      plan: (seed) => ({
        operators: () => [
          onMessage(message, (frame) => [{ ...frame, ciphertext: seed.bytes(frame.ciphertext.length) }, frame]),
        ],
      }),
      ...NOISE[message],
    },
  ]),
  ...(['sender', 'receiver'] as const).flatMap((against): Case[] => [
    {
      operator: 'duplicate every frame under its number',
      against,
      plan: () => ({
        operators: () => [
          onFrame(
            'duplicate',
            ({ from }) => from !== against,
            (frame) => [frame, { ...frame, as: frame.seq }, { ...frame, as: 1, ciphertext: new Uint8Array(64) }],
          ),
        ],
      }),
      ...GOOD,
    },
    {
      operator: 'leave a gap in the numbers',
      against,
      plan: () => ({
        operators: () => [
          onFrame(
            'gap',
            ({ from, seq }) => from !== against && seq === 2,
            (frame) => [{ ...frame, as: 3 }],
          ),
        ],
      }),
      ...(against === 'sender'
        ? ({ sender: ['peer_misbehaved', 0, 0], receiver: ['wrong_code', 0, 1] } as const)
        : ({ sender: ['waits', 1, 0], receiver: ['peer_misbehaved', 0, 1] } as const)),
    },
  ]),
  {
    operator: 'swap the order of m4 and the payload',
    against: 'receiver',
    plan: () => ({
      operators: () => [onMessage('m4', (frame) => [{ ...frame, ciphertext: new Uint8Array(17) }, frame])],
    }),
    sender: ['waits', 1, 0],
    receiver: ['wrong_code', 0, 1],
  },
  {
    operator: 'say that nobody is present',
    against: 'sender',
    plan: () => ({ operators: () => [lieAboutRow('sender', { present: false }), delay('m1', 50_000)] }),
    sender: ['delivered', 1, 0],
    receiver: ['complete', 1, 1],
  },
  {
    operator: 'say that nobody is present',
    against: 'receiver',
    plan: () => ({
      operators: () => [lie('receiver', (view) => ({ ...view, senderPresent: false })), delay('m4', 50_000)],
    }),
    ...GOOD,
  },
  {
    operator: 'say that nobody is present any more',
    against: 'sender',
    plan: () => ({
      operators: () => [
        absentFromNow('sender'),
        lie('receiver', (view) => ({ ...view, senderPresent: false })),
        delay('m3', 50_000),
      ],
    }),
    ...GOOD,
  },
  {
    operator: 'say that nobody is present any more',
    against: 'receiver',
    plan: () => ({ operators: () => [absentFromNow('receiver'), delay('m4', 50_000)] }),
    ...GOOD,
  },
]

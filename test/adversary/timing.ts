import type { Case } from './cases.ts'
import { delay, lie, lieAboutRow, MESSAGES, type Message, messages, nothing, onFrame, onMessage } from './operators.ts'
import { other } from './relay.ts'

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
  m1: { sender: ['wrong_code', 0, 0], receiver: ['wrong_code', 0, 1] },
  m2: { sender: ['waits', 1, 0], receiver: ['wrong_code', 0, 1] },
  m3: { sender: ['corrupt', 1, 0], receiver: ['revoked', 1, 1] },
  m4: { sender: ['not_delivered', 1, 0], receiver: ['corrupt', 1, 1] },
}

const GOOD: Ends = { sender: ['delivered', 1, 0], receiver: ['complete', 1, 1] }

export const timingCases: Case[] = [
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
        ? ({ sender: ['relay_misbehaved', 0, undefined], receiver: ['waits', 0, 1] } as const)
        : ({ sender: ['waits', 1, 0], receiver: ['relay_misbehaved', 0, 1] } as const)),
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
    plan: () => ({ operators: () => [lieAboutRow('sender', { present: false }), delay('m1', 60_000)] }),
    sender: ['delivered', 1, 0],
    receiver: ['complete', 1, 1],
  },
  {
    operator: 'say that nobody is present',
    against: 'receiver',
    plan: () => ({
      operators: () => [lie('receiver', (view) => ({ ...view, senderPresent: false })), delay('m4', 60_000)],
    }),
    ...GOOD,
  },
]

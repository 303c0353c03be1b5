import type { CloseReason, Role, View } from '../../../src/protocol/view.ts'
import type { Case } from './cases.ts'
import { hasRow, lie, lieAboutRow, pinned } from './operators.ts'
import type { Operator } from './relay.ts'

/** Views that lie, and other things that a relay says to one device alone. */

const otherKey = Buffer.alloc(32, 7).toString('base64url')
type Ends = Pick<Case, 'sender' | 'receiver'>

/** A lie told to the sender's app once its person has approved, and while the transfer is still to come. */
const approved = ({ receivers }: View) => receivers[0]?.state === 'approved'

const rowsToSender: readonly (readonly [string, (view: View) => View, Ends])[] = [
  [
    'another key',
    (view) => withRow(view, { publicKey: otherKey }),
    { sender: ['relay_misbehaved', 1, 0], receiver: ['closed_by_sender', 1, 1] },
  ],
  [
    'another receiver code',
    (view) => withRow(view, { receiverCode: 'ABCDEF' }),
    { sender: ['relay_misbehaved', 1, 0], receiver: ['closed_by_sender', 1, 1] },
  ],
  [
    'another channel',
    (view) => withRow(view, { channel: 9 }),
    { sender: ['relay_misbehaved', 1, 0], receiver: ['closed_by_sender', 1, 1] },
  ],
  [
    'no receiver',
    (view) => ({ ...view, receivers: [] }),
    { sender: ['receiver_left', 1, 0], receiver: ['revoked', 1, 1] },
  ],
  [
    'a second row of the same channel',
    (view) => ({ ...view, receivers: [...view.receivers, { ...view.receivers[0], publicKey: otherKey }] }),
    { sender: ['relay_misbehaved', 1, 0], receiver: ['closed_by_sender', 1, 1] },
  ],
]

const withRow = (view: View, change: object): View => ({
  ...view,
  receivers: view.receivers.map((row, i) => (i === 0 ? { ...row, ...change } : row)),
})

/** [to whom, what comes of no view at all, what comes of an old one] */
const SILENT: readonly (readonly [Role, nothing: Ends, old: Ends])[] = [
  [
    'sender',
    // The first frame comes before any view.
    { sender: ['relay_misbehaved', 0, undefined], receiver: ['closed_by_sender', 0, 0] },
    // Its window stays that of a handshake, and it sees nobody new.
    { sender: ['waits', 1, undefined], receiver: ['waits', 1, 1] },
  ],
  [
    'receiver',
    { sender: ['handshake_timeout', 0, 0], receiver: ['waits', 0, 0] },
    // It never hears of the approval, so that the payload is none.
    { sender: ['not_delivered', 1, 0], receiver: ['peer_misbehaved', 1, 1] },
  ],
]

const lies: Case[] = [
  ...rowsToSender.map(
    ([name, change, ends]): Case => ({
      operator: `show ${name}`,
      against: 'sender',
      plan: () => ({ operators: () => [lie('sender', change, approved)] }),
      ...ends,
    }),
  ),
  {
    operator: 'show another key before m1',
    against: 'sender',
    plan: () => ({ operators: () => [lieAboutRow('sender', { publicKey: otherKey }, pinned())] }),
    sender: ['relay_misbehaved', 0, 0],
    receiver: ['closed_by_sender', 0, 0],
  },
  {
    operator: 'show receivers that do not exist',
    against: 'sender',
    plan: () => ({
      operators: () => [
        lie(
          'sender',
          (view) => ({
            ...view,
            receivers: [
              ...view.receivers,
              ...Array.from({ length: 20 }, (_, i) => ({
                ...view.receivers[0],
                channel: 10 + i,
                receiverCode: `ABCD${10 + i}`,
                state: 'pending' as const,
                publicKey: otherKey,
              })),
            ],
          }),
          hasRow,
        ),
      ],
    }),
    sender: ['relay_misbehaved', 0, 0],
    receiver: ['closed_by_sender', 0, 0],
  },
  {
    operator: 'show the view of the other role',
    against: 'sender',
    plan: () => ({ operators: () => [lie('sender', (view) => ({ ...view, role: 'receiver' }), hasRow)] }),
    sender: ['relay_misbehaved', 0, undefined],
    receiver: ['closed_by_sender', 0, 0],
  },
  ...receiverLies(),
  ...SILENT.flatMap(([against, nothing, old]): Case[] => [
    {
      operator: 'show no view at all',
      against,
      plan: () => ({ operators: () => [lie(against, () => undefined)] }),
      ...nothing,
    },
    {
      operator: 'show an old view again',
      against,
      plan: () => ({ operators: () => [stale(against)] }),
      ...old,
    },
  ]),
]

/** The first view with a row, again and again: everybody is pending in it. */
function stale(to: Role): Operator {
  let first: View | undefined
  return {
    name: 'stale',
    view(view, role) {
      if (role !== to || !hasRow(view)) return view
      first ??= view
      return { ...first, version: view.version }
    },
  }
}

/** Everything the receiver's own row could be instead of what it joined with. */
function receiverLies(): Case[] {
  const attackers: readonly (readonly [string, (view: View) => View])[] = [
    ['another key', (view) => withRow(view, { publicKey: otherKey })],
    ['another receiver code', (view) => withRow(view, { receiverCode: 'ABCDEF' })],
    ['another channel', (view) => withRow(view, { channel: 9 })],
    ['no receiver', (view) => ({ ...view, receivers: [] })],
    [
      'a second receiver',
      (view) => ({ ...view, receivers: [...view.receivers, { ...view.receivers[0], channel: 9 }] }),
    ],
    ['the view of the other role', (view) => ({ ...view, role: 'sender' })],
  ]
  return attackers.flatMap(([name, change]): Case[] => [
    {
      operator: `show ${name}`,
      against: 'receiver',
      plan: () => ({ operators: () => [lie('receiver', change)] }),
      sender: ['waits', 0, 0],
      receiver: ['relay_misbehaved', 0, 0],
    },
    {
      operator: `show ${name}, later`,
      against: 'receiver',
      plan: () => ({ operators: () => [lie('receiver', change, approved)] }),
      sender: ['not_delivered', 1, 0],
      receiver: ['relay_misbehaved', 1, 1],
    },
  ])
}

const CLOSES: readonly (readonly [CloseReason | undefined, Ends['sender'][0]])[] = [
  ['completed', 'closed_by_sender'],
  ['closed_by_sender', 'closed_by_sender'],
  ['expired', 'expired'],
  ['shutting_down', 'shutting_down'],
  [undefined, 'session_lost'],
]

const closes = CLOSES.flatMap(([reason, names]): Case[] =>
  (['sender', 'receiver'] as const).map((against) => ({
    operator: `close, ${reason ?? 'without a reason'}`,
    against,
    plan: () => ({
      operators: () => [
        lie(
          against,
          (view) => {
            const { reason: _, ...rest } = view
            return { ...rest, state: 'closed', ...(reason ? { reason } : {}) }
          },
          approved,
        ),
      ],
    }),
    ...(against === 'sender'
      ? ({ sender: [names, 1, undefined], receiver: ['revoked', 1, 1] } as const)
      : ({ sender: ['waits', 1, 0], receiver: [names as 'expired', 1, 1] } as const)),
  })),
)

/** [what is said once everybody is approved]; none of it is in the protocol. */
const NONSENSE: readonly (readonly [string, string | Uint8Array])[] = [
  ['text that is not JSON', 'hello'],
  ['a view with __proto__', '{"type":"session","__proto__":{}}'],
  ['a view of another form', '{"type":"session","version":1}'],
  ['an empty frame', new Uint8Array()],
  ['a frame of an unknown type', Uint8Array.of(3, 0, 0, 1, 0, 0, 0, 1, 9)],
  ['a data frame without content', Uint8Array.of(1, 0, 0, 1, 0, 0, 0, 3)],
  ['a frame of channel 0', Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 1, 9)],
]

const nonsense = NONSENSE.flatMap(([name, bytes]): Case[] =>
  (['sender', 'receiver'] as const).map((against) => ({
    operator: `say ${name}`,
    against,
    plan: () => ({
      operators: () => [
        {
          name: 'nonsense',
          data(frame, relay) {
            const to = against === 'sender' ? relay.meeting.plug : frame.guest.plug
            if (frame.from !== against && frame.seq === 1) to?.say(bytes)
            return [frame]
          },
        },
      ],
    }),
    ...(against === 'sender'
      ? ({ sender: ['relay_misbehaved', 0, undefined], receiver: ['closed_by_sender', 0, 0] } as const)
      : ({ sender: ['waits', 0, 0], receiver: ['relay_misbehaved', 0, 0] } as const)),
  })),
)

export const viewCases: Case[] = [...lies, ...closes, ...nonsense]

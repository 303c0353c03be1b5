import type { CloseReason, ReceiverRow, Role, View } from '../../../src/protocol/view.ts'
import { attack, CAUGHT, type Case, ends, GOOD } from './cases.ts'
import { hasRow, lie, lieAboutRow, pinned } from './operators.ts'
import type { Operator } from './relay.ts'

/** Views that lie, and other things that a relay says to one device alone. */

const otherKey = Buffer.alloc(32, 7).toString('base64url')
/** The sender ends before anybody is verified. */
const UNSEEN = ends(['relay_misbehaved', 0, undefined], ['closed_by_sender', 0, 0])
/** A lie told to the sender's app once its person has approved, and while the transfer is still to come. */
const approved = ({ receivers }: View) => receivers[0]?.state === 'approved'

const withRow =
  (change: object) =>
  (view: View): View => ({
    ...view,
    receivers: view.receivers.map((row, i) => (i === 0 ? { ...row, ...change } : row)),
  })
const withMore =
  (more: (row: ReceiverRow) => readonly ReceiverRow[]) =>
  (view: View): View => ({ ...view, receivers: [...view.receivers, ...more(view.receivers[0])] })
const empty = (view: View): View => ({ ...view, receivers: [] })
const ofRole = (role: Role) => (view: View) => ({ ...view, role })

/** Everything that the row of an approved receiver could be instead. */
const ROWS: readonly (readonly [string, (view: View) => View])[] = [
  ['another key', withRow({ publicKey: otherKey })],
  ['another receiver code', withRow({ receiverCode: 'ABCDEF' })],
  ['another channel', withRow({ channel: 9 })],
]
const invented = (row: ReceiverRow) =>
  Array.from({ length: 20 }, (_, i) => ({
    ...row,
    channel: 10 + i,
    receiverCode: `ABCD${10 + i}`,
    state: 'pending' as const,
    publicKey: otherKey,
  }))

const toSender = [
  ...ROWS.map(([name, change]) => attack(`show ${name}`, 'sender', CAUGHT, () => [lie('sender', change, approved)])),
  attack('show no receiver', 'sender', ends(['receiver_left', 1, 0], ['revoked', 1, 1]), () => [
    lie('sender', empty, approved),
  ]),
  attack('show a second row of the same channel', 'sender', CAUGHT, () => [
    lie(
      'sender',
      withMore((row) => [{ ...row, publicKey: otherKey }]),
      approved,
    ),
  ]),
  attack('show another key before m1', 'sender', ends(['relay_misbehaved', 0, 0], ['closed_by_sender', 0, 0]), () => [
    lieAboutRow('sender', { publicKey: otherKey }, pinned()),
  ]),
  attack(
    'show receivers that do not exist',
    'sender',
    ends(['relay_misbehaved', 0, 0], ['closed_by_sender', 0, 0]),
    () => [lie('sender', withMore(invented), hasRow)],
  ),
  attack('show the view of the other role', 'sender', UNSEEN, () => [lie('sender', ofRole('receiver'), hasRow)]),
  // The first frame comes before any view.
  attack('show no view at all', 'sender', UNSEEN, () => [lie('sender', () => undefined)]),
  // Its window stays that of a handshake, and it sees nobody new.
  attack('show an old view again', 'sender', ends(['waits', 1, undefined], ['waits', 1, 1]), () => [stale('sender')]),
]

const toReceiver = [
  ...[
    ...ROWS,
    ['no receiver', empty] as const,
    ['a second receiver', withMore((row) => [{ ...row, channel: 9 }])] as const,
    ['the view of the other role', ofRole('sender')] as const,
  ].flatMap(([name, change]) => [
    attack(`show ${name}`, 'receiver', ends(['waits', 0, 0], ['relay_misbehaved', 0, 0]), () => [
      lie('receiver', change),
    ]),
    attack(`show ${name}, later`, 'receiver', ends(['not_delivered', 1, 0], ['relay_misbehaved', 1, 1]), () => [
      lie('receiver', change, approved),
    ]),
  ]),
  attack('show no view at all', 'receiver', ends(['handshake_timeout', 0, 0], ['waits', 0, 0]), () => [
    lie('receiver', () => undefined),
  ]),
  // The sender's sealed hello says it, whatever the view says.
  attack('show an old view again', 'receiver', GOOD, () => [stale('receiver')]),
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

const CLOSES = [
  ['completed', 'closed_by_sender'],
  ['closed_by_sender', 'closed_by_sender'],
  ['expired', 'expired'],
  ['shutting_down', 'shutting_down'],
  [undefined, 'session_lost'],
] as const

const closing = (reason: CloseReason | undefined) => (view: View) => {
  const { reason: _, ...rest } = view
  return { ...rest, state: 'closed' as const, ...(reason ? { reason } : {}) }
}

const closes = CLOSES.flatMap(([reason, names]) => [
  attack(`close, ${reason ?? 'without a reason'}`, 'sender', ends([names, 1, undefined], ['revoked', 1, 1]), () => [
    lie('sender', closing(reason), approved),
  ]),
  attack(`close, ${reason ?? 'without a reason'}`, 'receiver', ends(['waits', 1, 0], [names, 1, 1]), () => [
    lie('receiver', closing(reason), approved),
  ]),
])

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

const saying = (against: Role, bytes: string | Uint8Array): Operator => ({
  name: 'nonsense',
  data(frame, relay) {
    const to = against === 'sender' ? relay.meeting.plug : frame.guest.plug
    if (frame.from !== against && frame.seq === 1) to?.say(bytes)
    return [frame]
  },
})

const nonsense = NONSENSE.flatMap(([name, bytes]) => [
  attack(`say ${name}`, 'sender', UNSEEN, () => [saying('sender', bytes)]),
  attack(`say ${name}`, 'receiver', ends(['waits', 0, 0], ['relay_misbehaved', 0, 0]), () => [
    saying('receiver', bytes),
  ]),
])

export const viewCases: Case[] = [...toSender, ...toReceiver, ...closes, ...nonsense]

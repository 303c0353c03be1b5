import type { Role } from '../../../src/protocol/view.ts'
import { attack, BROKEN, type Case, type Ends, ends, GOOD, REFUSED, STUCK, UNANSWERED, UNPROVEN } from './cases.ts'
import {
  delay,
  isMessage,
  lie,
  lieAboutRow,
  MESSAGES,
  type Message,
  messages,
  nothing,
  onFrame,
  onMessage,
  saying,
} from './operators.ts'
import { type Flying, type Operator, other } from './relay.ts'

/** Right bytes at the wrong time: never, late, twice. */

/** A device that waits in vain reports it after 20 s. The sender tells the relay, which may tell the receiver. */
const LATE = ends(['handshake_timeout', 0, 0], ['handshake_timeout', 0, 0])
const NEVER: Record<Message, Ends> = {
  m1: LATE,
  m2: LATE,
  m3: ends(['handshake_timeout', 0, 0], ['handshake_timeout', 0, 1]),
  m4: ends(['waits', 1, 0], ['handshake_timeout', 0, 1]),
}

/** A second copy under the next number is taken for the next message, which it is not. */
const TWICE: Record<Message, Ends> = {
  m1: BROKEN,
  m2: UNPROVEN,
  m3: UNPROVEN,
  m4: ends(['receiver_left', 1, 0], ['peer_misbehaved', 1, 1]),
}

/** Noise in front of a message is taken for it. */
const NOISE: Record<Message, Ends> = { m1: REFUSED, m2: UNANSWERED, m3: BROKEN, m4: UNPROVEN }

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
      ['approval', 'sender', 3, STUCK],
      ['offer', 'sender', 4, STUCK],
      ['content', 'sender', 5, STUCK],
      ['end', 'sender', 7, ends(['delivered', 1, 0], ['closed_by_sender', 1, 1])],
      ['hello', 'receiver', 3, STUCK],
      ['answer', 'receiver', 4, STUCK],
      ['receipt', 'receiver', 5, STUCK],
    ] as const
  ).flatMap(([name, from, seq, dropped]) => [
    attack(`drop the ${name} and what follows`, other(from), dropped, () => [holding(from, seq)]),
    attack(`delay the ${name} for 8 s`, other(from), GOOD, () => [holding(from, seq, 8_000)]),
  ]),
  attack('swap the order of content and its end', 'receiver', ends(['unconfirmed', 1, 0], ['corrupt', 1, 1]), () => {
    let content: Flying
    const swap = (frame: Flying) => {
      if (frame.seq === 6) return [frame, content]
      content = frame
      return []
    }
    return [onFrame('swap', ({ from, seq }) => from === 'sender' && (seq === 5 || seq === 6), swap)]
  }),
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

const alone = lie('receiver', (view) => ({ ...view, senderPresent: false }))

export const timingCases: Case[] = [
  ...payload,
  ...messages.flatMap((message) => {
    const by = (name: string, ends: Ends, attackers: Parameters<typeof attack>[3]) =>
      attack(name, other(MESSAGES[message].from), ends, attackers)
    return [
      by(`drop ${message}`, NEVER[message], () => [onMessage(message, nothing)]),
      by(`delay ${message} past the deadline`, NEVER[message], () => [delay(message, 25_000)]),
      by(`delay ${message} within the deadline`, GOOD, () => [delay(message, 15_000)]),
      by(`duplicate ${message} as the next message`, TWICE[message], () => [
        onMessage(message, (frame) => [frame, frame]),
      ]),
      by(`say noise before ${message}`, NOISE[message], ({ seed }) => [
        onMessage(message, (frame) => [...saying(seed.bytes(frame.ciphertext.length))(frame), frame]),
      ]),
    ]
  }),
  ...(['sender', 'receiver'] as const).flatMap((against) => [
    attack('duplicate every frame under its number', against, GOOD, () => [
      onFrame(
        'duplicate',
        ({ from }) => from !== against,
        (frame) => [frame, { ...frame, as: frame.seq }, { ...frame, as: 1, ciphertext: new Uint8Array(64) }],
      ),
    ]),
    attack(
      'leave a gap in the numbers',
      against,
      against === 'sender' ? BROKEN : ends(['waits', 1, 0], ['peer_misbehaved', 0, 1]),
      () => [onMessage(against === 'sender' ? 'm3' : 'm4', (frame) => [{ ...frame, as: 3 }])],
    ),
  ]),
  attack('swap the order of m4 and the payload', 'receiver', UNPROVEN, () => [
    onMessage('m4', (frame) => [...saying(new Uint8Array(17))(frame), frame]),
  ]),
  attack('say that nobody is present', 'sender', GOOD, () => [
    lieAboutRow('sender', { present: false }),
    delay('m1', 50_000),
  ]),
  attack('say that nobody is present', 'receiver', GOOD, () => [alone, delay('m4', 50_000)]),
  attack('say that nobody is present any more', 'sender', GOOD, () => [
    absentFromNow('sender'),
    alone,
    delay('m3', 50_000),
  ]),
  attack('say that nobody is present any more', 'receiver', GOOD, () => [
    absentFromNow('receiver'),
    delay('m4', 50_000),
  ]),
]

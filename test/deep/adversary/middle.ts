import { M2, M4, split } from '../../../src/crypto/handshake-messages.ts'
import type { KeySchedule } from '../../../src/crypto/transcript.ts'
import { BrokenReceiver, BrokenSender, type Flaw, Refused, twistOf } from './broken.ts'
import { type Answer, HandmadeReceiver, HandmadeSender, type Knowledge, open, pointOf } from './handmade.ts'
import { keyOf, knowledgeOf, secretOf } from './impostors.ts'
import type { Operator } from './relay.ts'
import { play } from './scenario.ts'
import type { Seed } from './seed.ts'

/**
 * A man in the middle who knows the whole code. He is the receiver to the sender and the sender to the receiver; the two
 * people compare numbers, and he wins if both see the same. Here two digits count instead of six, so that luck shows.
 */

/** Outcome of a run. A number is absent where nobody saw any. */
export interface Meddling {
  readonly atSender: string | undefined
  readonly atReceiver: string | undefined
  /** Rows at the sender. */
  readonly rows: number
  /** Numbers of a run with the sender that he learnt while there was no row for it. */
  readonly unseen: number
}

const M3_BYTES = 64
const same = (a: string, b: string) => a.slice(-2) === b.slice(-2)
export const collides = ({ atSender, atReceiver }: Meddling, digits = 2): boolean =>
  atSender !== undefined && atReceiver !== undefined && atSender.slice(-digits) === atReceiver.slice(-digits)

/** In which order he talks to the two, and what else he tries. */
export const ORDERS = [
  'the sender first',
  'the receiver first',
  'both at once',
  'a second m2 under the old number',
  'a second m2 as the next message',
  'another nonce than he committed to',
  'the sender is told that all is over',
] as const
export type Order = (typeof ORDERS)[number]

/** Against the real SDK on both sides. */
export async function meddle(order: Order, seed: Seed): Promise<Meddling> {
  const early: string[] = []
  const outcome = await play({ seed, operators: (_, code) => [middle(order, seed, () => secretOf(code()), early)] })
  const { rows } = outcome.sender
  const unseen = rows.filter((number) => early.includes(number)).length
  return { atSender: rows[0], atReceiver: outcome.receiver.number, rows: rows.length, unseen }
}

/** `early`: all that he can make of what he has before he sends m3, in the place of a number that he should not know yet. */
function middle(order: Order, seed: Seed, secret: () => string, early: string[]): Operator {
  const random = (length: number) => seed.bytes(length)
  let receiver: HandmadeReceiver
  let sender: Answer
  let theirM2: Uint8Array
  let theirM3: Uint8Array
  let atSender: string
  return {
    name: 'middle',
    join(request, { meeting }) {
      const sessionId = new Uint8Array(Buffer.from(meeting.sessionId, 'base64url'))
      const { receiverCode } = request
      receiver = new HandmadeReceiver({ locator: meeting.locator, receiverCode, sessionId, secret: secret() }, random)
      return { ...request, publicKey: Buffer.from(receiver.publicKey).toString('base64url') }
    },
    data(frame, relay) {
      const say = (from: 'sender' | 'receiver', ciphertext: Uint8Array, as?: number) =>
        relay.deliver({ ...frame, from, ciphertext, ...(as === undefined ? {} : { as }) })
      const sendM4 = () => {
        const keys = sender.keys(pointOf(theirM3))
        const opened = order === 'another nonce than he committed to' ? grind(random, keys, atSender) : sender.nonce
        say('sender', open(keys, theirM3, opened))
      }
      if (frame.seq > 2) {
        // An m3 for the second m2, which no receiver says.
        if (order === 'a second m2 as the next message' && frame.ciphertext.length === M3_BYTES) {
          theirM3 = frame.ciphertext
          sendM4()
        }
        return []
      }
      if (frame.from === 'receiver' && frame.seq === 1) {
        const attacker = new HandmadeSender(knowledgeOf(frame, secret()), random)
        sender = attacker.answer(frame.ciphertext, keyOf(frame))
        if (order === 'the receiver first') say('sender', sender.m2)
        else say('receiver', receiver.m1)
      } else if (frame.from === 'sender' && frame.seq === 1) {
        theirM2 = frame.ciphertext
        const keys = receiver.keys(theirM2)
        for (const field of [...split(theirM2, M2), new Uint8Array(32)])
          early.push(keys.matchNumber(field.slice(0, 32)))
        if (order === 'both at once') say('sender', sender.m2)
        else say('receiver', receiver.m3(theirM2))
      } else if (frame.from === 'receiver') {
        theirM3 = frame.ciphertext
        if (order === 'the receiver first') say('receiver', receiver.m1)
        else if (order === 'both at once') say('receiver', receiver.m3(theirM2))
        else {
          if (order === 'a second m2 as the next message') {
            // Now that he knows the receiver's point, he would commit to a nonce that gives the right number.
            sender = fitting(sender, random, pointOf(theirM3), atSender)
            say('sender', sender.m2)
            return []
          }
          if (order === 'a second m2 under the old number') say('sender', sender.withNonce(random(32)).m2, 1)
          sendM4()
        }
      } else if (order === 'the receiver first' || order === 'both at once') sendM4()
      else {
        atSender = receiver.keys(theirM2).matchNumber(split(frame.ciphertext, M4)[0])
        say('sender', sender.m2)
        if (order === 'the sender is told that all is over') relay.close(frame.meeting, 'closed_by_sender')
      }
      return []
    },
  }
}

/** Draws nonces until one gives a number that ends as the other one does. */
function grind(random: Random, keys: Pick<KeySchedule, 'matchNumber'>, wanted: string): Uint8Array {
  for (;;) {
    const nonce = random(32)
    if (same(keys.matchNumber(nonce), wanted)) return nonce
  }
}

/** The same answer with the nonce that he should have committed to, if he had known the receiver's point. */
function fitting(answer: Answer, random: Random, point: Uint8Array, wanted: string): Answer {
  const matchNumber = (nonce: Uint8Array) => answer.withNonce(nonce).keys(point).matchNumber(nonce)
  return answer.withNonce(grind(random, { matchNumber }, wanted))
}

type Random = (length: number) => Uint8Array

/** Against builds with a flaw: as far as that flaw lets him. */
export function meddleWithBuild(flaw: Flaw, seed: Seed): Meddling {
  const random = (length: number) => seed.bytes(length)
  const known: Knowledge = { locator: 'K7QM3', secret: 'XPDT2', receiverCode: '7F3KQ2', sessionId: seed.bytes(16) }
  const realReceiver = new BrokenReceiver(flaw, known, random)
  const attacker = new HandmadeSender(known, random, twistOf(flaw).sender)
  let answer = attacker.answer(realReceiver.m1, realReceiver.publicKey)
  const Yb = () => pointOf(realReceiver.answerM2(answer.m2))
  const atReceiver = () => answer.keys(Yb()).matchNumber(answer.nonce)
  if (flaw === 'n_S lies open in m2') return peek(known, random, atReceiver())
  if (flaw === 'n_S lies open and commit_R is not checked') return reopen(known, random, atReceiver())

  const atSender = pairWithSender(flaw, known, random)
  const better = (point: Uint8Array) => fitting(answer, random, point, atSender)
  try {
    if (flaw === 'commit_R hides nothing') {
      // m1 shows the receiver's point before he has said anything.
      answer = better(realReceiver.m1.subarray(32, 64))
    }
    if (flaw === 'a second m2 is answered') answer = better(Yb())
    const m3 = realReceiver.answerM2(answer.m2)
    const keys = answer.keys(pointOf(m3))
    const opened = flaw === 'commit_S is not checked' ? grind(random, keys, atSender) : answer.nonce
    return { atSender, atReceiver: realReceiver.finish(open(keys, m3, opened)), rows: 1, unseen: 0 }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return { atSender, atReceiver: undefined, rows: 1, unseen: 0 }
  }
}

/** Makes a row, and says its number. Where nobody checks commit_R he does not even have one. */
function pairWithSender(flaw: Flaw, known: Knowledge, random: Random): string {
  const twist = flaw === 'commit_R is not checked' ? { commitment: () => random(32) } : twistOf(flaw).receiver
  const attacker = new HandmadeReceiver(known, random, twist)
  const realSender = new BrokenSender(flaw, known, random)
  const m2 = realSender.answerM1(attacker.m1, attacker.publicKey)
  return realSender.answerM3(attacker.m3(m2)).number
}

/** Looks at the sender's nonce in m2, and continues only with a run that has the right number: the others are never seen. */
function peek(known: Knowledge, random: Random, atReceiver: string): Meddling {
  const flaw = 'n_S lies open in m2'
  const HANDSHAKES = 8
  for (let unseen = 0; unseen < HANDSHAKES; unseen++) {
    const attacker = new HandmadeReceiver(known, random, twistOf(flaw).receiver)
    const realSender = new BrokenSender(flaw, known, random)
    const m2 = realSender.answerM1(attacker.m1, attacker.publicKey)
    const number = attacker.keys(m2).matchNumber(split(m2, M2)[1])
    if (!same(number, atReceiver)) continue
    const { m4 } = realSender.answerM3(attacker.m3(m2))
    return { atSender: attacker.keys(m2).matchNumber(split(m4, M4)[0]), atReceiver, rows: 1, unseen }
  }
  return { atSender: undefined, atReceiver, rows: 0, unseen: HANDSHAKES }
}

/** Looks at the sender's nonce in m2, and then takes the point that gives the right number: one run, one row. */
function reopen(known: Knowledge, random: Random, atReceiver: string): Meddling {
  const flaw = 'n_S lies open and commit_R is not checked'
  const attacker = new HandmadeReceiver(known, random)
  const realSender = new BrokenSender(flaw, known, random)
  const m2 = realSender.answerM1(attacker.m1, attacker.publicKey)
  while (!same(attacker.keys(m2).matchNumber(split(m2, M2)[1]), atReceiver)) attacker.reopen(random)
  return { atSender: realSender.answerM3(attacker.m3(m2)).number, atReceiver, rows: 1, unseen: 0 }
}

/** Reports whether a count fits chance. Each bound is passed once in ten thousand times. */
export function withinChance(hits: number, tries: number, p: number): boolean {
  let term = (1 - p) ** tries
  let atMost = 0
  for (let k = 0; k <= hits; k++) {
    atMost += term
    if (k === hits) break
    term *= (((tries - k) / (k + 1)) * p) / (1 - p)
  }
  return atMost > 1e-4 && 1 - atMost + term > 1e-4
}

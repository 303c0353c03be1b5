import nacl from 'tweetnacl'
import { M1, M2, M3, M4, split } from '../../../src/crypto/handshake-messages.ts'
import { associateReceiver, commitReceiver, commitSender, type KeySchedule } from '../../../src/crypto/transcript.ts'
import { type Answer, HandmadeReceiver, HandmadeSender, type Knowledge, open, pointOf, type Twist } from './handmade.ts'

/**
 * DELIBERATELY BROKEN BUILDS. Both honest sides, put together from the real building blocks, with one protection left
 * out: what the man in the middle must win against, or he would prove nothing about the real ones. With the flaw `none`
 * they say byte for byte what the real ones say, and a test holds them to it.
 */
export const FLAWS = [
  'none',
  'commit_S is not checked',
  'commit_R hides nothing',
  'commit_R is not checked',
  'a second m2 is answered',
  'n_S lies open in m2',
  'n_S lies open and commit_R is not checked',
] as const
export type Flaw = (typeof FLAWS)[number]

type Random = (length: number) => Uint8Array

const opensNonce = (flaw: Flaw) => flaw.startsWith('n_S lies open')
const ignoresReceiver = (flaw: Flaw) => flaw.endsWith('commit_R is not checked')

/** How a build with this flaw, and whoever talks to it, fills the field of the commitment. */
export const twistOf = (flaw: Flaw): { readonly sender: Twist; readonly receiver: Twist } => ({
  sender: opensNonce(flaw) ? { commitment: (_, nonce) => nonce } : {},
  receiver: flaw === 'commit_R hides nothing' ? { commitment: (point) => point } : {},
})

/** A side that found something wrong. */
export class Refused extends Error {
  override readonly name = 'Refused'
}

export class BrokenReceiver {
  readonly m1: Uint8Array
  readonly publicKey: Uint8Array
  readonly #flaw: Flaw
  readonly #side: HandmadeReceiver
  #m2: Uint8Array | undefined
  #m3: Uint8Array | undefined

  constructor(flaw: Flaw, known: Knowledge, random: Random) {
    this.#flaw = flaw
    this.#side = new HandmadeReceiver(known, random, twistOf(flaw).receiver)
    this.m1 = this.#side.m1
    this.publicKey = this.#side.publicKey
  }

  answerM2(m2: Uint8Array): Uint8Array {
    if (this.#m2 && this.#flaw !== 'a second m2 is answered') throw new Refused()
    this.#m2 = m2
    this.#m3 = this.#side.m3(m2)
    return this.#m3
  }

  /** The match number that the person is shown. */
  finish(m4: Uint8Array): string {
    if (!this.#m2 || !this.#m3) throw new Refused()
    const [nonce, tag] = split(m4, M4)
    const committed = opensNonce(this.#flaw) ? nonce : commitSender(nonce)
    const keeps = nacl.verify(committed, split(this.#m2, M2)[1])
    if (!keeps && this.#flaw !== 'commit_S is not checked') throw new Refused()
    const keys = this.#side.keys(this.#m2)
    if (!nacl.verify(keys.confirmSender(this.#m3.subarray(32), nonce), tag)) throw new Refused()
    return keys.matchNumber(nonce)
  }
}

export class BrokenSender {
  readonly #flaw: Flaw
  readonly #known: Knowledge
  readonly #side: HandmadeSender
  #answer: Answer | undefined
  #theirs: { m1: Uint8Array; publicKey: Uint8Array } | undefined

  constructor(flaw: Flaw, known: Knowledge, random: Random) {
    this.#flaw = flaw
    this.#known = known
    this.#side = new HandmadeSender(known, random, twistOf(flaw).sender)
  }

  answerM1(m1: Uint8Array, publicKey: Uint8Array): Uint8Array {
    this.#theirs = { m1, publicKey }
    this.#answer = this.#side.answer(m1, publicKey)
    return this.#answer.m2
  }

  /** From here on there is a row with this number. */
  answerM3(m3: Uint8Array): { m4: Uint8Array; number: string } {
    if (!this.#answer || !this.#theirs) throw new Refused()
    const { m1, publicKey } = this.#theirs
    const [nonce, committed, mlKemPublicKey] = split(m1, M1)
    const [Yb, tag] = split(m3, M3)
    const { receiverCode } = this.#known
    const ADb = associateReceiver({ receiverCode, publicKey, nonce, mlKemPublicKey })
    const expected = this.#flaw === 'commit_R hides nothing' ? Yb : commitReceiver(Yb, ADb)
    const keeps = nacl.verify(expected, committed)
    if (!keeps && !ignoresReceiver(this.#flaw)) throw new Refused()
    const keys: KeySchedule = this.#answer.keys(pointOf(m3))
    if (!nacl.verify(keys.confirmReceiver(), tag)) throw new Refused()
    return { m4: open(keys, m3, this.#answer.nonce), number: keys.matchNumber(this.#answer.nonce) }
  }
}

import { concatBytes } from '@noble/hashes/utils.js'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import nacl from 'tweetnacl'
import { generator, intermediateSessionKey, multiply, sampleScalar, transcript } from '../../../src/crypto/cpace.ts'
import { LABEL, lv } from '../../../src/crypto/encoding.ts'
import { M1, M2, M3, split } from '../../../src/crypto/handshake-messages.ts'
import { Secrets } from '../../../src/crypto/secrets.ts'
import {
  channelIdentifier,
  commitReceiver,
  commitSender,
  type Exchange,
  hashTranscript,
  KeySchedule,
  sessionIdentifier,
} from '../../../src/crypto/transcript.ts'

/**
 * The two sides of the handshake by hand, without a single check: what attackers are made of, and broken builds. The
 * order in which they draw random bytes is that of the real ones.
 */

/** Knowledge of a side. Without the secret half it makes something up. */
export interface Knowledge {
  readonly locator: string
  readonly secret: string
  readonly receiverCode: string
  readonly sessionId: Uint8Array
}

/** Where an attacker leaves the rules; K and dh are what it hopes that the other side computes. */
export interface Twist {
  readonly suiteOfSender?: number
  readonly suiteOfReceiver?: number
  readonly point?: Uint8Array
  readonly K?: Uint8Array
  readonly publicKey?: Uint8Array
  readonly dh?: Uint8Array
  /** Goes where the commitment goes, without being one. */
  readonly commitment?: (point: Uint8Array, nonce: Uint8Array) => Uint8Array
}

type Random = (length: number) => Uint8Array

/** Secrets of attackers need no wiping. */
class Careless extends Secrets {
  override hold(bytes: Uint8Array): Uint8Array {
    return bytes
  }
}

const associateSender = (suite: number, ...fields: Uint8Array[]) =>
  lv(`${LABEL}sender`, Uint8Array.of(suite), ...fields)
const associateReceiver = (suite: number, receiverCode: string, ...fields: Uint8Array[]) =>
  lv(`${LABEL}receiver`, Uint8Array.of(suite), receiverCode, ...fields)

function schedule(exchange: Exchange, K: Uint8Array, dh: Uint8Array, kem: Uint8Array): KeySchedule {
  const { sid, Ya, ADa, Yb, ADb } = exchange
  const isk = intermediateSessionKey(sid, K, transcript(Ya, ADa, Yb, ADb))
  return new KeySchedule(new Careless(), { isk, dh, kem }, hashTranscript(exchange))
}

export class HandmadeReceiver {
  readonly publicKey: Uint8Array
  readonly m1: Uint8Array
  readonly #known: Knowledge
  readonly #twist: Twist
  readonly #secretKey: Uint8Array
  readonly #mlKemSecretKey: Uint8Array
  readonly #generator: Uint8Array
  #scalar: Uint8Array
  #exchange: Omit<Exchange, 'Ya' | 'ADa'>
  readonly #commitment: Uint8Array

  constructor(known: Knowledge, random: Random, twist: Twist = {}) {
    const { locator, secret, receiverCode } = known
    this.#known = known
    this.#twist = twist
    this.#secretKey = random(32)
    this.publicKey = twist.publicKey ?? nacl.scalarMult.base(this.#secretKey)
    const nonce = random(32)
    this.#scalar = sampleScalar(random(32))
    const mlKem = ml_kem768.keygen(random(64))
    this.#mlKemSecretKey = mlKem.secretKey
    const channel = channelIdentifier(locator, receiverCode)
    const sid = sessionIdentifier(nonce)
    this.#generator = generator(secret, channel, sid)
    const Yb = twist.point ?? multiply(this.#scalar, this.#generator)
    const ADb = associateReceiver(twist.suiteOfReceiver ?? 1, receiverCode, this.publicKey, nonce, mlKem.publicKey)
    this.#exchange = { channel, sid, Yb, ADb }
    this.#commitment = twist.commitment?.(Yb, nonce) ?? commitReceiver(Yb, ADb)
    this.m1 = concatBytes(nonce, this.#commitment, mlKem.publicKey)
  }

  /** Takes another point than the one that m1 was bound to. */
  reopen(random: Random): void {
    this.#scalar = sampleScalar(random(32))
    this.#exchange = { ...this.#exchange, Yb: multiply(this.#scalar, this.#generator) }
  }

  keys(m2: Uint8Array): KeySchedule {
    const { K, dh, suiteOfSender = 1 } = this.#twist
    const [publicKey, commitment, Ya, ct] = split(m2, M2)
    const { sessionId } = this.#known
    const ADa = associateSender(suiteOfSender, sessionId, publicKey, commitment, this.#commitment, ct)
    return schedule(
      { ...this.#exchange, Ya, ADa },
      K ?? multiply(this.#scalar, Ya),
      dh ?? nacl.scalarMult(this.#secretKey, publicKey),
      ml_kem768.decapsulate(ct, this.#mlKemSecretKey),
    )
  }

  m3(m2: Uint8Array): Uint8Array {
    return concatBytes(this.#exchange.Yb, this.keys(m2).confirmReceiver())
  }
}

export class HandmadeSender {
  readonly publicKey: Uint8Array
  readonly nonce: Uint8Array
  readonly #known: Knowledge
  readonly #twist: Twist
  readonly #secretKey: Uint8Array
  readonly #scalar: Uint8Array
  readonly #mlKemRandomness: Uint8Array

  constructor(known: Knowledge, random: Random, twist: Twist = {}) {
    this.#known = known
    this.#twist = twist
    this.#secretKey = random(32)
    this.publicKey = twist.publicKey ?? nacl.scalarMult.base(this.#secretKey)
    this.nonce = random(32)
    this.#scalar = sampleScalar(random(32))
    this.#mlKemRandomness = random(32)
  }

  /** Answers m1. The costly part is done once, for all nonces. */
  answer(m1: Uint8Array, theirPublicKey: Uint8Array): Answer {
    const { point, K, dh, commitment, suiteOfSender = 1, suiteOfReceiver = 1 } = this.#twist
    const { locator, secret, receiverCode, sessionId } = this.#known
    const [receiverNonce, receiverCommitment, ek] = split(m1, M1)
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(ek, this.#mlKemRandomness)
    const channel = channelIdentifier(locator, receiverCode)
    const sid = sessionIdentifier(receiverNonce)
    const Ya = point ?? multiply(this.#scalar, generator(secret, channel, sid))
    const ADb = associateReceiver(suiteOfReceiver, receiverCode, theirPublicKey, receiverNonce, ek)
    const myDh = dh ?? nacl.scalarMult(this.#secretKey, theirPublicKey)
    const products = new Map<string, Uint8Array>()
    const times = (Yb: Uint8Array) => {
      const product = K ?? products.get(Yb.join()) ?? multiply(this.#scalar, Yb)
      products.set(Yb.join(), product)
      return product
    }
    const withNonce = (nonce: Uint8Array): Answer => {
      const committed = commitment?.(Ya, nonce) ?? commitSender(nonce)
      const ADa = associateSender(suiteOfSender, sessionId, this.publicKey, committed, receiverCommitment, cipherText)
      return {
        nonce,
        m2: concatBytes(this.publicKey, committed, Ya, cipherText),
        keys: (Yb) => schedule({ channel, sid, Ya, ADa, Yb, ADb }, times(Yb), myDh, sharedSecret),
        withNonce,
      }
    }
    return withNonce(this.nonce)
  }
}

export interface Answer {
  readonly nonce: Uint8Array
  readonly m2: Uint8Array
  keys(Yb: Uint8Array): KeySchedule
  /** The same side, had it drawn another nonce. */
  withNonce(nonce: Uint8Array): Answer
}

/** The m4 that opens a nonce, whatever was committed to. */
export const open = (keys: KeySchedule, m3: Uint8Array, nonce: Uint8Array): Uint8Array =>
  concatBytes(nonce, keys.confirmSender(m3.subarray(32), nonce))

export const pointOf = (m3: Uint8Array): Uint8Array => split(m3, M3)[0]

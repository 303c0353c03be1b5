/** Handshakes with the first vector's values, and attackers that speak the protocol by hand. */
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import nacl from 'tweetnacl'
import { generator, intermediateSessionKey, multiply, sampleScalar, transcript } from '../../src/crypto/cpace.ts'
import { ReceiverHandshake, SenderHandshake } from '../../src/crypto/handshake.ts'
import { Secrets } from '../../src/crypto/secrets.ts'
import {
  associateReceiver,
  associateSender,
  channelIdentifier,
  commitReceiver,
  commitSender,
  type Exchange,
  hashTranscript,
  KeySchedule,
  sessionIdentifier,
} from '../../src/crypto/transcript.ts'
import { codeOf, fromHex, handshakeVectors, scriptedRandom, toBase64url } from './support.ts'

const vector = handshakeVectors[0]
const { inputs } = vector
export const code = codeOf(inputs.locator, inputs.secret)
export const receiverCode = inputs.receiverCode
export const sessionIdBytes = fromHex(inputs.sessionId)
export const sessionId = toBase64url(sessionIdBytes)
export const publicKey = fromHex(vector.m1.publicKey)
export const m1 = fromHex(vector.m1.frame)
export const m2 = fromHex(vector.m2)
export const m3 = fromHex(vector.m3)
export const m4 = fromHex(vector.m4)

export type SenderOverrides = Partial<ConstructorParameters<typeof SenderHandshake>[0]>

/** The sender of the first vector; with nothing overridden it answers m1 with m2 and m3 with m4. */
export function newSender(overrides: SenderOverrides = {}): SenderHandshake {
  const { secretKey, nonce, scalarBytes, mlKemRandomness } = inputs.sender
  const random = scriptedRandom(secretKey, nonce, scalarBytes, mlKemRandomness)
  return new SenderHandshake({ code, sessionId, receiverCode, receiverPublicKey: publicKey, random, ...overrides })
}

/** The receiver of the first vector; with nothing overridden it starts with m1 and answers m2 with m3. */
export function newReceiver(typedCode = code): ReceiverHandshake {
  const { secretKey, nonce, scalarBytes, mlKemSeed } = inputs.receiver
  const random = scriptedRandom(secretKey, nonce, scalarBytes, mlKemSeed)
  return new ReceiverHandshake({ code: typedCode, receiverCode, random })
}

export const senderAwaitingM3 = (): SenderHandshake => {
  const sender = newSender()
  sender.answerM1(m1)
  return sender
}

export const receiverAwaitingM2 = (typedCode = code): ReceiverHandshake => {
  const receiver = newReceiver(typedCode)
  receiver.start(sessionId)
  return receiver
}

export const receiverAwaitingM4 = (): ReceiverHandshake => {
  const receiver = receiverAwaitingM2()
  receiver.answerM2(m2)
  return receiver
}

/** Values of an attacker in place of honest ones. Left out, it plays by the rules. */
export interface Forgery {
  readonly secret?: string
  readonly publicKey?: Uint8Array
  /** The X25519 result the attacker counts on. */
  readonly dh?: Uint8Array
  readonly point?: Uint8Array
  /** The CPace result the attacker counts on. */
  readonly K?: Uint8Array
  readonly tag?: Uint8Array
  /** The nonce a sender opens, whatever it committed to. */
  readonly opens?: Uint8Array
}

const scalar = sampleScalar(new Uint8Array(32).fill(0x42))
const secretKey = new Uint8Array(32).fill(0x43)
const nonce = new Uint8Array(32).fill(0x44)
const channel = channelIdentifier(code.locator, receiverCode)
const schedule = (exchange: Exchange, K: Uint8Array, dh: Uint8Array, kem: Uint8Array): KeySchedule => {
  const { sid, Ya, ADa, Yb, ADb } = exchange
  const isk = intermediateSessionKey(sid, K, transcript(Ya, ADa, Yb, ADb))
  return new KeySchedule(new Secrets(), { isk, dh, kem }, hashTranscript(exchange))
}

/** A receiver built by hand: commits to whatever it likes, and derives its keys from what it hopes the sender computes. */
export function attackingReceiver(forgery: Forgery = {}) {
  const myPublicKey = forgery.publicKey ?? nacl.scalarMult.base(secretKey)
  const mlKem = ml_kem768.keygen(new Uint8Array(64).fill(0x45))
  const sid = sessionIdentifier(nonce)
  const Yb = forgery.point ?? multiply(scalar, generator(forgery.secret ?? code.secret, channel, sid))
  const ADb = associateReceiver({ receiverCode, publicKey: myPublicKey, nonce, mlKemPublicKey: mlKem.publicKey })
  const receiverCommitment = commitReceiver(Yb, ADb)
  return {
    publicKey: myPublicKey,
    m1: Buffer.concat([nonce, receiverCommitment, mlKem.publicKey]),
    answerM2(theirs: Uint8Array): Uint8Array {
      const [theirKey, senderCommitment, Ya] = [theirs.slice(0, 32), theirs.slice(32, 64), theirs.slice(64, 96)]
      const mlKemCiphertext = theirs.slice(96)
      const mine = { sessionId: sessionIdBytes, senderCommitment, receiverCommitment, mlKemCiphertext }
      const ADa = associateSender({ ...mine, publicKey: theirKey })
      const K = forgery.K ?? multiply(scalar, Ya)
      const dh = forgery.dh ?? nacl.scalarMult(secretKey, theirKey)
      const kem = ml_kem768.decapsulate(mlKemCiphertext, mlKem.secretKey)
      const keys = schedule({ channel, sid, Ya, ADa, Yb, ADb }, K, dh, kem)
      return Buffer.concat([Yb, forgery.tag ?? keys.confirmReceiver()])
    },
  }
}

/** A sender built by hand, the same way. */
export function attackingSender(forgery: Forgery = {}) {
  const myPublicKey = forgery.publicKey ?? nacl.scalarMult.base(secretKey)
  const senderCommitment = commitSender(nonce)
  let contribution: Omit<Exchange, 'Yb'>
  let kem: Uint8Array
  let theirKey: Uint8Array
  return {
    answerM1(theirPublicKey: Uint8Array, theirs: Uint8Array): Uint8Array {
      const [theirNonce, receiverCommitment, mlKemPublicKey] = [
        theirs.slice(0, 32),
        theirs.slice(32, 64),
        theirs.slice(64),
      ]
      const { cipherText, sharedSecret } = ml_kem768.encapsulate(mlKemPublicKey, new Uint8Array(32).fill(0x46))
      const sid = sessionIdentifier(theirNonce)
      const Ya = forgery.point ?? multiply(scalar, generator(forgery.secret ?? code.secret, channel, sid))
      const mine = { sessionId: sessionIdBytes, senderCommitment, receiverCommitment, mlKemCiphertext: cipherText }
      const ADa = associateSender({ ...mine, publicKey: myPublicKey })
      const ADb = associateReceiver({ receiverCode, publicKey: theirPublicKey, nonce: theirNonce, mlKemPublicKey })
      contribution = { channel, sid, Ya, ADa, ADb }
      kem = sharedSecret
      theirKey = theirPublicKey
      return Buffer.concat([myPublicKey, senderCommitment, Ya, cipherText])
    },
    answerM3(theirs: Uint8Array): Uint8Array {
      const [Yb, receiverTag] = [theirs.slice(0, 32), theirs.slice(32)]
      const K = forgery.K ?? multiply(scalar, Yb)
      const dh = forgery.dh ?? nacl.scalarMult(secretKey, theirKey)
      const opened = forgery.opens ?? nonce
      return Buffer.concat([opened, schedule({ ...contribution, Yb }, K, dh, kem).confirmSender(receiverTag, opened)])
    },
  }
}

/**
 * The pairing handshake, suite 1, as two state machines over bytes; `handshake-messages.ts` shows the four messages. commit_R in
 * m1 fixes the receiver first, commit_S in m2 fixes the sender before m3 opens commit_R: six digits suffice for that order.
 */

import { concatBytes } from '@noble/hashes/utils.js'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import nacl from 'tweetnacl'
import { generator, multiply, sampleScalar } from './cpace.ts'
import { encodeCrockford } from './encoding.ts'
import { HandshakeError } from './handshake-error.ts'
import { decodeSessionId, M1, M2, M3, M4, requirePublicKey, requireReceiverCode, split } from './handshake-messages.ts'
import type { PairingCode } from './pairing-code.ts'
import { type RandomBytes, Secrets } from './secrets.ts'
import {
  agree,
  associateReceiver,
  associateSender,
  channelIdentifier,
  commitReceiver,
  commitSender,
  DEFAULT_PROFILE,
  type Exchange,
  type KeySchedule,
  sessionIdentifier,
} from './transcript.ts'

export { HandshakeError } from './handshake-error.ts'

/** The other device, proven to know the secret of the code. The keys are the caller's: no `wipe` here touches them. */
export interface VerifiedPeer {
  /** Six digits, for `formatMatchNumber`. Both people must see the same ones. */
  readonly matchNumber: string
  /** 32 Crockford symbols, for experts. */
  readonly fingerprint: string
  /** 64-byte traffic secret of what this side sends; `messageKey` makes message keys of it. */
  readonly sendKey: Uint8Array
  /** 64-byte traffic secret of what this side receives. */
  readonly receiveKey: Uint8Array
  /** 32 bytes by which a later session proves that it goes on with a transfer. */
  readonly resumeSecret: Uint8Array
}

/** Overwrites the keys of a peer. */
export function wipeKeys({ sendKey, receiveKey, resumeSecret }: VerifiedPeer): void {
  for (const key of [sendKey, receiveKey, resumeSecret]) key.fill(0)
}

/** `482913` → `482 913`, as people compare it. */
export function formatMatchNumber(matchNumber: string): string {
  return `${matchNumber.slice(0, 3)} ${matchNumber.slice(3)}`
}

/** A receiver that joined, as the relay tells its sender. `sessionId`: 22 characters of base64url. */
interface SenderHandshakeOptions {
  readonly code: PairingCode
  readonly sessionId: string
  readonly receiverCode: string
  readonly receiverPublicKey: Uint8Array
  /** Both profiles as they went through the relay: the suite in the first byte. Default: that byte alone. */
  readonly profile?: Uint8Array
  readonly receiverProfile?: Uint8Array
  readonly random: RandomBytes
}

type SenderState =
  | { readonly awaits: 'm1'; readonly options: SenderHandshakeOptions; readonly sessionId: Uint8Array }
  | {
      readonly awaits: 'm3'
      readonly exchange: Omit<Exchange, 'Yb'>
      readonly receiverCommitment: Uint8Array
      readonly receiverPublicKey: Uint8Array
      readonly secretKey: Uint8Array
      readonly scalar: Uint8Array
      readonly nonce: Uint8Array
      readonly kem: Uint8Array
    }
  | { readonly awaits: 'nothing' }

/**
 * The sender's side (CPace initiator) of one run with one receiver: `answerM1`, then `answerM3`, each once. Any failure
 * or call out of order throws HandshakeError, wipes the run and ends it. `random` is asked in `answerM1` for secretKey
 * (32), nonce (32), scalar (32) and ML-KEM randomness (32), in this order, and its arrays are overwritten.
 */
export class SenderHandshake {
  readonly #secrets = new Secrets()
  #state: SenderState = { awaits: 'nothing' }

  /** @throws HandshakeError if session id, receiver code or public key have the wrong shape */
  constructor(options: SenderHandshakeOptions) {
    this.#state = endOnFailure(this, () => {
      requirePublicKey(options.receiverPublicKey)
      requireReceiverCode(options.receiverCode)
      const receiverPublicKey = options.receiverPublicKey.slice() // pinned: a view into a buffer may change
      const sessionId = decodeSessionId(options.sessionId)
      return { awaits: 'm1', options: { ...options, receiverPublicKey }, sessionId }
    })
  }

  /** Takes m1 (1248 bytes), returns m2 (1184 bytes). */
  answerM1(m1: Uint8Array): Uint8Array {
    return endOnFailure(this, () => {
      const state = this.#state
      if (state.awaits !== 'm1') throw new HandshakeError()
      const { options, sessionId } = state
      const { code, receiverCode, receiverPublicKey, random } = options
      const { profile = DEFAULT_PROFILE, receiverProfile = DEFAULT_PROFILE } = options
      const [receiverNonce, receiverCommitment, mlKemPublicKey] = split(m1, M1)
      const secretKey = this.#secrets.draw(random, 32)
      const nonce = this.#secrets.draw(random, 32)
      const scalar = sampleScalar(this.#secrets.draw(random, 32))
      // Throws on a key outside the modulus (FIPS 203, 7.2).
      const kem = ml_kem768.encapsulate(mlKemPublicKey, this.#secrets.draw(random, 32))
      this.#secrets.hold(kem.sharedSecret)

      const publicKey = nacl.scalarMult.base(secretKey)
      const senderCommitment = commitSender(nonce)
      const channel = channelIdentifier(code.locator, receiverCode)
      const sid = sessionIdentifier(receiverNonce)
      const Ya = multiply(scalar, this.#secrets.hold(generator(code.secret, channel, sid)))
      const mlKemCiphertext = kem.cipherText
      const theirs = { profile: receiverProfile, receiverCode, publicKey: receiverPublicKey }
      const commitments = { senderCommitment, receiverCommitment }
      const ADa = associateSender({ profile, sessionId, publicKey, ...commitments, mlKemCiphertext })
      const ADb = associateReceiver({ ...theirs, nonce: receiverNonce, mlKemPublicKey })
      const exchange = { channel, sid, Ya, ADa, ADb }
      const secrets = { secretKey, scalar, nonce, kem: kem.sharedSecret }
      this.#state = { awaits: 'm3', exchange, receiverCommitment, receiverPublicKey, ...secrets }
      return concatBytes(publicKey, senderCommitment, Ya, mlKemCiphertext)
    })
  }

  /**
   * Takes m3 (64 bytes), returns m4 (64 bytes) and the peer.
   * @throws HandshakeError with `guessSpent` if only T_R was wrong: count it before looking at another m3
   */
  answerM3(m3: Uint8Array): { m4: Uint8Array; peer: VerifiedPeer } {
    return endOnFailure(this, () => {
      const state = this.#state
      if (state.awaits !== 'm3') throw new HandshakeError()
      const [Yb, receiverTag] = split(m3, M3)
      const exchange = { ...state.exchange, Yb }
      if (!nacl.verify(commitReceiver(Yb, exchange.ADb), state.receiverCommitment)) throw new HandshakeError()
      const keys = agree(this.#secrets, exchange, { ...state, theirPoint: Yb, theirPublicKey: state.receiverPublicKey })
      if (!nacl.verify(keys.confirmReceiver(), receiverTag)) throw new HandshakeError(true)
      const m4 = concatBytes(state.nonce, keys.confirmSender(receiverTag, state.nonce))
      const peer = {
        matchNumber: keys.matchNumber(state.nonce),
        fingerprint: encodeCrockford(keys.fingerprint()),
        sendKey: keys.trafficSenderToReceiver(),
        receiveKey: keys.trafficReceiverToSender(),
        resumeSecret: keys.resume(),
      }
      this.wipe()
      return { m4, peer }
    })
  }

  /** Ends the run and overwrites its secrets; safe at any time, any number of times. A returned peer keeps its keys. */
  wipe(): void {
    this.#secrets.wipe()
    this.#state = { awaits: 'nothing' }
  }
}

/** Input of a receiver before it joins: the typed code, and the receiver code to join under. */
interface ReceiverHandshakeOptions {
  readonly code: PairingCode
  readonly receiverCode: string
  /** As it goes through the relay. Default: the byte of the suite alone. */
  readonly profile?: Uint8Array
  readonly random: RandomBytes
}

type ReceiverState =
  | { readonly awaits: 'start'; readonly options: ReceiverHandshakeOptions; readonly secretKey: Uint8Array }
  | {
      readonly awaits: 'm2'
      readonly exchange: Omit<Exchange, 'Ya' | 'ADa'>
      readonly sessionId: Uint8Array
      readonly senderProfile: Uint8Array
      readonly receiverCommitment: Uint8Array
      readonly secretKey: Uint8Array
      readonly scalar: Uint8Array
      readonly mlKemSecretKey: Uint8Array
    }
  | {
      readonly awaits: 'm4'
      readonly keys: KeySchedule
      readonly receiverTag: Uint8Array
      readonly senderCommitment: Uint8Array
    }
  | { readonly awaits: 'nothing' }

/**
 * The receiver's side (CPace responder) of one run: join with `publicKey`, then `start`, `answerM2`, `finish`, each once.
 * Any failure or call out of order throws HandshakeError, wipes the run and ends it. `random` is asked in the constructor
 * for secretKey (32), in `start` for nonce (32), scalar (32) and ML-KEM seed (64), and its arrays are overwritten.
 */
export class ReceiverHandshake {
  /** X_R, 32 bytes, for the join. */
  readonly publicKey: Uint8Array
  readonly #secrets = new Secrets()
  #state: ReceiverState = { awaits: 'nothing' }

  /** @throws HandshakeError if the receiver code has the wrong shape */
  constructor(options: ReceiverHandshakeOptions) {
    const secretKey = endOnFailure(this, () => {
      requireReceiverCode(options.receiverCode)
      return this.#secrets.draw(options.random, 32)
    })
    this.publicKey = nacl.scalarMult.base(secretKey)
    this.#state = { awaits: 'start', options, secretKey }
  }

  /** Takes the session id (22 base64url characters) and the sender's profile as the join gave them, returns m1 (1248 bytes). */
  start(sessionId: string, senderProfile: Uint8Array = DEFAULT_PROFILE): Uint8Array {
    return endOnFailure(this, () => {
      const state = this.#state
      if (state.awaits !== 'start') throw new HandshakeError()
      const { secretKey, options } = state
      const { code, receiverCode, profile = DEFAULT_PROFILE, random } = options
      const nonce = this.#secrets.draw(random, 32)
      const scalar = sampleScalar(this.#secrets.draw(random, 32))
      const mlKem = ml_kem768.keygen(this.#secrets.draw(random, 64))
      const mlKemSecretKey = this.#secrets.hold(mlKem.secretKey)
      const mlKemPublicKey = mlKem.publicKey

      const channel = channelIdentifier(code.locator, receiverCode)
      const sid = sessionIdentifier(nonce)
      const Yb = multiply(scalar, this.#secrets.hold(generator(code.secret, channel, sid)))
      const ADb = associateReceiver({ profile, receiverCode, publicKey: this.publicKey, nonce, mlKemPublicKey })
      const receiverCommitment = commitReceiver(Yb, ADb)
      const exchange = { channel, sid, Yb, ADb }
      const theirs = { sessionId: decodeSessionId(sessionId), senderProfile: senderProfile.slice() }
      const mine = { secretKey, scalar, mlKemSecretKey }
      this.#state = { awaits: 'm2', exchange, receiverCommitment, ...theirs, ...mine }
      return concatBytes(nonce, receiverCommitment, mlKemPublicKey)
    })
  }

  /** Takes m2 (1184 bytes), returns m3 (64 bytes). Sending m3 is one of the receiver's guesses at the code. */
  answerM2(m2: Uint8Array): Uint8Array {
    return endOnFailure(this, () => {
      const state = this.#state
      if (state.awaits !== 'm2') throw new HandshakeError()
      const { sessionId, senderProfile: profile, receiverCommitment } = state
      const [publicKey, senderCommitment, Ya, mlKemCiphertext] = split(m2, M2)
      const commitments = { senderCommitment, receiverCommitment }
      const ADa = associateSender({ profile, sessionId, publicKey, ...commitments, mlKemCiphertext })
      const exchange = { ...state.exchange, Ya, ADa }
      const kem = this.#secrets.hold(ml_kem768.decapsulate(mlKemCiphertext, state.mlKemSecretKey))
      const keys = agree(this.#secrets, exchange, { ...state, kem, theirPoint: Ya, theirPublicKey: publicKey })
      const receiverTag = keys.confirmReceiver()
      this.#state = { awaits: 'm4', keys, receiverTag, senderCommitment }
      return concatBytes(exchange.Yb, receiverTag)
    })
  }

  /** Takes m4 (64 bytes), returns the sender as a verified peer. */
  finish(m4: Uint8Array): VerifiedPeer {
    return endOnFailure(this, () => {
      const state = this.#state
      if (state.awaits !== 'm4') throw new HandshakeError()
      const { keys } = state
      const [nonce, senderTag] = split(m4, M4)
      if (!nacl.verify(commitSender(nonce), state.senderCommitment)) throw new HandshakeError()
      if (!nacl.verify(keys.confirmSender(state.receiverTag, nonce), senderTag)) throw new HandshakeError()
      const peer = {
        matchNumber: keys.matchNumber(nonce),
        fingerprint: encodeCrockford(keys.fingerprint()),
        sendKey: keys.trafficReceiverToSender(),
        receiveKey: keys.trafficSenderToReceiver(),
        resumeSecret: keys.resume(),
      }
      this.wipe()
      return peer
    })
  }

  /** Ends the run, as the sender's does. */
  wipe(): void {
    this.#secrets.wipe()
    this.#state = { awaits: 'nothing' }
  }
}

/** Whatever goes wrong in a step of a run, the run is over and the world hears the one error. */
function endOnFailure<Result>(run: { wipe(): void }, step: () => Result): Result {
  try {
    return step()
  } catch (error) {
    run.wipe()
    throw new HandshakeError(error instanceof HandshakeError && error.guessSpent)
  }
}

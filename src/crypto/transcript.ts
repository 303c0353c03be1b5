/** All that both sides hash in one run of the handshake, suite 1, and the keys that follow from it. */
import { expand, extract } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import nacl from 'tweetnacl'
import { intermediateSessionKey, multiply, transcript } from './cpace.ts'
import { LABEL, lv } from './encoding.ts'
import type { Secrets } from './secrets.ts'

/** The first byte of a profile that speaks this suite. */
export const SUITE = 1
/** The profile of a device that says nothing else. */
export const DEFAULT_PROFILE = Uint8Array.of(SUITE)
const MATCH_NUMBERS = 1_000_000n

/** CI: who may talk to whom, as the relay names them. */
export function channelIdentifier(locator: string, receiverCode: string): Uint8Array {
  return lv(`${LABEL}ci`, 'sender', 'receiver', locator, receiverCode)
}

/** sid of CPace: fresh because the receiver's nonce is. */
export function sessionIdentifier(receiverNonce: Uint8Array): Uint8Array {
  return lv(`${LABEL}sid`, receiverNonce)
}

/** commit_S: what m2 promises and the nonce in m4 opens. 32 bytes. */
export function commitSender(senderNonce: Uint8Array): Uint8Array {
  return sha512(lv(`${LABEL}commit sender`, senderNonce)).slice(0, 32)
}

/** commit_R: what m1 promises and the point in m3 opens. 32 bytes. */
export function commitReceiver(Yb: Uint8Array, ADb: Uint8Array): Uint8Array {
  return sha512(lv(`${LABEL}commit`, Yb, ADb)).slice(0, 32)
}

/** Every public value the sender contributes or answers to, beside its CPace point. */
interface SenderContribution {
  /** The suite in its first byte, the rest is the app's. Default: that byte alone. */
  readonly profile?: Uint8Array
  readonly sessionId: Uint8Array
  readonly publicKey: Uint8Array
  readonly senderCommitment: Uint8Array
  readonly receiverCommitment: Uint8Array
  readonly mlKemCiphertext: Uint8Array
}

/** ADa of CPace. */
export function associateSender(sender: SenderContribution): Uint8Array {
  const { profile = DEFAULT_PROFILE, sessionId, publicKey } = sender
  const { senderCommitment, receiverCommitment, mlKemCiphertext } = sender
  return lv(`${LABEL}sender`, profile, sessionId, publicKey, senderCommitment, receiverCommitment, mlKemCiphertext)
}

/** Every public value the receiver contributes, beside its CPace point. */
interface ReceiverContribution {
  readonly profile?: Uint8Array
  readonly receiverCode: string
  readonly publicKey: Uint8Array
  readonly nonce: Uint8Array
  readonly mlKemPublicKey: Uint8Array
}

/** ADb of CPace. */
export function associateReceiver(receiver: ReceiverContribution): Uint8Array {
  const { profile = DEFAULT_PROFILE, receiverCode, publicKey, nonce, mlKemPublicKey } = receiver
  return lv(`${LABEL}receiver`, profile, receiverCode, publicKey, nonce, mlKemPublicKey)
}

/** The public values of a run that CPace names: its session id, and both points with their associated data. */
export interface Exchange {
  readonly channel: Uint8Array
  readonly sid: Uint8Array
  readonly Ya: Uint8Array
  readonly ADa: Uint8Array
  readonly Yb: Uint8Array
  readonly ADb: Uint8Array
}

/** TH, 64 bytes: every public value of the run up to the confirmations. */
export function hashTranscript({ channel, sid, Ya, ADa, Yb, ADb }: Exchange): Uint8Array {
  return sha512(concatBytes(lv(`${LABEL}transcript`, channel, sid), transcript(Ya, ADa, Yb, ADb)))
}

/** The secrets of one side, and what the other side brought. `kem` is the shared secret of ML-KEM, the same for both. */
interface Agreement {
  readonly scalar: Uint8Array
  readonly theirPoint: Uint8Array
  readonly secretKey: Uint8Array
  readonly theirPublicKey: Uint8Array
  readonly kem: Uint8Array
}

/**
 * Checks what the other side brought, in this order: its point decodes and is not the identity, K is not the identity,
 * dh is not zero. A listener then needs the code, X25519 and ML-KEM broken to know the keys; whoever guesses the code in a
 * run of its own has all three secrets.
 * @throws Error at the first check that fails
 */
export function agree(secrets: Secrets, exchange: Exchange, agreement: Agreement): KeySchedule {
  const { sid, Ya, ADa, Yb, ADb } = exchange
  const K = secrets.hold(multiply(agreement.scalar, agreement.theirPoint))
  const isk = secrets.hold(intermediateSessionKey(sid, K, transcript(Ya, ADa, Yb, ADb)))
  const dh = secrets.hold(nacl.scalarMult(agreement.secretKey, agreement.theirPublicKey))
  if (nacl.verify(dh, new Uint8Array(32))) throw new RangeError('the X25519 key is of low order')
  return new KeySchedule(secrets, { isk, dh, kem: agreement.kem }, hashTranscript(exchange))
}

/** The three shared secrets of a run. A listener needs all of them. */
interface SharedSecrets {
  readonly isk: Uint8Array
  readonly dh: Uint8Array
  readonly kem: Uint8Array
}

/** Everything derived from the shared secrets and TH. What it keeps is wiped with the `Secrets` it was given. */
export class KeySchedule {
  readonly #secrets: Secrets
  readonly #prk: Uint8Array
  readonly #transcriptHash: Uint8Array

  constructor(secrets: Secrets, shared: SharedSecrets, transcriptHash: Uint8Array) {
    const ikm = secrets.hold(concatBytes(shared.isk, shared.dh, shared.kem))
    this.#secrets = secrets
    this.#prk = secrets.hold(extract(sha512, ikm, utf8ToBytes(`${LABEL}extract`)))
    this.#transcriptHash = transcriptHash
  }

  /** T_R, 32 bytes: the receiver's proof that it typed the same secret and saw the same transcript. */
  confirmReceiver(): Uint8Array {
    return this.#mac('confirm receiver', this.#transcriptHash)
  }

  /** T_S, 32 bytes: the sender's proof, which only ever answers a valid T_R. */
  confirmSender(receiverTag: Uint8Array, senderNonce: Uint8Array): Uint8Array {
    return this.#mac('confirm sender', concatBytes(this.#transcriptHash, receiverTag, senderNonce))
  }

  /** Six decimal digits. The sender's nonce is in them, so nobody knows them before both sides are bound. */
  matchNumber(senderNonce: Uint8Array): string {
    const bytes = expand(sha512, this.#prk, lv(`${LABEL}sas`, this.#transcriptHash, senderNonce), 8)
    const number = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0) % MATCH_NUMBERS
    return number.toString().padStart(6, '0')
  }

  /** 20 bytes by which experts compare the whole run. */
  fingerprint(): Uint8Array {
    return this.#expand('fingerprint', 20)
  }

  /** t_s2r, 64 bytes. Not wiped with the run: it belongs to whoever asked. */
  trafficSenderToReceiver(): Uint8Array {
    return this.#expand('traffic s2r', 64)
  }

  /** t_r2s, 64 bytes. Not wiped with the run: it belongs to whoever asked. */
  trafficReceiverToSender(): Uint8Array {
    return this.#expand('traffic r2s', 64)
  }

  /** E("resume", 32). Not wiped with the run: it belongs to whoever asked. */
  resume(): Uint8Array {
    return this.#expand('resume', 32)
  }

  #mac(label: string, message: Uint8Array): Uint8Array {
    return hmac(sha512, this.#secrets.hold(this.#expand(label, 32)), message).slice(0, 32)
  }

  #expand(label: string, length: number): Uint8Array {
    return expand(sha512, this.#prk, lv(LABEL + label, this.#transcriptHash), length)
  }
}

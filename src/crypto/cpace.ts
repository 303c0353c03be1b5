/**
 * CPace, draft-irtf-cfrg-cpace-21, suite CPACE-RISTR255-SHA512 with the initiator/responder transcript: only the glue
 * the draft asks for. Group and hash are noble's. Points travel as 32 encoded bytes, scalars as 32 little-endian bytes.
 */
import { ristretto255, ristretto255_hasher } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { concatBytes } from '@noble/hashes/utils.js'
import { lv } from './encoding.ts'

const DOMAIN = 'CPaceRistretto255'
const HASH_BLOCK_BYTES = 128 // s_in_bytes of SHA-512

/**
 * The draft's `calculate_generator`: the point both sides get from the same password, channel and session id.
 * Whoever learns it can guess the password at leisure, so it is as secret as the password.
 */
export function generator(password: Uint8Array | string, channel: Uint8Array, sid: Uint8Array): Uint8Array {
  // The padding fills the first hash block, so that the time taken says nothing about the password.
  const padding = Math.max(0, HASH_BLOCK_BYTES - 1 - lv(password).length - lv(DOMAIN).length)
  const input = lv(DOMAIN, password, new Uint8Array(padding), channel, sid)
  const uniform = sha512(input)
  const point = ristretto255_hasher.deriveToCurve?.(uniform)
  input.fill(0)
  uniform.fill(0)
  if (point === undefined) throw new Error('ristretto255 lacks its element derivation')
  return point.toBytes()
}

/**
 * The draft's `sample_scalar` from 32 random bytes: clears the top four bits **in place** and returns the same array.
 * @throws RangeError for a wrong length or a zero scalar
 */
export function sampleScalar(randomBytes: Uint8Array): Uint8Array {
  const top = randomBytes[31]
  if (top === undefined || randomBytes.length !== 32) throw new RangeError('a scalar is sampled from 32 bytes')
  randomBytes[31] = top & 0x0f
  if (randomBytes.every((byte) => byte === 0)) throw new RangeError('the scalar is zero')
  return randomBytes
}

/**
 * The draft's `scalar_mult_vfy`, but failing instead of returning the identity: scalar · point.
 * @throws Error if the point does not decode, or if it or the product is the identity
 */
export function multiply(scalar: Uint8Array, point: Uint8Array): Uint8Array {
  const decoded = ristretto255.Point.fromBytes(point)
  // noble decodes and multiplies the identity without complaint; with it the key would not depend on the password.
  if (decoded.is0()) throw new RangeError('the point is the identity')
  const product = decoded.multiply(ristretto255.Point.Fn.fromBytes(scalar))
  if (product.is0()) throw new RangeError('the product is the identity')
  return product.toBytes()
}

/** The draft's `transcript_ir`: the initiator's point and associated data before the responder's. */
export function transcript(Ya: Uint8Array, ADa: Uint8Array, Yb: Uint8Array, ADb: Uint8Array): Uint8Array {
  return concatBytes(lv(Ya, ADa), lv(Yb, ADb))
}

/** The 64-byte intermediate session key (`ISK_IR`) of the shared point K and a transcript made by `transcript`. */
export function intermediateSessionKey(sid: Uint8Array, K: Uint8Array, transcriptIR: Uint8Array): Uint8Array {
  const input = concatBytes(lv(`${DOMAIN}_ISK`, sid, K), transcriptIR)
  const key = sha512(input)
  input.fill(0)
  return key
}

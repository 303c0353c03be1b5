/**
 * The proofs and digests by which a transfer resumes: PROTOCOL.md, section 10.6. Only the pair that has a transfer's token
 * can tell a hint from random bytes, and each pairing has other hints of the same token.
 */
import { hmac } from '@noble/hashes/hmac.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { concatBytes } from '@noble/hashes/utils.js'
import { LABEL, lv } from './encoding.ts'

export const PROOF_BYTES = 16
/** A digest is made over blocks of this many bytes, so that nothing larger is ever hashed at once. */
export const DIGEST_BLOCK_BYTES = 1_048_576

/**
 * The offerer's hint that it still has `token`, or the taker's answer to that hint. `secret`: 32 bytes, E("resume", 32) of
 * this pairing. It is F(token, label, secret; 16) = HMAC-SHA512(token, lv(L ‖ label, secret) ‖ 01)[0..16).
 */
export function proofOf(token: Uint8Array, label: 'resume' | 'resumed', secret: Uint8Array): Uint8Array {
  return hmac(sha512, token, concatBytes(lv(LABEL + label, secret), Uint8Array.of(1))).slice(0, PROOF_BYTES)
}

/**
 * The digest of bytes that come in pieces: SHA-256 over the SHA-256 of each block of 1 MiB, the last one shorter. `block` has
 * DIGEST_BLOCK_BYTES to work in, for one digest at a time.
 */
export async function digestOf(
  pieces: AsyncIterable<Uint8Array>,
  block = new Uint8Array(DIGEST_BLOCK_BYTES),
): Promise<Uint8Array> {
  const digests: Uint8Array[] = []
  let filled = 0
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const take = Math.min(block.length - filled, piece.length - at)
      block.set(piece.subarray(at, at + take), filled)
      filled += take
      at += take
      if (filled < block.length) continue
      digests.push(await hash(block))
      filled = 0
    }
  }
  if (filled > 0) digests.push(await hash(block.subarray(0, filled)))
  return hash(concatBytes(...digests))
}

/** Reports whether this runtime can make digests: a page without TLS cannot, and resumes nothing. */
export function canDigest(): boolean {
  return globalThis.crypto?.subtle !== undefined
}

async function hash(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
}

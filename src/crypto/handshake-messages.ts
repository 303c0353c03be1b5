import { SESSION_ID_BYTES } from '../protocol/limits.ts'
import { decodeBase64Url } from '../protocol/text.ts'
import { isCrockford } from './encoding.ts'

/**
 * The shapes of what arrives from outside during a handshake. The four messages are raw bytes of exactly these lengths:
 *
 *   m1 R→S  n_R 32 · commit_R 32 · ek_R 1184          m2 S→R  X_S 32 · commit_S 32 · Ya 32 · ct 1088
 *   m3 R→S  Yb 32 · T_R 32                            m4 S→R  n_S 32 · T_S 32
 */
export const M1 = [32, 32, 1184] as const
export const M2 = [32, 32, 32, 1088] as const
export const M3 = [32, 32] as const
export const M4 = [32, 32] as const

/** Copies of the fields of a message: the caller's buffer may be reused. @throws RangeError for any other total length */
export function split<const Lengths extends readonly number[]>(
  message: Uint8Array,
  lengths: Lengths,
): { [Index in keyof Lengths]: Uint8Array } {
  let end = 0
  const fields = lengths.map((length) => {
    end += length
    return message.slice(end - length, end)
  })
  if (message.length !== end) throw new RangeError(`a message has ${message.length} bytes instead of ${end}`)
  return fields as { [Index in keyof Lengths]: Uint8Array }
}

/** The 16 bytes of a session id, 22 characters of base64url. @throws CodecError, RangeError for any other spelling */
export function decodeSessionId(sessionId: string): Uint8Array {
  const bytes = decodeBase64Url(sessionId)
  if (bytes.length !== SESSION_ID_BYTES) throw new RangeError('not a session id')
  return bytes
}

/** @throws RangeError unless given six canonical Crockford symbols */
export function requireReceiverCode(receiverCode: string): void {
  if (!isCrockford(receiverCode, 6)) throw new RangeError('not a receiver code')
}

/** @throws RangeError unless given the 32 bytes of an X25519 public key */
export function requirePublicKey(publicKey: Uint8Array): void {
  if (publicKey.length !== 32) throw new RangeError('not a public key')
}

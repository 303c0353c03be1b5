/** Messages sealed and opened whole, for the tests of the stream. */
import { CHUNK_BYTES, StreamError, StreamOpener, StreamSealer, TAG_BYTES } from '../../src/crypto/stream.ts'
import { seededRandom } from './support.ts'

export const SEALED_BYTES = CHUNK_BYTES + TAG_BYTES
export const key = seededRandom(1)(32)
const noise = seededRandom(2)(6 * CHUNK_BYTES)
export const plaintextOf = (length: number) => noise.subarray(0, length)

/** A message as frames of up to `chunksPerFrame` chunks. */
export function seal(plaintext: Uint8Array, chunksPerFrame = 1, messageSecret = key): Uint8Array[] {
  const sealer = new StreamSealer(messageSecret)
  const frameBytes = chunksPerFrame * CHUNK_BYTES
  const frames: Uint8Array[] = []
  let rest = plaintext
  for (; rest.length > frameBytes; rest = rest.subarray(frameBytes)) {
    frames.push(sealer.sealFrame(rest.subarray(0, frameBytes), false))
  }
  return [...frames, sealer.sealFrame(rest, true)]
}

/** The message, if the frames are all of it; undefined if it was refused or has no end. */
export function open(frames: readonly Uint8Array[], messageSecret = key): Uint8Array | undefined {
  const opener = new StreamOpener(messageSecret)
  try {
    const parts = frames.map((frame) => opener.openFrame(frame).plaintext)
    return opener.finished ? Buffer.concat(parts) : undefined
  } catch (error) {
    if (error instanceof StreamError) return undefined
    throw error
  }
}

export const same = (a: Uint8Array | undefined, b: Uint8Array) => a !== undefined && Buffer.from(a).equals(b)

/**
 * The payload: the STREAM construction of the age file format (C2SP age, "Payload"), ChaCha20-Poly1305 over chunks of
 * 64 KiB, carried in frames of one clear flag byte and one to four chunks. The flag says which nonce to try and is never
 * believed. One sealer and one opener per message.
 */
import { expand } from '@noble/hashes/hkdf.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { type Aead, type AsyncAead, type AsyncCipher, defaultAead, TAG_BYTES } from './aead.ts'
import { LABEL, lv } from './encoding.ts'

export { TAG_BYTES } from './aead.ts'
/** Plaintext bytes of every chunk but a message's last. */
export const CHUNK_BYTES = 65_536
/** The most chunks one frame carries. */
export const CHUNKS_PER_FRAME = 4
const SEALED_BYTES = CHUNK_BYTES + TAG_BYTES
/** The most that follows the flag of a frame. */
export const FRAME_BODY_MAX_BYTES = CHUNKS_PER_FRAME * SEALED_BYTES
const FLAG_BYTES = 1
/** Room for any frame with up to 16 bytes in front of it. */
export const FRAME_MEMORY_BYTES = 16 + FLAG_BYTES + FRAME_BODY_MAX_BYTES + 3
/** Both the frame's flag byte and the last byte of the nonce. */
const MORE = 0
const LAST = 1

/** A frame that was not sealed as the next one of this message, or a stream used against its contract. It is over. */
export class StreamError extends Error {
  override readonly name = 'StreamError'
}

/**
 * The 32-byte key of one message in one direction.
 * @param trafficSecret the 64 bytes `sendKey` or `receiveKey` of a verified peer
 * @param messageIndex counts the messages of this direction from 0
 */
export function messageKey(trafficSecret: Uint8Array, messageIndex: number): Uint8Array {
  if (trafficSecret.length !== 64) throw new StreamError('A traffic secret has 64 bytes.')
  if (!Number.isSafeInteger(messageIndex) || messageIndex < 0) throw new StreamError('A message index counts from 0.')
  const index = new Uint8Array(8)
  new DataView(index.buffer).setBigUint64(0, BigInt(messageIndex))
  return expand(sha512, trafficSecret, lv(`${LABEL}msg`, index), 32)
}

/** Seals one message, frame by frame. Works on a copy of the key; the caller wipes its own. Any failure ends the message. */
export class StreamSealer {
  readonly #aead: Aead
  readonly #key: Uint8Array
  readonly #nonces = new Nonces()
  #cipher: Promise<AsyncCipher> | undefined
  #over = false

  constructor(key: Uint8Array, aead: Aead = defaultAead()) {
    this.#key = copyKey(key)
    this.#aead = aead
  }

  /**
   * A frame: `headroom` bytes for the caller, the flag byte, the sealed chunks.
   * @param plaintext 1 to 4 full chunks; with `last` the rest of the message, 0 bytes to 4 chunks, 0 only if it is all
   * @param into memory for it that nobody else uses, of FRAME_MEMORY_BYTES; without it the frame is one of its own
   * @throws StreamError for any other length, or after the last frame
   */
  sealFrame(plaintext: Uint8Array, last: boolean, headroom = 0, into?: ArrayBuffer): Uint8Array<ArrayBuffer> {
    return endOnFailure(this, () => {
      const { frame, chunks } = this.#layOut(plaintext, last, headroom, into)
      for (const { nonce, chunk, output } of chunks) this.#aead.seal(this.#key, nonce, chunk, output)
      return this.#sealed(frame, last)
    })
  }

  /** The same by a cipher that works beside this thread. One frame at a time. */
  sealFrameBy(
    aead: AsyncAead,
    plaintext: Uint8Array,
    last: boolean,
    headroom = 0,
    into?: ArrayBuffer,
  ): Promise<Uint8Array<ArrayBuffer>> {
    return endOnRejection(this, async () => {
      const { frame, chunks } = this.#layOut(plaintext, last, headroom, into)
      this.#cipher ??= aead(this.#key)
      const cipher = await this.#cipher
      await Promise.all(chunks.map(async ({ nonce, chunk, output }) => output.set(await cipher.seal(nonce, chunk))))
      return this.#sealed(frame, last)
    })
  }

  #layOut(plaintext: Uint8Array, last: boolean, headroom: number, into?: ArrayBuffer) {
    if (this.#over) throw new StreamError('The message is over.')
    const count = Math.max(1, Math.ceil(plaintext.length / CHUNK_BYTES))
    const isEmptyTail = plaintext.length === 0 && !this.#nonces.unused
    if (count > CHUNKS_PER_FRAME || isEmptyTail || (!last && plaintext.length !== count * CHUNK_BYTES)) {
      throw new StreamError(`A frame cannot carry ${plaintext.length} bytes here.`)
    }
    const start = headroom + FLAG_BYTES
    const frame = aligned(start, plaintext.length + count * TAG_BYTES, into)
    frame[headroom] = last ? LAST : MORE
    const chunks = Array.from({ length: count }, (_, i) => ({
      nonce: this.#nonces.next(last && i === count - 1),
      chunk: plaintext.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES),
      output: frame.subarray(start + i * SEALED_BYTES, start + (i + 1) * SEALED_BYTES),
    }))
    return { frame, chunks }
  }

  #sealed(frame: Uint8Array<ArrayBuffer>, last: boolean): Uint8Array<ArrayBuffer> {
    if (this.#over) throw new StreamError('The message is over.')
    if (last) this.wipe()
    return frame
  }

  /** Ends the message and overwrites its key; safe at any time, any number of times. */
  wipe(): void {
    this.#over = true
    this.#key.fill(0)
  }
}

/** Opens one message, frame by frame. Works on a copy of the key; the caller wipes its own. Any failure ends the message. */
export class StreamOpener {
  readonly #aead: Aead
  readonly #key: Uint8Array
  readonly #nonces = new Nonces()
  #cipher: Promise<AsyncCipher> | undefined
  #state: 'running' | 'finished' | 'broken' = 'running'

  constructor(key: Uint8Array, aead: Aead = defaultAead()) {
    this.#key = copyKey(key)
    this.#aead = aead
  }

  /** True once the last chunk was opened, and as long as nothing came after it. An end without it is an error. */
  get finished(): boolean {
    return this.#state === 'finished'
  }

  /**
   * The plaintext of the next frame, in a new array; all of its chunks are authentic or none is returned.
   * @param mine the frame is the caller's and nobody else's: the plaintext may take its place
   * @throws StreamError for a frame of any other shape, not sealed as the next of this message, or after the last
   */
  openFrame(frame: Uint8Array, mine = false): { plaintext: Uint8Array; last: boolean } {
    return endOnFailure(this, () => {
      const { plaintext, last, chunks } = this.#layOut(frame, mine && this.#aead.mayOverlap === true)
      for (const { nonce, chunk, output } of chunks) this.#aead.open(this.#key, nonce, chunk, output)
      return this.#opened(plaintext, last)
    })
  }

  /** The same by a cipher that works beside this thread. One frame at a time, and each the caller's own. */
  openFrameBy(aead: AsyncAead, frame: Uint8Array): Promise<{ plaintext: Uint8Array; last: boolean }> {
    return endOnRejection(this, async () => {
      const { plaintext, last, chunks } = this.#layOut(frame, true)
      this.#cipher ??= aead(this.#key)
      const cipher = await this.#cipher
      await Promise.all(chunks.map(async ({ nonce, chunk, output }) => output.set(await cipher.open(nonce, chunk))))
      return this.#opened(plaintext, last)
    })
  }

  #layOut(frame: Uint8Array, inPlace = false) {
    if (this.#state !== 'running') {
      this.#state = 'broken' // something after the end: not the message that was sent
      throw new StreamError('The message is over.')
    }
    const last = this.#readShape(frame)
    const sealed = frame.subarray(FLAG_BYTES)
    const count = Math.ceil(sealed.length / SEALED_BYTES)
    const length = sealed.length - count * TAG_BYTES
    // Behind each chunk is a tag, so that the plaintext of one never reaches into the next.
    const plaintext = inPlace ? sealed.subarray(0, length) : new Uint8Array(length)
    const chunks = Array.from({ length: count }, (_, i) => ({
      nonce: this.#nonces.next(last && i === count - 1),
      chunk: sealed.subarray(i * SEALED_BYTES, (i + 1) * SEALED_BYTES),
      output: plaintext.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES),
    }))
    return { plaintext, last, chunks }
  }

  #opened(plaintext: Uint8Array, last: boolean) {
    if (this.#state !== 'running') throw new StreamError('The message is over.')
    if (last) {
      this.#state = 'finished'
      this.wipe()
    }
    return { plaintext, last }
  }

  /** Ends the message and overwrites its key; safe at any time, any number of times. */
  wipe(): void {
    if (this.#state === 'running') this.#state = 'broken'
    this.#key.fill(0)
  }

  /** The flag, as a claim that the length does not contradict. */
  #readShape(frame: Uint8Array): boolean {
    const flag = frame[0]
    const length = frame.length - FLAG_BYTES
    const tail = length % SEALED_BYTES // 0: only full chunks
    const isShortTail = tail > TAG_BYTES || (tail === TAG_BYTES && length === TAG_BYTES && this.#nonces.unused)
    const fits = length > 0 && length <= FRAME_BODY_MAX_BYTES && (tail === 0 || (flag === LAST && isShortTail))
    if (!fits || (flag !== MORE && flag !== LAST)) throw new StreamError('The frame has no possible shape.')
    return flag === LAST
  }
}

/** 11 bytes of chunk counter, big-endian, and the last-chunk flag. Each is given out once. */
class Nonces {
  #used = 0

  get unused(): boolean {
    return this.#used === 0
  }

  next(last: boolean): Uint8Array {
    const nonce = new Uint8Array(12)
    new DataView(nonce.buffer).setBigUint64(3, BigInt(this.#used++)) // 2^53 chunks of 64 KiB never come
    nonce[11] = last ? LAST : MORE
    return nonce
  }
}

function copyKey(key: Uint8Array): Uint8Array {
  if (key.length !== 32) throw new StreamError('A message key has 32 bytes.')
  return key.slice()
}

/** `start + length` bytes, `start` falling on a multiple of four: there noble's cipher is a sixth faster. */
function aligned(start: number, length: number, into?: ArrayBuffer): Uint8Array<ArrayBuffer> {
  const skew = -start & 3
  return new Uint8Array(into ?? new ArrayBuffer(skew + start + length), skew, start + length)
}

function endOnFailure<Result>(stream: { wipe(): void }, step: () => Result): Result {
  try {
    return step()
  } catch (error) {
    stream.wipe()
    throw error instanceof StreamError ? error : new StreamError('The data was changed.')
  }
}

async function endOnRejection<Result>(stream: { wipe(): void }, step: () => Promise<Result>): Promise<Result> {
  try {
    return await step()
  } catch (error) {
    return endOnFailure(stream, () => {
      throw error
    })
  }
}

import { type AsyncAead, asyncAead } from '../../crypto/aead.ts'
import {
  CHUNK_BYTES,
  CHUNKS_PER_FRAME,
  FRAME_MEMORY_BYTES,
  messageKey,
  StreamSealer,
  TAG_BYTES,
} from '../../crypto/stream.ts'
import { FRAME_HEADER_BYTES } from '../../protocol/limits.ts'
import { PairingError } from '../errors.ts'
import type { Channel } from '../link/channel.ts'
import type { FrameEvents } from '../link/frame-events.ts'

/** From so many bytes on, a cipher beside this thread is faster than one in it. */
export const FAST_FROM_BYTES = 16_384
/** Frames whose memory is used again: as many as the largest window has under way. */
const SPARE_MAX = 16

/** Seals the messages of one direction, 0, 1, 2 …, each under a key of its own, and puts them into the channel. */
export class MessageWriter {
  /** The most plaintext that one frame carries. */
  readonly frameBytes: number
  readonly #channel: Channel
  readonly #trafficSecret: Uint8Array
  readonly #fast: Promise<AsyncAead | undefined>
  /** Memory of frames that were acked. It never held anything but ciphertext. */
  readonly #spare: ArrayBuffer[] = []
  #nextIndex = 0
  #wiped = false

  /** `maxFrameBytes` is the relay's: a frame takes as many chunks as fit, four at most. `fast` seals the large ones. */
  constructor(channel: Channel, trafficSecret: Uint8Array, maxFrameBytes: number, fast = asyncAead()) {
    this.#channel = channel
    this.#trafficSecret = trafficSecret
    this.#fast = fast
    const room = Math.floor((maxFrameBytes - FRAME_HEADER_BYTES - 1) / (CHUNK_BYTES + TAG_BYTES))
    if (room < 1) throw new PairingError('relay_misbehaved')
    this.frameBytes = Math.min(room, CHUNKS_PER_FRAME) * CHUNK_BYTES
  }

  /**
   * Sends one whole message, which is not looked at any more afterwards. Resolves when the window has room for its last
   * frame; `events` are about that one. One write at a time. Throws what ended the channel.
   */
  async write(message: Uint8Array, events?: FrameEvents): Promise<void> {
    if (this.#wiped) throw new PairingError('aborted')
    const key = messageKey(this.#trafficSecret, this.#nextIndex++)
    const sealer = new StreamSealer(key)
    key.fill(0)
    try {
      const fast = message.length < FAST_FROM_BYTES ? undefined : await this.#fast
      for (let at = 0; at < message.length; at += this.frameBytes) {
        const isLast = at + this.frameBytes >= message.length
        const part = message.subarray(at, at + this.frameBytes)
        const memory = part.length <= CHUNK_BYTES ? undefined : this.#memory()
        const frame = fast
          ? await sealer.sealFrameBy(fast, part, isLast, FRAME_HEADER_BYTES, memory)
          : sealer.sealFrame(part, isLast, FRAME_HEADER_BYTES, memory)
        const onFree = memory && (() => this.#spare.length < SPARE_MAX && this.#spare.push(memory))
        await this.#channel.send(frame, { ...(isLast ? events : {}), onFree })
      }
    } finally {
      sealer.wipe()
    }
  }

  #memory(): ArrayBuffer {
    return this.#spare.pop() ?? new ArrayBuffer(FRAME_MEMORY_BYTES)
  }

  wipe(): void {
    this.#wiped = true
    this.#trafficSecret.fill(0)
  }
}

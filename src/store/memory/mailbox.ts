import { FRAME_HEADER_BYTES, frameCost } from '../../protocol/limits.ts'
import type { Bytes } from '../../relay/pieces.ts'
import type { MailboxPosition, StoredFrame } from '../../relay/ports.ts'

/**
 * The bounded, ordered queue of unacknowledged frames of one direction of a channel. Seqs count from 1 without gaps.
 * Invariants: `acked ≤ received`; the frames held are exactly acked + 1 … received; `unackedCost` is the sum of their
 * costs and was within the window whenever a frame came in.
 */
export class Mailbox {
  #acked: number
  #frames: (Bytes | undefined)[] = []
  /** Index in #frames of the frame acked + 1. Frames before it are gone; the array is cut when half of it is. */
  #head = 0
  #unackedCost = 0

  /** Starts after `floor`, as if everything up to it had come and been acked. */
  constructor(floor = 0) {
    this.#acked = floor
  }

  get position(): MailboxPosition {
    return { received: this.#acked + this.#frames.length - this.#head, acked: this.#acked }
  }

  /** Bytes the frames held cost against the window. */
  get unackedCost(): number {
    return this.#unackedCost
  }

  /** Takes the next frame if there is room for it in `window`; says why not otherwise, and then nothing has changed. */
  append(frame: StoredFrame, window: number): 'stored' | 'duplicate' | 'gap' | 'full' {
    const { received } = this.position
    if (frame.seq <= received) return 'duplicate'
    if (frame.seq > received + 1) return 'gap'
    const cost = costOf(frame.bytes)
    if (this.#unackedCost + cost > window) return 'full'
    this.#frames.push(frame.bytes)
    this.#unackedCost += cost
    return 'stored'
  }

  /** Forgets the frames up to seq. Above what was received it raises both positions; below what was acked it does nothing. */
  ackThrough(seq: number): 'raised' | 'unchanged' {
    if (seq <= this.#acked) return 'unchanged'
    const held = this.#frames.length - this.#head
    const forget = Math.min(seq - this.#acked, held)
    for (let i = 0; i < forget; i++) {
      const bytes = this.#frames[this.#head]
      if (bytes) this.#unackedCost -= costOf(bytes)
      this.#frames[this.#head] = undefined
      this.#head++
    }
    this.#acked = seq
    if (this.#head * 2 >= this.#frames.length) {
      this.#frames = this.#frames.slice(this.#head)
      this.#head = 0
    }
    return 'raised'
  }

  /** The first frame held with a seq above `after`. */
  read(after: number): StoredFrame | undefined {
    const seq = Math.max(after, this.#acked) + 1
    const bytes = this.#frames[this.#head + seq - this.#acked - 1]
    return bytes && { seq, bytes }
  }
}

function costOf(bytes: Bytes): number {
  return frameCost(bytes.length - FRAME_HEADER_BYTES)
}

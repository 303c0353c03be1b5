import type { FailedFrame } from '../environment.ts'

/** Below this no frame is made smaller: whoever takes less takes no payload. */
const FRAME_MIN_BYTES = 16_384
/** Refusals of one frame, after which the relay and this end will not agree any more. */
const REFUSALS_MAX = 3

/** The calls about frames that failed over HTTP, and how large frames may still be on this way. */
export class FrameFailures {
  #maxBytes = Number.POSITIVE_INFINITY
  #cutAt: number | undefined
  /** The frame of each channel that was refused last, and how often in a row. */
  readonly #refused = new Map<number, { name: string; times: number }>()

  /** The most ciphertext that a frame may have. */
  get maxBytes(): number {
    return this.#maxBytes
  }

  /**
   * Counts a failure and returns what follows: `drop` ends its channel; `shrink` goes on with frames of half the size, after
   * one was said to be too large or was cut twice in a row. `progress`: something came through meanwhile.
   */
  take({ how, bytes, channel, name }: FailedFrame, progress: boolean): 'drop' | 'shrink' | undefined {
    if (how === 'refused') {
      const before = this.#refused.get(channel)
      const times = before?.name === name ? before.times + 1 : 1
      this.#refused.set(channel, { name, times })
      return times >= REFUSALS_MAX ? 'drop' : undefined
    }
    if (bytes <= FRAME_MIN_BYTES) return undefined
    const isFirstCut = how === 'cut' && (progress || this.#cutAt !== bytes)
    this.#cutAt = isFirstCut ? bytes : undefined
    if (isFirstCut) return undefined
    this.#maxBytes = Math.max(FRAME_MIN_BYTES, Math.floor(bytes / 2))
    return 'shrink'
  }

  /** Forgets a channel that is over. */
  forget(channel: number): void {
    this.#refused.delete(channel)
  }
}

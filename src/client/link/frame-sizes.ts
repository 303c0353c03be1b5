import type { FailedFrame } from '../environment.ts'

/** Below this no frame is made smaller: whoever takes less takes no payload. */
const FRAME_MIN_BYTES = 16_384

/** How large the frames of a connection may be, on a way that may take no large ones. */
export class FrameSizes {
  #max = Number.POSITIVE_INFINITY
  #cutAt: number | undefined

  /** Bytes of ciphertext. */
  get max(): number {
    return this.#max
  }

  /**
   * Halves the size that failed, where it is to blame: it was said to be too large, or was cut twice in a row. `progress`:
   * something came through meanwhile. Returns false where nothing changes.
   */
  mustShrink({ how, bytes }: FailedFrame, progress: boolean): boolean {
    if (how === 'refused' || bytes <= FRAME_MIN_BYTES) return false
    const isFirstCut = how === 'cut' && (progress || this.#cutAt !== bytes)
    this.#cutAt = isFirstCut ? bytes : undefined
    if (isFirstCut) return false
    this.#max = Math.max(FRAME_MIN_BYTES, Math.floor(bytes / 2))
    return true
  }
}

/**
 * Parts of a payload frame, for a way that takes no large ones: flag 02 and a piece of the frame's body, as often as
 * needed, then the frame's own flag and the rest. Nothing is sealed again.
 */
import { FRAME_BODY_MAX_BYTES, StreamError } from './stream.ts'

const PART = 2

/**
 * The frame, or what replaces it so that no part is longer than `maxBytes`, flag included. `headroom` bytes in front belong
 * to the caller, in each part.
 */
export function splitFrame(frame: Uint8Array, headroom: number, maxBytes: number): Uint8Array[] {
  if (frame.length - headroom <= maxBytes) return [frame]
  const flag = frame[headroom] ?? PART
  const body = frame.subarray(headroom + 1)
  const parts: Uint8Array[] = []
  // Parts of one size: a short one at the end would cost as much as a long one.
  const length = Math.ceil(body.length / Math.ceil(body.length / (maxBytes - 1)))
  for (let at = 0; at < body.length; at += length) {
    const piece = body.subarray(at, at + length)
    const part = new Uint8Array(headroom + 1 + piece.length)
    part[headroom] = at + piece.length < body.length ? PART : flag
    part.set(piece, headroom + 1)
    parts.push(part)
  }
  return parts
}

/** Puts frames together again from what comes. */
export class FrameJoiner {
  #whole: Uint8Array | undefined
  #length = 1

  /** The whole frame that ends with this one, or undefined where more follow. @throws StreamError for too much, or nothing */
  take(frame: Uint8Array): Uint8Array | undefined {
    if (frame[0] !== PART && !this.#whole) return frame
    this.#whole ??= new Uint8Array(1 + FRAME_BODY_MAX_BYTES)
    const piece = frame.subarray(1)
    const at = this.#length
    this.#length += piece.length
    if (piece.length === 0 || this.#length > this.#whole.length) throw new StreamError('No frame.')
    this.#whole[0] = frame[0] ?? PART
    this.#whole.set(piece, at)
    if (frame[0] === PART) return undefined
    const whole = this.#whole.subarray(0, this.#length)
    this.#whole = undefined
    this.#length = 1
    return whole
  }
}

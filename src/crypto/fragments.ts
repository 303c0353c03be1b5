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
  #parts: Uint8Array[] = []
  #length = 0

  /** The whole frame that ends with this one, or undefined where more must follow. @throws StreamError for too much, or nothing */
  take(frame: Uint8Array): Uint8Array | undefined {
    if (frame[0] !== PART && this.#parts.length === 0) return frame
    const piece = frame.subarray(1)
    this.#length += piece.length
    if (piece.length === 0 || this.#length > FRAME_BODY_MAX_BYTES) throw new StreamError('The parts make no frame.')
    this.#parts.push(piece)
    if (frame[0] === PART) return undefined
    const whole = new Uint8Array(1 + this.#length)
    whole[0] = frame[0] ?? PART
    let at = 1
    for (const part of this.#parts) {
      whole.set(part, at)
      at += part.length
    }
    this.#parts = []
    this.#length = 0
    return whole
  }
}

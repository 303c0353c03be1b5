import { FRAME_HEADER_BYTES } from './limits.ts'
import { CodecError } from './text.ts'

export const FRAME_DATA = 1
export const FRAME_ACK = 2

export type FrameType = typeof FRAME_DATA | typeof FRAME_ACK

/** A binary frame as it came off a socket. `bytes` is the whole frame, header included: a data frame is relayed as it is. */
export interface Frame {
  readonly type: FrameType
  readonly channel: number
  readonly seq: number
  readonly bytes: Uint8Array
}

/**
 * Writes a frame header into the first eight bytes of `target`: `u8 type · u8 0 · u16 channel · u32 seq`, big-endian.
 * The caller leaves room there, so that a frame is built without copying its ciphertext.
 */
export function writeFrameHeader(target: Uint8Array, type: FrameType, channel: number, seq: number): void {
  const view = new DataView(target.buffer, target.byteOffset, FRAME_HEADER_BYTES)
  view.setUint8(0, type)
  view.setUint8(1, 0)
  view.setUint16(2, channel)
  view.setUint32(4, seq)
}

/** A ciphertext (copied) behind room for a header. */
export function withHeadroom(ciphertext: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + ciphertext.length)
  bytes.set(ciphertext, FRAME_HEADER_BYTES)
  return bytes
}

/** A data frame from its ciphertext (copied). The data path leaves room for the header instead and copies nothing. */
export function encodeData(channel: number, seq: number, ciphertext: Uint8Array): Uint8Array {
  const bytes = withHeadroom(ciphertext)
  writeFrameHeader(bytes, FRAME_DATA, channel, seq)
  return bytes
}

/** The ack frame: every frame of this channel with a seq up to and including `seq` was processed. */
export function encodeAck(channel: number, seq: number): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES)
  writeFrameHeader(bytes, FRAME_ACK, channel, seq)
  return bytes
}

const MALFORMED = 'not a frame of this protocol'

/** Reads a binary frame without copying. Throws CodecError for an unknown type, a wrong length or a zero channel or seq. */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.length < FRAME_HEADER_BYTES) throw new CodecError(MALFORMED)
  const view = new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEADER_BYTES)
  const type = view.getUint8(0)
  const channel = view.getUint16(2)
  const seq = view.getUint32(4)
  if (view.getUint8(1) !== 0 || channel === 0) throw new CodecError(MALFORMED)
  if (type === FRAME_DATA && seq > 0 && bytes.length > FRAME_HEADER_BYTES) return { type, channel, seq, bytes }
  if (type === FRAME_ACK && bytes.length === FRAME_HEADER_BYTES) return { type, channel, seq, bytes }
  throw new CodecError(MALFORMED)
}

/** The ciphertext of a data frame, a view into the frame. */
export function ciphertextOf(frame: Frame): Uint8Array {
  return frame.bytes.subarray(FRAME_HEADER_BYTES)
}

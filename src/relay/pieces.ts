import { decodeFrame, type Frame } from '../protocol/frame.ts'

/** Bytes of a frame: those of a large one may be in the pieces in which they came off a socket. */
export type Bytes = Uint8Array | Pieces

/** Several pieces, in order. The first one is longer than a frame's header, which is read there. */
export class Pieces {
  readonly pieces: readonly Uint8Array[]
  readonly length: number

  constructor(pieces: readonly Uint8Array[]) {
    this.pieces = pieces
    this.length = pieces.reduce((sum, { length }) => sum + length, 0)
  }
}

/** A frame whose bytes may be in several pieces. */
export interface PiecedFrame extends Omit<Frame, 'bytes'> {
  readonly bytes: Bytes
}

/** Reads a binary frame without copying. CodecError as of `decodeFrame`. */
export function readFrame(bytes: Bytes): PiecedFrame {
  const [first] = piecesOf(bytes)
  return { ...decodeFrame(first ?? new Uint8Array()), bytes }
}

/** The pieces of which bytes consist, in order. */
export function piecesOf(bytes: Bytes): readonly Uint8Array[] {
  return bytes instanceof Pieces ? bytes.pieces : [bytes]
}

/** All of the bytes in one buffer: copied where there are several pieces. */
export function inOnePiece(bytes: Bytes): Uint8Array {
  if (!(bytes instanceof Pieces)) return bytes
  const joined = new Uint8Array(bytes.length)
  let at = 0
  for (const piece of bytes.pieces) {
    joined.set(piece, at)
    at += piece.length
  }
  return joined
}

import { isUtf8 } from 'node:buffer'
import { createRequire } from 'node:module'
import { FRAME_HEADER_BYTES } from '../../protocol/limits.ts'
import { type Bytes, inOnePiece, Pieces } from '../../relay/pieces.ts'

/** The first byte of a frame (RFC 6455, section 5.2): FIN and the opcode. */
export const TEXT = 0x81
export const BINARY = 0x82
const CLOSE = 0x88
const PING = 0x89
const PONG = 0x8a
const MASKED = 0x80

/** XORs bytes with a mask of four, where they are. */
type Unmask = (bytes: Uint8Array, mask: Uint8Array) => void

/** A message of fewer bytes is in one piece: of its reads hardly one is all its own. */
const PIECED_BYTES = 128 * 1024
/** A read of so many bytes becomes a piece as it is; what is shorter is copied. */
const WHOLE_READ_BYTES = 32 * 1024
/** A part of a read gets a piece of its own from so many bytes on. */
const OWN_PIECE_BYTES = 16 * 1024
/** Shorter ones share pieces of this size. */
const SHARED_PIECE_BYTES = 64 * 1024

/**
 * Takes the messages that come in one masked frame off a socket's bytes before ws sees them. A binary one is unmasked where it
 * was read, and a read that is all of one message becomes a piece of it; the rest is copied. Either way the pieces hold alive
 * exactly the message's bytes, and belong to whoever gets it. Control frames go to ws as they came. With the first frame that is fragmented, too large or against the protocol everything
 * is handed over to ws, because what is right to do then depends on all that follows.
 *
 * Without it a relay that has held many sockets spends 1.75 to 1.87 times the CPU a GB: `npm run bench -- --only optimisations`.
 */
export class WholeMessages {
  /** The largest message that is taken. What was begun under another maximum is not looked at again. */
  maxBytes: number
  readonly #take: (message: string | Bytes) => void
  readonly #leave: (bytes: Buffer) => void
  readonly #handOver: (bytes: Buffer) => void
  /** A header of which not all has come. */
  #begun: Buffer | undefined
  /** The bytes of the payload being read, how many are to come, and the mask for the next one. */
  #length = 0
  #missing = 0
  #mask = 0
  readonly #pieces: Uint8Array[] = []
  /** The last piece, while there is room in it, and how much of it is filled. */
  #open: Buffer | undefined
  #opened = 0
  #text = false
  /** Bytes to come of a frame that is for ws. */
  #leaving = 0
  #closing = false
  /** Bytes to hand over before the rest of the chunk. */
  #over: Buffer | undefined

  /**
   * `leave` gets control frames, in pieces; `handOver` is called at most once, with all that
   * ws has to see of what was read so far. After that ws reads for itself.
   */
  constructor(
    maxBytes: number,
    to: {
      readonly take: (message: string | Bytes) => void
      readonly leave: (bytes: Buffer) => void
      readonly handOver: (bytes: Buffer) => void
    },
  ) {
    this.maxBytes = maxBytes
    this.#take = to.take
    this.#leave = to.leave
    this.#handOver = to.handOver
  }

  /** The next bytes as they came. Those for ws are passed on as a view of `chunk`; nothing after a close frame is. */
  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#missing > 0) at += this.#fill(chunk, at)
      else if (this.#leaving > 0) at += this.#passOn(chunk, at)
      else if (this.#closing) return
      else at += this.#begin(chunk, at)
      if (this.#over) return this.#handOver(Buffer.concat([this.#over, chunk.subarray(at)]))
    }
  }

  #fill(chunk: Buffer, at: number): number {
    const count = Math.min(this.#missing, chunk.length - at)
    const part = count === chunk.length ? chunk : chunk.subarray(at, at + count)
    // Clients of this project mask with zeros.
    if (this.#mask !== 0) {
      scratch.writeInt32BE(this.#mask)
      unmask(part, scratch)
      const bits = (count % 4) * 8
      if (bits > 0) this.#mask = (this.#mask << bits) | (this.#mask >>> (32 - bits))
    }
    // The header of a relay's frame is in the first piece.
    if (this.#isPieced && isWholeRead(part) && this.#length - this.#missing > FRAME_HEADER_BYTES) {
      this.#close()
      this.#pieces.push(part)
    } else this.#copy(part)
    this.#missing -= count
    if (this.#missing === 0) this.#finish()
    return count
  }

  get #isPieced(): boolean {
    return this.#length >= PIECED_BYTES
  }

  #copy(part: Buffer): void {
    for (let from = 0; from < part.length; ) {
      const left = part.length - from
      const missing = this.#missing - from
      const piece = left < OWN_PIECE_BYTES ? Math.min(missing, SHARED_PIECE_BYTES) : left
      this.#open ??= Buffer.allocUnsafeSlow(this.#isPieced ? piece : missing)
      const copied = part.copy(this.#open, this.#opened, from)
      this.#opened += copied
      from += copied
      if (this.#opened === this.#open.length) this.#close()
    }
  }

  /** Ends the open piece, which is no longer than what is in it then. */
  #close(): void {
    if (!this.#open) return
    const isFull = this.#opened === this.#open.length
    this.#pieces.push(isFull ? this.#open : new Uint8Array(this.#open.subarray(0, this.#opened)))
    this.#open = undefined
    this.#opened = 0
  }

  #finish(): void {
    this.#close()
    const pieces = this.#pieces.splice(0)
    const [first] = pieces
    const message = first && pieces.length === 1 ? first : new Pieces(pieces)
    if (!this.#text) return this.#take(message)
    const text = Buffer.from(inOnePiece(message))
    if (isUtf8(text)) return this.#take(text.toString())
    this.#over = Buffer.concat([writeHeader(TEXT, text.length, MASKED), text])
  }

  #passOn(chunk: Buffer, at: number): number {
    const count = Math.min(this.#leaving, chunk.length - at)
    this.#leaving -= count
    this.#leave(chunk.subarray(at, at + count))
    return count
  }

  /** Reads a header, which may come in pieces, and decides whose frame it is: as soon as ws would find fault with it. */
  #begin(chunk: Buffer, at: number): number {
    const before = this.#begun?.length ?? 0
    const rest = chunk.subarray(at)
    const seen = this.#begun ? Buffer.concat([this.#begun, rest.subarray(0, HEADER_MAX_BYTES)]) : rest
    const header = readHeader(seen)
    const handedOver = header === 'faulty' || (header !== undefined && header.payloadBytes > this.maxBytes)
    if (!handedOver && (!header || seen.length < header.bytes)) {
      this.#begun = Buffer.from(seen)
      return rest.length
    }
    this.#begun = undefined
    if (handedOver) {
      this.#over = seen
      return seen.length - before
    }
    if (header.payloadBytes > 0 && (seen[0] === BINARY || seen[0] === TEXT)) {
      this.#text = seen[0] === TEXT
      this.#mask = seen.readInt32BE(header.bytes - 4)
      this.#length = this.#missing = header.payloadBytes
    } else {
      this.#closing = seen[0] === CLOSE
      this.#leaving = header.payloadBytes
      this.#leave(seen.subarray(0, header.bytes))
    }
    return header.bytes - before
  }
}

const KNOWN: ReadonlySet<number> = new Set([TEXT, BINARY, CLOSE, PING, PONG])
const HEADER_MAX_BYTES = 14
const scratch = Buffer.alloc(4)

interface Header {
  readonly bytes: number
  readonly payloadBytes: number
}

/** The header that begins here; undefined when too little of it is here to tell. */
function readHeader(seen: Buffer): Header | 'faulty' | undefined {
  const [first, second] = seen
  if (first === undefined || second === undefined) return undefined
  const length = second % MASKED
  if (second < MASKED || !KNOWN.has(first) || (first >= CLOSE && length > 125)) return 'faulty'
  if (length < 126) return { bytes: 6, payloadBytes: length }
  if (length === 126) return seen.length < 4 ? undefined : { bytes: 8, payloadBytes: seen.readUInt16BE(2) }
  if (seen.length < 10) return undefined
  return { bytes: 14, payloadBytes: seen.readUInt32BE(2) * 2 ** 32 + seen.readUInt32BE(6) }
}

/** The header of a frame, as servers write it; `masked`: as clients do, with a mask of zeros. */
export function writeHeader(first: number, length: number, masked = 0): Buffer {
  const [code, extended] = length < 126 ? [length, 0] : length < 0x1_0000 ? [126, 2] : [127, 8]
  const header = Buffer.alloc(2 + extended + (masked ? 4 : 0))
  header[0] = first
  header[1] = masked | code
  if (extended > 0) header.writeUIntBE(length, extended === 2 ? 2 : 6, extended === 2 ? 2 : 4)
  return header
}

/** Reports whether these bytes are all that was read, and enough to be kept as they are. */
function isWholeRead(bytes: Buffer): boolean {
  return bytes.length >= WHOLE_READ_BYTES && bytes.length === bytes.buffer.byteLength
}

/** Unmasks where bufferutil, an optional dependency, is not there. */
export const unmaskInJavaScript: Unmask = (bytes, mask) => {
  for (let i = 0; i < bytes.length; i++) bytes[i] = (bytes[i] ?? 0) ^ (mask[i & 3] ?? 0)
}

const unmask: Unmask = nativeUnmask() ?? unmaskInJavaScript

function nativeUnmask(): Unmask | undefined {
  try {
    return createRequire(import.meta.url)('bufferutil').unmask
  } catch {
    return undefined
  }
}

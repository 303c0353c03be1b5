import { randomBytes } from 'node:crypto'
import { type Address, readUntil, Wire } from './wire.ts'

/** WebSocket by hand: enough of RFC 6455 for a load generator that must be cheaper than what it measures. */

export const TEXT = 1
export const BINARY = 2
const CLOSE = 8
const PING = 9
const PONG = 10

/** Any key that is not 0 costs a server the same. */
const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d])
const MASK_WORD = MASK.readUInt32BE(0)

/** A masked client frame. Its payload begins at `payloadAt`. */
export function maskedFrame(opcode: number, payload: Uint8Array): { bytes: Buffer; payloadAt: number } {
  const lengthBytes = payload.length < 126 ? 0 : payload.length < 65_536 ? 2 : 8
  const payloadAt = 2 + lengthBytes + 4
  const bytes = Buffer.allocUnsafeSlow(payloadAt + payload.length)
  bytes[0] = 0x80 | opcode
  bytes[1] = 0x80 | (lengthBytes === 0 ? payload.length : lengthBytes === 2 ? 126 : 127)
  if (lengthBytes === 2) bytes.writeUInt16BE(payload.length, 2)
  if (lengthBytes === 8) bytes.writeBigUInt64BE(BigInt(payload.length), 2)
  MASK.copy(bytes, payloadAt - 4)
  for (let i = 0; i < payload.length; i++) bytes[payloadAt + i] = (payload[i] ?? 0) ^ (MASK[i & 3] ?? 0)
  return { bytes, payloadAt }
}

/** Overwrites four masked payload bytes with a number. `offset` within the payload is a multiple of four. */
export function putMasked(frame: Buffer, payloadAt: number, offset: number, value: number): void {
  frame.writeUInt32BE((value ^ MASK_WORD) >>> 0, payloadAt + offset)
}

export interface FrameHandler {
  /** A whole binary frame. `head` has its first eight bytes, until the call returns. */
  binary(head: Buffer, length: number): void
  text(text: string): void
  closed(code: number): void
  ping(payload: Buffer): void
}

const HEAD_BYTES = 8
const COLLECT_MAX = 16 * 1024

/** Finds the frames in what a socket reads. Payload is skipped, not copied; frames are whole (no server here splits them). */
export class FrameReader {
  readonly #handler: FrameHandler
  readonly #header = Buffer.alloc(14)
  #headerHas = 0
  #collected = Buffer.alloc(HEAD_BYTES)
  #collectedHas = 0
  #collect = 0
  #opcode = 0
  #length = 0
  #left = -1

  constructor(handler: FrameHandler) {
    this.#handler = handler
  }

  feed(bytes: Buffer, end: number): void {
    let at = 0
    while (at < end) {
      if (this.#left === -1) {
        at = this.#readHeader(bytes, at, end)
        if ((this.#left as number) !== 0) continue
      } else {
        const take = Math.min(this.#left, end - at)
        const missing = Math.min(take, this.#collect - this.#collectedHas)
        if (missing > 0) {
          bytes.copy(this.#collected, this.#collectedHas, at, at + missing)
          this.#collectedHas += missing
        }
        this.#left -= take
        at += take
        if (this.#left > 0) return
      }
      this.#left = -1
      this.#finish()
    }
  }

  #readHeader(bytes: Buffer, start: number, end: number): number {
    let at = start
    const header = this.#header
    while (at < end) {
      header[this.#headerHas++] = bytes[at++] as number
      const second = header[1] as number
      if (this.#headerHas < 2) continue
      const short = second & 0x7f
      const need = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + (second & 0x80 ? 4 : 0)
      if (this.#headerHas < need) continue
      const first = header[0] as number
      if ((first & 0xf0) !== 0x80) throw new Error('a frame in pieces, or with an extension')
      this.#opcode = first & 0x0f
      this.#length = short < 126 ? short : short === 126 ? header.readUInt16BE(2) : Number(header.readBigUInt64BE(2))
      this.#left = this.#length
      this.#headerHas = 0
      this.#collectedHas = 0
      this.#collect = Math.min(this.#length, this.#opcode === BINARY ? HEAD_BYTES : COLLECT_MAX)
      if (this.#collect > this.#collected.length) this.#collected = Buffer.alloc(COLLECT_MAX)
      return at
    }
    return at
  }

  #finish(): void {
    const payload = this.#collected.subarray(0, this.#collectedHas)
    if (this.#opcode === BINARY) this.#handler.binary(this.#collected, this.#length)
    else if (this.#opcode === TEXT) this.#handler.text(payload.toString())
    else if (this.#opcode === PING) this.#handler.ping(payload)
    else if (this.#opcode === CLOSE) this.#handler.closed(payload.length >= 2 ? payload.readUInt16BE(0) : 1005)
  }
}

export interface ConnectOptions {
  readonly protocol?: string
  readonly source?: string
  /** For a server that speaks first: its first words can come with the answer to the upgrade. */
  readonly onText?: (text: string) => void
}

/** A client's WebSocket. Pings are answered; a close is answered and reported. */
export class WebSocketWire {
  readonly wire: Wire
  onBinary: (head: Buffer, length: number) => void = () => {}
  onText: (text: string) => void = () => {}
  onClose: (code: number) => void = () => {}
  #closing = false
  #closed = false

  private constructor(wire: Wire) {
    this.wire = wire
  }

  static async connect(address: Address, path: string, options: ConnectOptions = {}): Promise<WebSocketWire> {
    const { protocol, source, onText } = options
    const wire = await Wire.connect(address, source)
    const socket = new WebSocketWire(wire)
    if (onText) socket.onText = onText
    const reader = socket.#reader()
    const offered = protocol === undefined ? '' : `Sec-WebSocket-Protocol: ${protocol}\r\n`
    const key = randomBytes(16).toString('base64')
    wire.write(
      `GET ${path} HTTP/1.1\r\nHost: ${address.host}:${address.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n${offered}\r\n`,
    )
    const answer = await readUntil(wire, '\r\n\r\n', (bytes, length) => reader.feed(bytes, length))
    if (!answer.startsWith('HTTP/1.1 101')) throw new Error(`no upgrade: ${answer.split('\r\n')[0]}`)
    wire.onClose = () => socket.#over(1006)
    return socket
  }

  #reader(): FrameReader {
    return new FrameReader({
      binary: (head, length) => this.onBinary(head, length),
      text: (text) => this.onText(text),
      ping: (payload) => this.wire.write(maskedFrame(PONG, payload).bytes),
      closed: (code) => {
        if (!this.#closing) this.wire.write(maskedFrame(CLOSE, Buffer.from([code >> 8, code & 0xff])).bytes)
        this.wire.end()
        this.#over(code)
      },
    })
  }

  sendText(text: string): void {
    this.wire.write(maskedFrame(TEXT, Buffer.from(text)).bytes)
  }

  /** Says goodbye; the server ends the connection. */
  close(): void {
    if (this.#closing || this.#closed) return
    this.#closing = true
    this.wire.write(maskedFrame(CLOSE, Buffer.from([0x03, 0xe8])).bytes)
  }

  destroy(): void {
    this.#closing = true
    this.wire.destroy()
  }

  #over(code: number): void {
    if (this.#closed) return
    this.#closed = true
    // Whoever closes knows it already.
    if (!this.#closing) this.onClose(code)
  }
}

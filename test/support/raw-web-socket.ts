import { connect, type Socket } from 'node:net'

/** A WebSocket client that frames as it is told, right or wrong, and reads what the relay sends. */

export const TEXT = 1
export const BINARY = 2
export const CLOSE = 8
export const PING = 9
export const PONG = 10

export interface Framing {
  /** Fin and reserved bits, in the place they have in the first byte. */
  readonly flags?: number
  readonly masked?: boolean
  /** Bytes of the length field: 0, 2 or 8. The shortest that fits, unless told. */
  readonly lengthBytes?: 0 | 2 | 8
  /** What the length field says, unless it tells the truth. */
  readonly declared?: number | bigint
  readonly maskKey?: Buffer
}

/** A client's frame as RFC 6455 has it, or not. */
export function wsFrame(opcode: number, payload: Uint8Array | string, framing: Framing = {}): Buffer {
  const { flags = 0x80, masked = true, declared, maskKey = Buffer.alloc(4) } = framing
  const bytes = Buffer.from(payload)
  const length = declared ?? bytes.length
  const lengthBytes = framing.lengthBytes ?? (length < 126 ? 0 : length < 0x1_0000 ? 2 : 8)
  const head = Buffer.alloc(2 + lengthBytes)
  head[0] = flags | opcode
  head[1] = (masked ? 0x80 : 0) | (lengthBytes === 0 ? Number(length) & 0x7f : lengthBytes === 2 ? 126 : 127)
  if (lengthBytes === 2) head.writeUInt16BE(Number(length) & 0xffff, 2)
  if (lengthBytes === 8) head.writeBigUInt64BE(BigInt.asUintN(64, BigInt(length)), 2)
  if (!masked) return Buffer.concat([head, bytes])
  for (let i = 0; i < bytes.length; i++) bytes[i] ^= maskKey[i & 3]
  return Buffer.concat([head, maskKey, bytes])
}

export interface ServerFrame {
  readonly opcode: number
  readonly payload: Buffer
}

/** How a connection ended: by a close frame (its code and reason, 1005 for none) or without one. */
export type Ending = { readonly code: number; readonly reason: string } | 'cut'

export class RawWebSocket {
  readonly frames: ServerFrame[] = []
  /** The status of the answer to the upgrade, once it has come. */
  status: number | undefined
  readonly ended: Promise<Ending>
  readonly #socket: Socket
  #bytes: Buffer = Buffer.alloc(0)
  #pongs = 0
  #look: (() => void) | undefined
  #ending: Ending | undefined

  /** Asks for the upgrade and says `first` at once, without waiting for the answer, as far as a network allows. */
  constructor(port: number, sessionId: string, first: Uint8Array = Buffer.alloc(0)) {
    const upgrade =
      `GET /v1/sessions/${sessionId}/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
      'Sec-WebSocket-Protocol: pairlay.v1\r\n\r\n'
    this.#socket = connect(port, '127.0.0.1')
    this.#socket.setNoDelay(true)
    this.#socket.write(Buffer.concat([Buffer.from(upgrade), first]))
    this.#socket.on('data', (bytes: Buffer) => this.#take(bytes))
    this.#socket.on('error', () => {})
    this.ended = new Promise((resolve) => {
      this.#socket.on('close', () => {
        this.#ending ??= 'cut'
        this.#look?.()
        resolve(this.#ending)
      })
    })
  }

  get ending(): Ending | undefined {
    return this.#ending
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  /** Resolves when the relay has read everything said so far, and has done what follows at once; or when the socket ended. */
  async settled(): Promise<void> {
    // Its answer to the second ping comes a turn after it took in what was said before the first.
    for (let round = 0; round < 2; round++) {
      const pongs = ++this.#pongs
      this.write(wsFrame(PING, `settled ${pongs}`))
      await this.until(() => this.pongs.includes(`settled ${pongs}`))
      if (this.#ending) return
    }
  }

  /** What came back of pings, in order. */
  get pongs(): string[] {
    return this.frames.filter(({ opcode }) => opcode === PONG).map(({ payload }) => payload.toString())
  }

  /** Resolves when it holds, or when the connection has ended. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds() && !this.#ending) {
      await new Promise<void>((resolve) => {
        this.#look = resolve
      })
    }
  }

  /** Ends the connection in the direction of the relay. */
  finish(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #take(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes])
    if (this.status === undefined) {
      const end = this.#bytes.indexOf('\r\n\r\n')
      if (end < 0) return
      this.status = Number(this.#bytes.toString('latin1', 9, 12))
      this.#bytes = this.#bytes.subarray(end + 4)
    }
    while (this.#cut()) {
      const { opcode, payload } = this.frames[this.frames.length - 1]
      if (opcode !== CLOSE) continue
      const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005
      this.#ending ??= { code, reason: payload.toString('utf8', 2) }
      this.#socket.destroy()
      break
    }
    this.#look?.()
  }

  #cut(): boolean {
    const bytes = this.#bytes
    if (bytes.length < 2) return false
    const field = bytes[1] & 0x7f
    const head = field === 127 ? 10 : field === 126 ? 4 : 2
    if (bytes.length < head) return false
    const length = field === 127 ? Number(bytes.readBigUInt64BE(2)) : field === 126 ? bytes.readUInt16BE(2) : field
    if (bytes.length < head + length) return false
    this.frames.push({ opcode: bytes[0] & 0x0f, payload: bytes.subarray(head, head + length) })
    this.#bytes = bytes.subarray(head + length)
    return true
  }
}

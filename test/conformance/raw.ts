import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Answer } from './client.ts'
import { DEADLINE_MS } from './device.ts'
import type { Relay } from './relay.ts'

/** Where an HTTP head ends, or 0 while it is not there. */
export function headEnd(bytes: Buffer): number {
  const at = bytes.indexOf('\r\n\r\n')
  return at < 0 ? 0 : at + 4
}

/** A bare connection, for bytes that no HTTP or WebSocket library would send. */
export class RawConnection {
  readonly socket: Socket
  #bytes = Buffer.alloc(0)
  #ended = false
  readonly #checks = new Set<() => void>()

  static async open(relay: Relay): Promise<RawConnection> {
    const { protocol, hostname: host, port } = new URL(relay.url)
    const secure = protocol === 'https:'
    const options = { host, port: Number(port || (secure ? 443 : 80)) }
    const socket = secure ? connectTls({ ...options, servername: host }) : connectTcp(options)
    await new Promise<void>((resolve, reject) =>
      socket.once(secure ? 'secureConnect' : 'connect', resolve).once('error', reject),
    )
    return new RawConnection(socket)
  }

  /** A connection that has been upgraded to a session's WebSocket, with nothing said on it yet. */
  static async webSocket(relay: Relay, sessionId: string): Promise<RawConnection> {
    const connection = await RawConnection.open(relay)
    connection.write(upgradeRequest(`/v1/sessions/${sessionId}/socket`))
    const head = await connection.take(headEnd, 'the answer to the upgrade')
    if (!head.toString().startsWith('HTTP/1.1 101 ')) throw new Error(`no upgrade: ${head}`)
    return connection
  }

  /** The socket may still connect. */
  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes])
      this.#look()
    })
    socket.on('close', () => {
      this.#ended = true
      this.#look()
    })
    socket.on('error', () => {})
  }

  /** Bytes that have come and were not taken. */
  get rest(): Buffer {
    return this.#bytes
  }

  get isOver(): boolean {
    return this.#ended
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(bytes)
  }

  /** From now on takes nothing from the network, like a device that hangs. */
  stopReading(): void {
    this.socket.pause()
  }

  destroy(): void {
    this.socket.destroy()
  }

  /** Waits until `length` says that the first so many bytes are what is wanted (more than 0), and takes them. */
  async take(length: (bytes: Buffer) => number, what: string, deadlineMs = DEADLINE_MS): Promise<Buffer> {
    let taken = 0
    await this.#until(
      () => {
        taken = length(this.#bytes)
        return taken > 0 && taken <= this.#bytes.length
      },
      what,
      deadlineMs,
    )
    const bytes = this.#bytes.subarray(0, taken)
    this.#bytes = this.#bytes.subarray(taken)
    return bytes
  }

  /** An HTTP answer with a Content-Length, as `call` would have given it. */
  async answer(deadlineMs = DEADLINE_MS): Promise<Answer> {
    const head = (await this.take(headEnd, 'an HTTP answer', deadlineMs)).toString()
    const [statusLine, ...lines] = head.trimEnd().split('\r\n')
    const headers = new Headers(lines.map((line) => line.split(/: ?(.*)/s, 2) as [string, string]))
    const length = Number(headers.get('content-length'))
    const bytes = length > 0 ? await this.take(() => length, 'the body', deadlineMs) : Buffer.alloc(0)
    const text = bytes.toString()
    return { status: Number(statusLine.split(' ')[1]), headers, text, bytes, body: text ? JSON.parse(text) : undefined }
  }

  /** The next WebSocket frame from the relay: its opcode and payload. The relay sends each message in one. */
  async frame(deadlineMs = DEADLINE_MS): Promise<ServerFrame> {
    const bytes = await this.take(frameLength, 'a WebSocket frame', deadlineMs)
    return { opcode: bytes[0] & 0x0f, payload: bytes.subarray(headLength(bytes)) }
  }

  /** Reads on to the close frame. */
  async closed(): Promise<{ code: number; reason: string }> {
    for (;;) {
      const { opcode, payload } = await this.frame()
      if (opcode === 8) return { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() }
    }
  }

  #until(holds: () => boolean, what: string, deadlineMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: Error) => {
        clearTimeout(timer)
        this.#checks.delete(check)
        if (error) reject(error)
        else resolve()
      }
      const fail = () => settle(new Error(`${what} did not come, but ${this.#bytes.toString('latin1', 0, 300)}`))
      const check = () => {
        try {
          if (holds()) settle()
          else if (this.#ended) fail()
        } catch (error) {
          settle(error as Error)
        }
      }
      const timer = Number.isFinite(deadlineMs) ? setTimeout(fail, deadlineMs) : undefined
      this.#checks.add(check)
      check()
    })
  }

  #look(): void {
    for (const check of [...this.#checks]) check()
  }
}

/** An upgrade request with the sample key of RFC 6455, offering `subprotocol` (none when it is empty), then `more` lines. */
export function upgradeRequest(path: string, subprotocol = 'pairlay.v1', more: readonly string[] = []): string {
  const lines = [
    `GET ${path} HTTP/1.1`,
    'Host: relay',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ]
  if (subprotocol) lines.push(`Sec-WebSocket-Protocol: ${subprotocol}`)
  return `${[...lines, ...more].join('\r\n')}\r\n\r\n`
}

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
  /** Value of the length field, unless it is true. */
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

function headLength(bytes: Buffer): number {
  return { 126: 4, 127: 10 }[bytes[1]] ?? 2
}

function frameLength(bytes: Buffer): number {
  if (bytes.length < 2 || bytes.length < headLength(bytes)) return 0
  if (bytes[1] === 126) return 4 + bytes.readUInt16BE(2)
  if (bytes[1] === 127) return 10 + Number(bytes.readBigUInt64BE(2))
  return 2 + bytes[1]
}

import type { Socket } from 'node:net'
import { decodeFrame, FRAME_ACK } from '../../src/protocol/frame.ts'
import { TcpProxy } from './tcp-proxy.ts'

/** A frame between a device and the relay, or an ack of one. */
export interface Passing {
  /** Seen from the device. */
  readonly way: 'out' | 'in'
  readonly isAck: boolean
  readonly seq: number
}

/**
 * A network between a device and the relay that knows frames, on a WebSocket or over HTTP, and asks about each. Over HTTP the
 * peer's acks are in views, and are not known.
 */
export class FrameProxy {
  /** Called with each frame, which goes on when `pass` is called. */
  onFrame: (passing: Passing, pass: () => void) => void = (_, pass) => pass()
  refusesSockets = false
  #port: number
  #proxy: TcpProxy | undefined
  #isLost = false
  readonly #clients = new Set<Socket>()

  private constructor(port: number) {
    this.#port = port
  }

  static async start(port: number): Promise<FrameProxy> {
    const proxy = new FrameProxy(port)
    proxy.#proxy = await TcpProxy.start({
      ports: (line) => (proxy.refusesSockets && isUpgrade(line) ? [] : [proxy.#port]),
      carry: (client, relay) => proxy.#carry(client, relay),
    })
    return proxy
  }

  get url(): string {
    return this.#proxy?.url ?? ''
  }

  /** Nothing passes on the connections there are; later ones lead to this other relay. What a device had written is still asked about. */
  lose(port: number): void {
    this.#port = port
    this.#isLost = true
    for (const client of this.#clients) client.end()
  }

  async close(): Promise<void> {
    await this.#proxy?.close()
  }

  #carry(client: Socket, relay: Socket): void {
    const isOfLost = this.#isLost
    const conversation = new Conversation()
    this.#clients.add(client)
    for (const [way, from, to] of [
      ['out', client, relay],
      ['in', relay, client],
    ] as const) {
      from.on('data', (chunk: Buffer) => {
        for (const { bytes, frame } of conversation.read(way, chunk)) {
          const pass = () => void (this.#isLost && !isOfLost ? undefined : to.write(bytes))
          if (frame && !isOfLost) this.onFrame(frame, pass)
          else pass()
        }
      })
      from.on('end', () => to.end())
      from.on('close', () => {
        to.destroy()
        this.#clients.delete(client)
      })
    }
  }
}

interface Part {
  readonly bytes: Buffer
  /** The frame that begins in these bytes. */
  readonly frame?: Passing | undefined
}

/** Bytes of a connection, taken apart into frames and the rest. */
class Conversation {
  /** Over HTTP, the frame that is waited for. */
  #asked: number | undefined
  #isSocket = false
  readonly #heads = { out: false, in: false }
  readonly #unread: Record<Passing['way'], Buffer> = { out: Buffer.alloc(0), in: Buffer.alloc(0) }

  read(way: Passing['way'], chunk: Buffer): Part[] {
    const text = chunk.toString('latin1', 0, 300)
    if (way === 'out' && isUpgrade(text)) this.#isSocket = true
    if (!this.#isSocket) return [{ bytes: chunk, frame: this.#called(way, text) }]
    this.#unread[way] = Buffer.concat([this.#unread[way], chunk])
    const parts: Part[] = []
    for (let part = this.#next(way); part; part = this.#next(way)) parts.push(part)
    return parts
  }

  #called(way: Passing['way'], text: string): Passing | undefined {
    if (way === 'in') {
      const seq = this.#asked
      this.#asked = undefined
      return seq !== undefined && text.startsWith('HTTP/1.1 200') ? { way, isAck: false, seq } : undefined
    }
    const [, method, number] = /^(PUT|GET|DELETE) \S+\/frames\/(\d+)\S* HTTP/.exec(text) ?? []
    const seq = Number(number)
    if (method === 'GET') this.#asked = seq
    return method === undefined || method === 'GET' ? undefined : { way, isAck: method === 'DELETE', seq }
  }

  /** The next whole part of a WebSocket: its HTTP head, or a message of it. */
  #next(way: Passing['way']): Part | undefined {
    const unread = this.#unread[way]
    const length = this.#heads[way] ? messageLength(unread) : unread.indexOf('\r\n\r\n') + 4
    if (length === undefined || length > unread.length || (!this.#heads[way] && length < 4)) return undefined
    const bytes = unread.subarray(0, length)
    this.#unread[way] = unread.subarray(length)
    const frame = this.#heads[way] ? frameOf(way, bytes) : undefined
    this.#heads[way] = true
    return { bytes, frame }
  }
}

function isUpgrade(text: string): boolean {
  return /^GET \S+\/socket HTTP/.test(text)
}

/** Length of the WebSocket message that begins here, header included, if that is known. RFC 6455, section 5.2. */
function messageLength(bytes: Buffer): number | undefined {
  if (bytes.length < 2) return undefined
  const short = bytes[1] & 0x7f
  const mask = bytes[1] & 0x80 ? 4 : 0
  if (short < 126) return 2 + mask + short
  if (short === 126) return bytes.length < 4 ? undefined : 4 + mask + bytes.readUInt16BE(2)
  return bytes.length < 10 ? undefined : 10 + mask + Number(bytes.readBigUInt64BE(2))
}

function frameOf(way: Passing['way'], bytes: Buffer): Passing | undefined {
  const isBinary = (bytes[0] & 0x0f) === 2
  if (!isBinary) return undefined
  const short = bytes[1] & 0x7f
  const at = short < 126 ? 2 : short === 126 ? 4 : 10
  const isMasked = (bytes[1] & 0x80) !== 0
  const payload = Buffer.from(bytes.subarray(at + (isMasked ? 4 : 0)))
  if (isMasked) for (const i of payload.keys()) payload[i] ^= bytes[at + (i % 4)]
  const { type, seq } = decodeFrame(payload)
  return { way, isAck: type === FRAME_ACK, seq }
}

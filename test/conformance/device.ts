import WebSocket from 'ws'
import type { View } from './client.ts'
import { SocketOverHttp } from './over-http.ts'
import { isOverHttp, type Relay } from './relay.ts'

/** A client made of PROTOCOL.md alone: here its WebSocket, and frames as bytes. */

/** How long anything that must come may take, in milliseconds. */
export const DEADLINE_MS = 30_000

export type Message =
  | { readonly kind: 'view'; readonly view: View }
  | { readonly kind: 'data'; readonly channel: number; readonly seq: number; readonly bytes: Buffer }
  | { readonly kind: 'ack'; readonly channel: number; readonly seq: number }

export interface Closed {
  readonly code: number
  readonly reason: string
}

/** A WebSocket, and everything that came on it, in order. */
export class Device {
  readonly messages: Message[] = []
  readonly socket: WebSocket | SocketOverHttp
  readonly #read = { view: 0, data: 0, ack: 0 }
  readonly #checks = new Set<() => void>()
  #closed: Closed | undefined

  /** A socket that has not said anything yet. */
  static async open(relay: Relay, sessionId: string): Promise<Device> {
    const url = `${relay.url}/v1/sessions/${sessionId}`
    const overWebSocket = () =>
      new WebSocket(`${url.replace(/^http/, 'ws')}/socket`, 'pairlay.v1', { perMessageDeflate: false })
    const device = new Device(isOverHttp ? new SocketOverHttp(url) : overWebSocket())
    await new Promise<void>((resolve, reject) => device.socket.once('open', resolve).once('error', reject))
    return device
  }

  constructor(socket: WebSocket | SocketOverHttp) {
    this.socket = socket
    socket.on('message', (bytes: Buffer, isBinary: boolean) => {
      this.messages.push(isBinary ? messageOf(bytes) : { kind: 'view', view: JSON.parse(bytes.toString()) })
      this.#look()
    })
    socket.on('close', (code, reason) => {
      this.#closed = { code, reason: reason.toString() }
      this.#look()
    })
    socket.on('error', () => {})
  }

  /** Text as a text frame, bytes as a binary one. */
  send(...frames: readonly (string | Uint8Array)[]): void {
    for (const frame of frames) this.socket.send(frame)
  }

  close(): void {
    this.socket.close()
  }

  /** Cuts the connection, as a network does. */
  cut(): void {
    this.socket.terminate()
  }

  /** The next view for which `holds` is true. The ones before it count as read. */
  async nextView(holds: (view: View) => boolean = () => true): Promise<View> {
    for (;;) {
      const { view } = await this.#next('view')
      if (holds(view)) return view
    }
  }

  nextData(): Promise<Extract<Message, { kind: 'data' }>> {
    return this.#next('data')
  }

  /** `channel/seq` of the next ack. */
  async nextAck(): Promise<string> {
    const { channel, seq } = await this.#next('ack')
    return `${channel}/${seq}`
  }

  /** Reads data until this seq has come; returns the whole frames of the channel, in the order they came. */
  async dataThrough(channel: number, seq: number): Promise<Buffer[]> {
    const frames: Buffer[] = []
    for (;;) {
      const frame = await this.nextData()
      if (frame.channel !== channel) continue
      frames.push(frame.bytes)
      if (frame.seq >= seq) return frames
    }
  }

  /** How often a frame of this kind came so far. */
  count(kind: Message['kind']): number {
    return this.messages.filter((message) => message.kind === kind).length
  }

  /** Close code and reason, when the connection has ended. */
  get ending(): Closed | undefined {
    return this.#closed
  }

  async closed(deadlineMs = DEADLINE_MS): Promise<Closed> {
    await this.until(() => this.#closed !== undefined, 'a close', deadlineMs)
    return this.#closed as Closed
  }

  async #next<K extends Message['kind']>(kind: K): Promise<Extract<Message, { kind: K }>> {
    let found: Message | undefined
    await this.until(() => {
      while (!found && this.#read[kind] < this.messages.length) {
        const message = this.messages[this.#read[kind]++]
        if (message.kind === kind) found = message
      }
      return found !== undefined
    }, `a frame of kind ${kind}`)
    return found as Extract<Message, { kind: K }>
  }

  /** Looks now and after each arrival. Fails when the socket has closed, or at the deadline. */
  until(holds: () => boolean, what = 'what a test waits for', deadlineMs = DEADLINE_MS): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: Error) => {
        clearTimeout(timer)
        this.#checks.delete(check)
        if (error) reject(error)
        else resolve()
      }
      const fail = () => settle(new Error(`${what} did not come; ${this.#story()}`))
      const check = () => {
        if (holds()) settle()
        else if (this.#closed) fail()
      }
      const timer = setTimeout(fail, deadlineMs)
      this.#checks.add(check)
      check()
    })
  }

  #look(): void {
    for (const check of [...this.#checks]) check()
  }

  #story(): string {
    const last = this.messages.slice(-5).map((message) => JSON.stringify(message).slice(0, 300))
    return `${this.#closed ? `closed ${JSON.stringify(this.#closed)}, ` : ''}last frames:\n${last.join('\n')}`
  }
}

/** A data frame. */
export function data(channel: number, seq: number, ciphertext: Uint8Array | string): Buffer {
  return Buffer.concat([header(1, channel, seq), Buffer.from(ciphertext)])
}

/** An ack frame. */
export function ack(channel: number, seq: number): Buffer {
  return header(2, channel, seq)
}

/** Bytes written out: `01 00 0001 00000001`. */
export function hex(literal: string): Buffer {
  return Buffer.from(literal.replaceAll(' ', ''), 'hex')
}

function header(type: number, channel: number, seq: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt8(type, 0)
  bytes.writeUInt16BE(channel, 2)
  bytes.writeUInt32BE(seq, 4)
  return bytes
}

function messageOf(bytes: Buffer): Message {
  const [channel, seq] = [bytes.readUInt16BE(2), bytes.readUInt32BE(4)]
  if (bytes[0] === 1) return { kind: 'data', channel, seq, bytes }
  if (bytes[0] === 2 && bytes.length === 8) return { kind: 'ack', channel, seq }
  throw new Error(`the relay sent a frame of no documented form: ${bytes.subarray(0, 16).toString('hex')}`)
}

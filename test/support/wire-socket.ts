import { type ClientOptions, WebSocket } from 'ws'
import { ciphertextOf, decodeFrame, encodeAck, encodeData, FRAME_DATA, type Frame } from '../../src/protocol/frame.ts'
import type { Attach } from '../../src/protocol/requests.ts'
import { SUBPROTOCOL, type View } from '../../src/protocol/view.ts'

/** A WebSocket to a relay, as a client that keeps every frame it gets and lets a test wait for what it wants. */
export class WireSocket {
  readonly socket: WebSocket
  readonly views: View[] = []
  readonly frames: Frame[] = []
  readonly #data: Frame[] = []
  /** Close code and reason, when the connection has ended. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
  readonly #opened: Promise<void>
  readonly #waiting = new Set<() => void>()

  constructor(url: string, sessionId: string, protocols: string[] = [SUBPROTOCOL], options: ClientOptions = {}) {
    this.socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/sessions/${sessionId}/socket`, protocols, options)
    this.#opened = new Promise((resolve, reject) => {
      this.socket.on('open', () => resolve())
      this.socket.on('error', reject)
    })
    this.#opened.catch(() => {})
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }))
    })
    this.socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (isBinary) this.#take(decodeFrame(data))
      else this.views.push(JSON.parse(data.toString()))
      for (const look of this.#waiting) look()
    })
  }

  /** A socket that is open, attached, and has its first view. */
  static async attach(
    url: string,
    member: { readonly sessionId: string; readonly token: string },
    channels: Attach['channels'] = [],
    options: ClientOptions = {},
  ): Promise<WireSocket> {
    const wire = new WireSocket(url, member.sessionId, [SUBPROTOCOL], options)
    await wire.opened()
    wire.say(JSON.stringify({ type: 'attach', token: member.token, channels }))
    await wire.until(() => wire.views.length > 0)
    return wire
  }

  /** Resolves when the upgrade is done, rejects when it was refused. */
  opened(): Promise<void> {
    return this.#opened
  }

  say(data: string | Uint8Array): void {
    this.socket.send(data, { binary: typeof data !== 'string' })
  }

  data(channel: number, seq: number, ciphertext: Uint8Array | string): void {
    this.say(encodeData(channel, seq, typeof ciphertext === 'string' ? Buffer.from(ciphertext) : ciphertext))
  }

  ack(channel: number, seq: number): void {
    this.say(encodeAck(channel, seq))
  }

  get view(): View {
    const view = this.views.at(-1)
    if (!view) throw new Error('no view has come')
    return view
  }

  /** Data frames received so far. */
  get received(): number {
    return this.#data.length
  }

  /** What the data frames had in them, in order. */
  get texts(): string[] {
    return this.#data.map((frame) => Buffer.from(ciphertextOf(frame)).toString())
  }

  /** Resolves as soon as what came in makes this true. Rejects when the connection ends before. */
  until(true_: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (!true_()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
      void this.closed.then(({ code, reason }) => reject(new Error(`closed before: ${code} ${reason}`)))
      look()
    })
  }

  #take(frame: Frame): void {
    this.frames.push(frame)
    if (frame.type === FRAME_DATA) this.#data.push(frame)
  }

  /** Cuts the connection without a word. */
  cut(): void {
    this.socket.terminate()
  }
}

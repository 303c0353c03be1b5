import { type ClientOptions, WebSocket } from 'ws'
import type { Attach } from '../../src/protocol/requests.ts'
import { SUBPROTOCOL, type View } from '../../src/protocol/view.ts'
import { ack, Device, data } from '../conformance/device.ts'

/** The device of the conformance suite at a relay of any kind, for tests that look at everything that has come so far. */
export class WireSocket extends Device {
  declare readonly socket: WebSocket
  readonly #opened: Promise<void>

  constructor(url: string, sessionId: string, protocols: string[] = [SUBPROTOCOL], options: ClientOptions = {}) {
    super(new WebSocket(`${url.replace(/^http/, 'ws')}/v1/sessions/${sessionId}/socket`, protocols, options))
    this.#opened = new Promise((resolve, reject) => this.socket.once('open', resolve).once('error', reject))
    this.#opened.catch(() => {})
  }

  /** A socket that is open, attached, and has its first view. */
  static async attach<T extends WireSocket>(
    this: new (
      ...args: ConstructorParameters<typeof WireSocket>
    ) => T,
    url: string,
    member: { readonly sessionId: string; readonly token: string },
    channels: readonly unknown[] = [],
    options: ClientOptions = {},
  ): Promise<T> {
    const wire = new this(url, member.sessionId, [SUBPROTOCOL], options)
    await wire.opened()
    wire.send(JSON.stringify({ type: 'attach', token: member.token, channels } satisfies Record<keyof Attach, unknown>))
    await wire.until(() => wire.views.length > 0)
    return wire
  }

  /** Resolves when the upgrade is done, rejects when it was refused. */
  opened(): Promise<void> {
    return this.#opened
  }

  data(channel: number, seq: number, ciphertext: Uint8Array | string): void {
    this.send(data(channel, seq, ciphertext))
  }

  ack(channel: number, seq: number): void {
    this.send(ack(channel, seq))
  }

  get views(): View[] {
    return this.messages.flatMap((message) => (message.kind === 'view' ? [message.view as View] : []))
  }

  get view(): View {
    const view = this.views.at(-1)
    if (!view) throw new Error('no view has come')
    return view
  }

  /** Data frames received so far. */
  get received(): number {
    return this.count('data')
  }

  /** The contents of the data frames, in order. */
  get texts(): string[] {
    return this.messages.flatMap((message) => (message.kind === 'data' ? [message.bytes.toString('utf8', 8)] : []))
  }
}

import type { SocketClose, WebSocketLike } from '../../src/client/environment.ts'
import { decodeFrame, encodeAck, encodeData, type Frame } from '../../src/protocol/frame.ts'
import type { ChannelRow, View } from '../../src/protocol/view.ts'

/** The SDK's end of a socket, with the test as the relay behind it. */
export class FakeWebSocket implements WebSocketLike {
  binaryType = 'blob'
  bufferedAmount = 0
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: SocketClose) => void) | null = null
  onerror: (() => void) | null = null
  readonly url: string
  readonly protocol: string
  /** Messages that the SDK has sent, in order. */
  readonly sent: (string | Uint8Array)[] = []
  /** Reports whether the SDK has closed this socket. */
  closed = false

  constructor(url: string, protocol: string) {
    this.url = url
    this.protocol = protocol
  }

  send(data: string | Uint8Array): void {
    this.sent.push(typeof data === 'string' ? data : data.slice())
  }

  close(): void {
    this.closed = true
  }

  // Actions of the relay.

  open(): void {
    this.onopen?.()
  }

  say(data: unknown): void {
    this.onmessage?.({ data })
  }

  show(change: Partial<View> = {}): void {
    this.say(JSON.stringify({ ...VIEW, ...change }))
  }

  data(channel: number, seq: number, ciphertext: Uint8Array): void {
    this.say(bufferOf(encodeData(channel, seq, ciphertext)))
  }

  ack(channel: number, seq: number): void {
    this.say(bufferOf(encodeAck(channel, seq)))
  }

  /** The connection ends, with a close code of the relay or 1006 for none. */
  drop(code = 1006): void {
    this.onclose?.({ code })
  }

  get frames(): Frame[] {
    return this.sent.flatMap((each) => (typeof each === 'string' ? [] : [decodeFrame(each)]))
  }

  get texts(): unknown[] {
    return this.sent.flatMap((each) => (typeof each === 'string' ? [JSON.parse(each)] : []))
  }
}

/** A sender's view of a session that nobody has joined. */
export const VIEW: View = {
  type: 'session',
  version: '1',
  role: 'sender',
  state: 'open',
  expiresInMs: 900_000,
  joinable: true,
  receivers: [],
  channels: [],
}

export function channelRow(change: Partial<ChannelRow> = {}): ChannelRow {
  return { channel: 1, received: 0, acked: 0, window: 4096, ...change }
}

function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}

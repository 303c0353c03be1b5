import type { CloseErrorCode } from '../../src/protocol/errors.ts'
import { ciphertextOf, decodeFrame, encodeAck, encodeData, FRAME_ACK, FRAME_DATA } from '../../src/protocol/frame.ts'
import type { Attach } from '../../src/protocol/requests.ts'
import type { View } from '../../src/protocol/view.ts'
import type { Connection } from '../../src/relay/live/connection.ts'
import type { PeerSocket } from '../../src/relay/ports.ts'

/** Something that the relay sent, in a form to compare. */
export type Sent =
  | { readonly kind: 'view'; readonly view: View }
  | { readonly kind: 'ack'; readonly channel: number; readonly seq: number }
  | { readonly kind: 'data'; readonly channel: number; readonly seq: number; readonly text: string }

/** Where a socket is plugged in. */
interface Relay {
  connect(sessionId: string, socket: PeerSocket): Connection
}

/**
 * Both ends of a socket at once: to the relay it is the transport, and records all that was sent; to the test it is the
 * client, and says what a client can say. Nothing is delivered later than the call, except that a closed socket reports
 * itself gone in a microtask, as a peer that answers the close would.
 */
export class FakeSocket implements PeerSocket {
  readonly sent: Sent[] = []
  /** The close code, as soon as the relay has closed this socket. */
  closedWith: CloseErrorCode | undefined
  destroyed = false
  pings = 0
  /** A peer that does not answer a close leaves this false. */
  answersClose = true
  /** A peer that has stopped leaves this false. */
  answersPings = true
  /** Takes this many more sends before it is congested. */
  room = Number.POSITIVE_INFINITY
  /** Messages sent though the socket was congested or closed. Stays 0 with a relay that keeps the rules. */
  violations = 0
  readonly #connection: Connection
  #gone = false

  constructor(relay: Relay, sessionId: string) {
    this.#connection = relay.connect(sessionId, this)
  }

  // Calls by the relay.

  send(data: string | Uint8Array): 'sent' | 'congested' {
    if (this.room <= 0 || this.closedWith || this.destroyed) this.violations++
    this.sent.push(parse(data))
    this.room--
    return this.room > 0 ? 'sent' : 'congested'
  }

  ping(): void {
    this.pings++
    if (this.answersPings) queueMicrotask(() => this.pong())
  }

  close(code: CloseErrorCode): void {
    if (this.closedWith) this.violations++
    this.closedWith = code
    if (this.answersClose) queueMicrotask(() => this.vanish())
  }

  destroy(): void {
    this.destroyed = true
    queueMicrotask(() => this.vanish())
  }

  // Calls by the client.

  attach(token: string, channels: Attach['channels'] = []): void {
    this.say(JSON.stringify({ type: 'attach', token, channels }))
  }

  data(channel: number, seq: number, content: string | Uint8Array = `frame ${seq}`): void {
    this.say(encodeData(channel, seq, typeof content === 'string' ? Buffer.from(content) : content))
  }

  ack(channel: number, seq: number): void {
    this.say(encodeAck(channel, seq))
  }

  /** Sends anything at all. */
  say(data: string | Uint8Array): void {
    this.#connection.receive(data)
  }

  pong(): void {
    this.#connection.pong()
  }

  /** Makes room again after congestion, for so many sends. */
  drain(room = Number.POSITIVE_INFINITY): void {
    this.room = room
    this.#connection.drained()
  }

  /** The connection is lost, or its close was answered. */
  vanish(): void {
    if (this.#gone) return
    this.#gone = true
    this.#connection.gone()
  }

  // Questions of the test.

  get views(): View[] {
    return this.sent.flatMap((each) => (each.kind === 'view' ? [each.view] : []))
  }

  /** The last view. Fails when there is none. */
  get view(): View {
    const view = this.views.at(-1)
    if (!view) throw new Error('no view was sent')
    return view
  }

  get acks(): { channel: number; seq: number }[] {
    return this.sent.flatMap((each) => (each.kind === 'ack' ? [{ channel: each.channel, seq: each.seq }] : []))
  }

  get frames(): { channel: number; seq: number; text: string }[] {
    return this.sent.flatMap((each) =>
      each.kind === 'data' ? [{ channel: each.channel, seq: each.seq, text: each.text }] : [],
    )
  }

  /** The seqs of the data frames sent, in order, of one channel. */
  seqs(channel = 1): number[] {
    return this.frames.filter((each) => each.channel === channel).map((each) => each.seq)
  }
}

function parse(data: string | Uint8Array): Sent {
  if (typeof data === 'string') return { kind: 'view', view: JSON.parse(data) }
  const frame = decodeFrame(data)
  const { channel, seq } = frame
  switch (frame.type) {
    case FRAME_ACK:
      return { kind: 'ack', channel, seq }
    case FRAME_DATA:
      return { kind: 'data', channel, seq, text: Buffer.from(ciphertextOf(frame)).toString() }
    default:
      return frame.type satisfies never
  }
}

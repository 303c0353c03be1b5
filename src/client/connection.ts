import { CodecError, decodeFrame, FRAME_ACK, parseJson } from '../protocol/codec.ts'
import { ABNORMAL_CLOSURE, ERRORS, errorOfCloseCode } from '../protocol/errors.ts'
import { View } from '../protocol/frames.ts'
import { CLIENT_SILENCE_MS } from '../protocol/limits.ts'
import { Channel } from './channel.ts'
import type { Environment, WebSocketLike } from './environment.ts'
import { errorOfCloseReason, PairingError, type PairingErrorCode } from './errors.ts'
import type { Credentials } from './relay-api.ts'
import { Transport } from './transport.ts'

const SILENCE_CHECK_MS = 5_000
/** A socket that has shown no view by then is given up: a proxy may take an upgrade and never answer. */
const VIEW_WITHIN_MS = 10_000
/** How often a flush looks whether the socket has passed everything on. The W3C WebSocket has no event for it. */
const FLUSH_CHECK_MS = 5
/** A socket that takes longer is not waited for: what it holds is kept and resent as well. */
const FLUSH_MAX_MS = 10_000
/** What this client holds unprocessed for one channel, whatever window the relay announces. */
const INBOX_MAX_BYTES = 64 * 1024 * 1024

export interface ConnectionOptions {
  readonly relayUrl: string
  readonly credentials: Credentials
  readonly expiresInMs: number
  readonly windowBytes: number
  readonly environment: Environment
  readonly onView: (view: View) => void
  readonly onStatus: (status: ConnectionStatus) => void
  /** Called once, when no WebSocket passes and the connection stays on HTTP. */
  readonly onFallback: () => void
  /** Called once, when the connection has ended for good. */
  readonly onEnd: (error: PairingError) => void
}

export type ConnectionStatus = 'connected' | 'reconnecting'

/**
 * One role's socket, over any number of WebSockets, or of what takes their place over HTTP: attach, resume, acks, window,
 * reconnect. It lives until `end`, the session's end, or something no reconnect can mend.
 */
export class Connection {
  readonly #options: ConnectionOptions
  readonly #environment: Environment
  readonly #channels = new Map<number, Channel>()
  readonly #deadline: number
  readonly #transport: Transport
  #socket: WebSocketLike | undefined
  #attached = false
  #status: ConnectionStatus | undefined
  /** Whether anything new came on this socket. */
  #progress = false
  #lastHeardAt = 0
  #retryTimer: unknown
  #viewTimer: unknown
  #silenceTimer: unknown
  #ended: PairingError | undefined

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#environment = options.environment
    this.#deadline = options.environment.now() + options.expiresInMs
    const { relayUrl, credentials } = options
    this.#transport = new Transport(`${relayUrl}/v1/sessions/${credentials.sessionId}`, options.environment)
  }

  /** Whether a socket is attached now. */
  get attached(): boolean {
    return this.#attached
  }

  start(): void {
    if (this.#ended) return
    this.#open()
    this.#watchSilence()
  }

  /** The channel of this number, from its first use on. */
  channel(number: number): Channel {
    const existing = this.#channels.get(number)
    if (existing) return existing
    const channel = new Channel(number, Math.min(this.#options.windowBytes, INBOX_MAX_BYTES), this.#environment)
    this.#channels.set(number, channel)
    if (this.#ended) channel.fail(this.#ended)
    return channel
  }

  /** Forgets a channel that is over; what still waits on it throws `error`. */
  drop(number: number, error: PairingError): void {
    this.#channels.get(number)?.fail(error)
    this.#channels.delete(number)
  }

  /** Sends what acks are due and waits until the socket has passed everything to the system, or there is no socket. */
  async flush(): Promise<void> {
    for (const channel of this.#channels.values()) channel.sendAck()
    const until = this.#environment.now() + FLUSH_MAX_MS
    while (this.#attached && (this.#socket?.bufferedAmount ?? 0) > 0 && this.#environment.now() < until) {
      await new Promise<void>((resolve) => this.#environment.setTimeout(resolve, FLUSH_CHECK_MS))
    }
  }

  /** Ends everything: no more reconnects, and whatever waits throws `error`. */
  end(error: PairingError): void {
    if (this.#ended) return
    this.#ended = error
    this.#environment.clearTimeout(this.#retryTimer)
    this.#environment.clearTimeout(this.#silenceTimer)
    this.#detach()
    for (const channel of this.#channels.values()) channel.fail(error)
    this.#options.onEnd(error)
  }

  #open(): void {
    const { token } = this.#options.credentials
    this.#progress = false
    let socket: WebSocketLike
    try {
      socket = this.#transport.open()
    } catch {
      // A runtime may have no WebSocket at all.
      return this.#lost(ABNORMAL_CLOSURE)
    }
    socket.binaryType = 'arraybuffer'
    this.#socket = socket
    this.#lastHeardAt = this.#environment.now()
    this.#viewTimer = this.#environment.setTimeout(() => this.#lost(ABNORMAL_CLOSURE), VIEW_WITHIN_MS)
    socket.onopen = () => {
      if (socket !== this.#socket) return
      const channels = [...this.#channels.values()].map((channel) => channel.resume())
      socket.send(JSON.stringify({ type: 'attach', token, channels }))
    }
    socket.onmessage = ({ data }) => {
      // An old socket can still speak while it closes.
      if (socket === this.#socket) this.#take(data)
    }
    socket.onerror = () => {}
    socket.onclose = ({ code }) => {
      if (socket === this.#socket) this.#lost(code)
    }
  }

  #take(data: unknown): void {
    this.#lastHeardAt = this.#environment.now()
    try {
      if (typeof data === 'string') this.#takeView(data)
      else this.#takeFrame(bytesOf(data))
    } catch (error) {
      if (error instanceof PairingError) this.end(error)
      else if (error instanceof CodecError) this.end(new PairingError('relay_misbehaved', { cause: error }))
      else throw error
    }
  }

  #takeView(text: string): void {
    const parsed = View.safeParse(parseJson(text))
    if (!parsed.success) throw new PairingError('relay_misbehaved')
    const view = parsed.data
    const first = !this.#attached && view.state === 'open'
    // The app's side first: it drops the channels that are over and opens those that are new.
    this.#options.onView(view)
    if (this.#ended) return
    const rows = new Map(view.channels.map((row) => [row.channel, row]))
    for (const channel of this.#channels.values()) {
      const row = rows.get(channel.number)
      if (first || !channel.isAttached) {
        this.#orDrop(channel, () => channel.attach(row, (bytes) => this.#socket?.send(bytes)))
      } else if (row) channel.grow(row.window)
    }
    if (view.state === 'closed') return this.end(errorOfCloseReason(view.reason))
    if (!first) return
    this.#attached = true
    this.#environment.clearTimeout(this.#viewTimer)
    if (this.#transport.attached()) this.#options.onFallback()
    this.#tell('connected')
  }

  #takeFrame(bytes: Uint8Array): void {
    if (!this.#attached) throw new PairingError('relay_misbehaved')
    const frame = decodeFrame(bytes)
    // A frame of a channel that is over may have been on its way.
    const channel = this.#channels.get(frame.channel)
    if (!channel) return
    const { progress } = channel
    if (frame.type === FRAME_ACK) this.#orDrop(channel, () => channel.takeAck(frame.seq))
    else channel.takeData(frame)
    this.#progress ||= channel.progress > progress
  }

  /** A wrong ack may be the peer's own, which any relay passes on: it ends its channel and must not end the others. */
  #orDrop(channel: Channel, take: () => void): void {
    try {
      take()
    } catch (error) {
      if (!(error instanceof PairingError)) throw error
      this.drop(channel.number, error)
    }
  }

  #lost(closeCode: number): void {
    const fatal = fatalErrorOf(closeCode)
    // A session that ended while this socket was congested did not say how: the next attach is told.
    const untold = this.#attached && closeCode === ERRORS.session_gone.closeCode
    if (fatal && !untold) return this.end(fatal)
    this.#detach()
    if (this.#environment.now() >= this.#deadline) return this.end(new PairingError('expired'))
    this.#tell('reconnecting')
    const ms = this.#transport.lost(this.#progress, closeCode)
    this.#retryTimer = this.#environment.setTimeout(() => this.#open(), ms)
  }

  #tell(status: ConnectionStatus): void {
    if (status === this.#status) return
    this.#status = status
    this.#options.onStatus(status)
  }

  #detach(): void {
    this.#attached = false
    this.#environment.clearTimeout(this.#viewTimer)
    for (const channel of this.#channels.values()) channel.detach()
    const socket = this.#socket
    this.#socket = undefined
    socket?.close()
  }

  /** A relay says something every 25 s at least. A socket that is silent for longer is dead, whatever it says itself. */
  #watchSilence(): void {
    this.#silenceTimer = this.#environment.setTimeout(() => {
      this.#watchSilence()
      const silentMs = this.#environment.now() - this.#lastHeardAt
      if (this.#socket && silentMs >= CLIENT_SILENCE_MS) this.#lost(ABNORMAL_CLOSURE)
    }, SILENCE_CHECK_MS)
  }
}

/** The error of a close that no reconnect can mend. */
function fatalErrorOf(closeCode: number): PairingError | undefined {
  const code = errorOfCloseCode(closeCode)
  if (!code || ERRORS[code].retryable) return undefined
  const meaning: Partial<Record<typeof code, PairingErrorCode>> = {
    session_gone: 'expired',
    session_not_found: 'session_lost',
    superseded: 'superseded',
  }
  return new PairingError(meaning[code] ?? 'relay_refused', meaning[code] ? {} : { detail: `It said ${code}.` })
}

function bytesOf(data: unknown): Uint8Array {
  if (data instanceof ArrayBuffer) return new Uint8Array(data)
  if (data instanceof Uint8Array) return data
  throw new PairingError('relay_misbehaved')
}

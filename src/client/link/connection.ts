import { ABNORMAL_CLOSURE, ERRORS } from '../../protocol/errors.ts'
import { decodeFrame, FRAME_ACK } from '../../protocol/frame.ts'
import { CLIENT_SILENCE_MS } from '../../protocol/limits.ts'
import { CodecError, parseJson } from '../../protocol/text.ts'
import { View } from '../../protocol/view.ts'
import type { Credentials } from '../calls/relay-api.ts'
import { type Environment, type FailedFrame, pause, type SocketClose, type WebSocketLike } from '../environment.ts'
import { errorOfAccident, errorOfClose, errorOfCloseReason, PairingError } from '../errors.ts'
import type { ConnectionStatus, DeviceOptions } from '../options.ts'
import { Channel } from './channel.ts'
import { FrameFailures } from './frame-failures.ts'
import { Reconnector } from './reconnector.ts'
import { bytesOf, sendOn } from './socket.ts'

const WATCH_EVERY_MS = 5_000
/** A socket that has shown no view by then is given up: a proxy may take an upgrade and never answer. */
const VIEW_WITHIN_MS = 10_000
/** How often a flush looks whether the socket has passed everything on. The W3C WebSocket has no event for it. */
const FLUSH_CHECK_MS = 5
/** A socket that takes longer is not waited for: what it holds is kept and resent anyway. */
const FLUSH_MAX_MS = 10_000
/** The relay is busy when it has had no window for a frame for this long. */
const BUSY_AFTER_MS = 5_000

export interface ConnectionOptions {
  readonly relayUrl: string
  /** The window is the most that one direction of a channel may have under way. */
  readonly session: Credentials & { readonly expiresInMs: number; readonly limits: { readonly windowBytes: number } }
  readonly environment: Environment
  readonly app: Pick<DeviceOptions, 'onStatus' | 'onFallback' | 'onSmallFrames'>
  readonly onView: (view: View) => void
  /** Called when there is no connection to the relay any more. */
  readonly onAway: () => void
  /** Called when a channel has ended for what came on it; the others live on. */
  readonly onChannelError: (channel: number, error: PairingError) => void
  /** Called when the relay has had no window for a channel's next frame for a while. */
  readonly onBusy: (channel: number) => void
  /** Called once, when the connection has ended for good; with the close code, if the relay ended it by one. */
  readonly onEnd: (error: PairingError, closeCode: number | undefined) => void
}

/** The life of a connection: between two sockets, with one that has shown no view yet, with one that has, over. */
type State =
  | { readonly at: 'between' }
  | { readonly at: 'opening' | 'attached'; readonly socket: WebSocketLike }
  | { readonly at: 'ended'; readonly error: PairingError }

/**
 * A role's connection, over any number of WebSockets, or of what takes their place over HTTP: attach, resume, acks, window,
 * reconnect. It lives until `end`, the session's end, or something no reconnect can mend.
 */
export class Connection {
  readonly #options: ConnectionOptions
  readonly #environment: Environment
  readonly #channels = new Map<number, Channel>()
  readonly #deadline: number
  readonly #reconnector: Reconnector
  readonly #failures = new FrameFailures()
  /** Channels whose wait for a window was told. */
  readonly #busy = new Set<number>()
  #state: State = { at: 'between' }
  /** Runs while the next try, or the first view of a socket, is waited for. */
  #timer: unknown
  #watchTimer: unknown
  #status: ConnectionStatus | undefined
  /** Reports whether anything new came on this socket. */
  #progress = false
  #lastHeardAt = 0

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#environment = options.environment
    this.#deadline = options.environment.now() + options.session.expiresInMs
    const sessionUrl = `${options.relayUrl}/v1/sessions/${options.session.sessionId}`
    this.#reconnector = new Reconnector(sessionUrl, options.environment)
  }

  get #socket(): WebSocketLike | undefined {
    return 'socket' in this.#state ? this.#state.socket : undefined
  }

  start(): void {
    this.#open()
    this.#watch()
  }

  /** The channel of this number, from its first use on. */
  channel(number: number): Channel {
    const existing = this.#channels.get(number)
    if (existing) return existing
    const channel = new Channel(number, this.#options.session.limits.windowBytes, this.#environment)
    channel.limitFrames(this.#failures.maxBytes)
    this.#channels.set(number, channel)
    if (this.#state.at === 'ended') channel.fail(this.#state.error)
    return channel
  }

  /** Forgets a channel that is over; what still waits on it throws `error`. */
  drop(number: number, error: PairingError): void {
    this.#channels.get(number)?.fail(error)
    this.#channels.delete(number)
    this.#failures.forget(number)
  }

  /** Sends what acks are due and waits until the socket has passed everything to the system, or there is no socket. */
  async flush(): Promise<void> {
    for (const channel of this.#channels.values()) channel.sendAck()
    const until = this.#environment.now() + FLUSH_MAX_MS
    while (
      this.#state.at === 'attached' &&
      (this.#socket?.bufferedAmount ?? 0) > 0 &&
      this.#environment.now() < until
    ) {
      await pause(this.#environment, FLUSH_CHECK_MS)
    }
  }

  /** Ends everything: no more reconnects, and whatever waits throws `error`. */
  end(error: PairingError, closeCode?: number): void {
    if (this.#state.at === 'ended') return
    this.#environment.clearTimeout(this.#watchTimer)
    this.#detach({ at: 'ended', error })
    for (const channel of this.#channels.values()) channel.fail(error)
    this.#options.onEnd(error, closeCode)
  }

  /** Whatever nobody foresaw ends this connection, and nothing else. */
  crash(error: unknown): void {
    const isRelays = error instanceof CodecError
    this.end(isRelays ? new PairingError('relay_misbehaved', { cause: error }) : errorOfAccident(error))
  }

  #guard(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.crash(error)
    }
  }

  #open(): void {
    this.#progress = false
    let socket: WebSocketLike
    try {
      socket = this.#reconnector.open()
    } catch {
      // A runtime may have no WebSocket at all.
      return this.#lost({ code: ABNORMAL_CLOSURE })
    }
    socket.binaryType = 'arraybuffer'
    this.#enter({ at: 'opening', socket })
    this.#lastHeardAt = this.#environment.now()
    this.#timer = this.#later(() => this.#lost({ code: ABNORMAL_CLOSURE }), VIEW_WITHIN_MS)
    // An old socket can still speak while it closes.
    const whileCurrent = (work: () => void) => {
      if (socket === this.#socket) this.#guard(work)
    }
    socket.onopen = () =>
      whileCurrent(() => {
        const channels = [...this.#channels.values()].map((channel) => channel.resume())
        this.#reconnector.asked()
        socket.send(JSON.stringify({ type: 'attach', token: this.#options.session.token, channels }))
      })
    socket.onmessage = ({ data }) => whileCurrent(() => this.#take(data))
    socket.onerror = () => {}
    socket.onclose = (close) => whileCurrent(() => this.#lost(close))
  }

  #later(work: () => void, ms: number): unknown {
    return this.#environment.setTimeout(() => this.#guard(work), ms)
  }

  #take(data: unknown): void {
    this.#lastHeardAt = this.#environment.now()
    if (typeof data === 'string') this.#takeView(data)
    else this.#takeFrame(bytesOf(data))
  }

  #takeView(text: string): void {
    const { data: view } = View.safeParse(parseJson(text))
    if (!view) throw new PairingError('relay_misbehaved')
    const first = this.#state.at === 'opening' && view.state === 'open'
    // The app's side first: it drops the channels that are over and opens those that are new.
    this.#options.onView(view)
    if (this.#state.at === 'ended') return
    const rows = new Map(view.channels.map((row) => [row.channel, row]))
    for (const channel of this.#channels.values()) {
      const row = rows.get(channel.number)
      if (first || !channel.isAttached) {
        this.#orDrop(channel, () => channel.attach(row, (bytes, onLeaving) => sendOn(this.#socket, bytes, onLeaving)))
      } else if (row) {
        channel.grow(row.window)
        this.#orDrop(channel, () => channel.takeAck(row.acked))
      }
    }
    if (view.state === 'closed') return this.end(errorOfCloseReason(view.reason))
    if (!first || this.#state.at !== 'opening') return
    this.#enter({ ...this.#state, at: 'attached' })
    if (this.#reconnector.attached()) this.#options.app.onFallback?.()
    this.#tell('connected')
  }

  #takeFrame(bytes: Uint8Array): void {
    if (this.#state.at !== 'attached') throw new PairingError('relay_misbehaved')
    const frame = decodeFrame(bytes)
    // A frame of a channel that is over may have been on its way.
    const channel = this.#channels.get(frame.channel)
    if (!channel) return
    const { progress } = channel
    this.#orDrop(channel, () => {
      if (frame.type === FRAME_ACK) channel.takeAck(frame.seq)
      else channel.takeData(frame)
    })
    this.#progress ||= channel.progress > progress
  }

  /** A wrong frame may be the peer's own, which any relay passes on: it ends its channel and must not end the others. */
  #orDrop(channel: Channel, take: () => void): void {
    try {
      take()
    } catch (error) {
      if (!(error instanceof PairingError) || error.code === 'relay_misbehaved') throw error
      this.#dropFor(channel, error)
    }
  }

  #dropFor({ number }: Channel, error: PairingError): void {
    this.drop(number, error)
    this.#options.onChannelError(number, error)
  }

  #lost({ code, frame, error }: SocketClose): void {
    if (error !== undefined) return this.crash(error)
    const fatal = errorOfClose(code)
    // A session that ended while this socket was congested did not say how: the next attach is told.
    const untold = this.#state.at === 'attached' && code === ERRORS.session_gone.closeCode
    const isOwn = code === ERRORS.superseded.closeCode && this.#reconnector.isLateAttach()
    if (fatal && !untold && !isOwn) return this.end(fatal, code)
    this.#detach({ at: 'between' })
    const shrinks = frame !== undefined && this.#takeFailure(frame)
    if (this.#state.at === 'ended') return
    if (this.#environment.now() >= this.#deadline) return this.end(new PairingError('expired'))
    // A frame that was too large says nothing of the network.
    if (!shrinks) this.#tell('reconnecting')
    const ms = this.#reconnector.lost(this.#progress || shrinks, code)
    this.#timer = this.#later(() => this.#open(), ms)
  }

  /** Returns whether frames are smaller from here on, because the relay or something on the way said so. */
  #takeFailure(frame: FailedFrame): boolean {
    const before = this.#failures.maxBytes
    const channel = this.#channels.get(frame.channel)
    const follows = this.#failures.take(frame, this.#progress)
    if (follows === 'drop' && channel) this.#dropFor(channel, new PairingError('peer_misbehaved'))
    if (follows !== 'shrink') return false
    for (const each of this.#channels.values()) each.limitFrames(this.#failures.maxBytes)
    if (before === Number.POSITIVE_INFINITY) this.#options.app.onSmallFrames?.(this.#failures.maxBytes)
    return frame.how === 'too_large'
  }

  #tell(status: ConnectionStatus): void {
    if (status === this.#status) return
    this.#status = status
    if (status === 'reconnecting') this.#options.onAway()
    this.#options.app.onStatus?.(status)
  }

  #enter(state: State): void {
    this.#environment.clearTimeout(this.#timer)
    this.#state = state
  }

  #detach(state: State): void {
    const socket = this.#socket
    this.#enter(state)
    for (const channel of this.#channels.values()) channel.detach()
    socket?.close()
  }

  /** A relay says something every 25 s at least. A socket that is silent for longer is dead, whatever it says itself. */
  #watch(): void {
    this.#watchTimer = this.#later(() => {
      this.#watch()
      const now = this.#environment.now()
      if (this.#socket && now - this.#lastHeardAt >= CLIENT_SILENCE_MS) this.#lost({ code: ABNORMAL_CLOSURE })
      for (const { number, starvedSince } of this.#channels.values()) {
        if (starvedSince === undefined) this.#busy.delete(number)
        else if (now - starvedSince >= BUSY_AFTER_MS && !this.#busy.has(number)) {
          this.#busy.add(number)
          this.#options.onBusy(number)
        }
      }
    }, WATCH_EVERY_MS)
  }
}

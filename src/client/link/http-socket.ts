import { ABNORMAL_CLOSURE, ERRORS, type ErrorCode } from '../../protocol/errors.ts'
import { AttachmentId, CIPHERTEXT_TYPE } from '../../protocol/fields.ts'
import { object, optional } from '../../protocol/forms.ts'
import { ciphertextOf, decodeFrame, encodeAck, FRAME_ACK, FRAME_DATA, writeFrameHeader } from '../../protocol/frame.ts'
import { FRAME_HEADER_BYTES, LONG_POLL_MAX_MS } from '../../protocol/limits.ts'
import type { AttachedChannels } from '../../protocol/requests.ts'
import { FramePosition } from '../../protocol/responses.ts'
import { type ChannelRow, View } from '../../protocol/view.ts'
import {
  bodyOf,
  type HttpAnswer,
  type HttpCall,
  notOfPairlay,
  RelayRefusal,
  RelayUnreachable,
} from '../calls/http-call.ts'
import {
  type Environment,
  type FailedFrame,
  MESSAGE_MAX_BYTES,
  type SocketClose,
  type WebSocketLike,
} from '../environment.ts'
import { FRAME_METHODS, type FrameMethod, HttpChannel } from './http-channel.ts'
import { callPatiently } from './patient-call.ts'

/** Beside a poll. A browser allows six requests to one host, and the app's own commands need room too. */
const FRAME_CALLS_MAX = 4
const FRAME_TIMEOUT_MS = 60_000
const POLL_TIMEOUT_MS = LONG_POLL_MAX_MS + 15_000
/** From the start of one poll to the start of the next: after one that brought something, and after one that did not. */
const POLL_EVERY_MS = 10
const IDLE_POLL_EVERY_MS = 1_000
/** The code of a WebSocket that was closed on this side. */
const CLOSED_HERE = 1005

/** A relay that gives its attach no name takes calls without one. */
const Attached = object({ attachment: optional(AttachmentId) })

/**
 * A WebSocket to a session where none passes, over HTTP (PROTOCOL.md 5.9): the first text sent attaches, then views come
 * as text and frames as bytes. It closes with the code of what it was refused with, and with 1006 for everything that a
 * new attach may mend.
 */
export class HttpSocket implements WebSocketLike {
  binaryType = 'arraybuffer'
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: SocketClose) => void) | null = null
  onerror: (() => void) | null = null
  readonly #sessionUrl: string
  readonly #environment: Environment
  readonly #channels = new Map<number, HttpChannel>()
  readonly #calls = new Set<AbortController>()
  #frameCalls = 0
  #token = ''
  /** The relay's name for this attach, which no later one may answer for. */
  #attachment: string | undefined
  #view: View | undefined
  #pauseTimer: unknown
  #closed = false

  /** The URL is that of the session: `https://relay.example/v1/sessions/{sessionId}`. */
  constructor(sessionUrl: string, environment: Environment) {
    this.#sessionUrl = sessionUrl
    this.#environment = environment
    queueMicrotask(() => this.#closed || this.onopen?.())
  }

  get bufferedAmount(): number {
    let bytes = 0
    for (const channel of this.#channels.values()) bytes += channel.queuedBytes
    return bytes
  }

  send(data: string | Uint8Array): void {
    if (this.#closed) return
    if (typeof data === 'string') {
      this.#run(JSON.parse(data)).catch((error) => this.#fail(error))
      return
    }
    this.sendWhenDue(data, () => {})
  }

  sendWhenDue(data: Uint8Array, onLeaving: () => void): void {
    if (this.#closed) return
    const frame = decodeFrame(data)
    // A channel without a row is over: what is still said on it is discarded, as on a WebSocket.
    const channel = this.#channels.get(frame.channel)
    if (frame.type !== FRAME_ACK) channel?.outbox.push({ ...frame, onLeaving })
    else if (channel) channel.processed = frame.seq
    this.#work()
  }

  close(): void {
    this.#close({ code: CLOSED_HERE })
  }

  async #run({ token, channels }: { token: string; channels: AttachedChannels }): Promise<void> {
    this.#token = token
    const answer = await this.#call('PUT', '/attachment', { body: { channels } })
    this.#attachment = bodyOf(answer, Attached).attachment
    this.#show(bodyOf(answer, View), channels)
    while (!this.#closed) await this.#poll()
  }

  async #poll(): Promise<void> {
    const startedAt = this.#environment.now()
    const known = this.#known()
    for (const channel of this.#channels.values()) channel.mark()
    const query = `?${known}&waitMs=${LONG_POLL_MAX_MS}${this.#named('&')}`
    const answer = await this.#call('GET', query, { timeoutMs: POLL_TIMEOUT_MS })
    this.#show(bodyOf(answer, View))
    const every = this.#known() === known ? IDLE_POLL_EVERY_MS : POLL_EVERY_MS
    await this.#pauseUntil(startedAt + every)
  }

  #named(separator: string): string {
    return this.#attachment === undefined ? '' : `${separator}attachment=${this.#attachment}`
  }

  /** The part of a query that says what this client knows. */
  #known(): string {
    const channels = [...this.#channels.values()].map(({ seen }) => seen).join()
    return `version=${encodeURIComponent(this.#view?.version ?? '')}&channels=${channels}`
  }

  /** Never resolves once the socket is closed. */
  #pauseUntil(time: number): Promise<void> | undefined {
    const ms = time - this.#environment.now()
    if (ms <= 0 || this.#closed) return undefined
    return new Promise((resolve) => {
      this.#pauseTimer = this.#environment.setTimeout(resolve, ms)
    })
  }

  #show(view: View, claims: AttachedChannels = []): void {
    if (this.#isForgottenIn(view)) return this.#close({ code: ERRORS.resume_required.closeCode })
    this.#view = view
    const acks: Uint8Array[] = []
    for (const row of view.channels) {
      const claim = claims.find(({ channel }) => channel === row.channel)
      const channel = this.#channels.get(row.channel) ?? new HttpChannel(row, claim?.received ?? 0)
      this.#channels.set(row.channel, channel)
      channel.available = row.available ?? 0
      channel.window = row.window
      if (row.acked > channel.acked) acks.push(this.#ackOf(channel, row.acked))
    }
    for (const number of this.#channels.keys()) if (!rowOf(view, number)) this.#channels.delete(number)
    this.#say(JSON.stringify(view))
    for (const ack of acks) this.#say(ack)
    this.#work()
  }

  /** Reports whether the relay has forgotten frames, which a new attach tells it of. */
  #isForgottenIn(view: View): boolean {
    return [...this.#channels.values()].some((channel) => {
      const row = rowOf(view, channel.number)
      if (row) return channel.isForgottenIn(row)
      const receiver = view.receivers.find((each) => each.channel === channel.number)
      return view.state === 'open' && (receiver?.state === 'pending' || receiver?.state === 'approved')
    })
  }

  #ackOf(channel: HttpChannel, acked: number): Uint8Array {
    channel.acked = acked
    return encodeAck(channel.number, acked)
  }

  /** Starts what calls are due, as many as may be under way. Channels take turns. */
  #work(): void {
    for (const channel of [...this.#channels.values()]) {
      for (const method of FRAME_METHODS) {
        const seq = channel.due(method)
        if (seq === undefined) continue
        if (this.#closed || this.#frameCalls === FRAME_CALLS_MAX) return
        this.#channels.delete(channel.number)
        this.#channels.set(channel.number, channel)
        this.#callAbout(channel, method, seq).catch((error) => this.#fail(error))
      }
    }
  }

  async #callAbout(channel: HttpChannel, method: FrameMethod, seq: number): Promise<void> {
    this.#frameCalls++
    channel.busy.add(method)
    const [frame] = channel.outbox
    const body = method === 'PUT' && frame ? ciphertextOf(frame) : undefined
    if (body) frame?.onLeaving()
    try {
      const answer = await this.#call(method, `/channels/${channel.number}/frames/${seq}${this.#named('?')}`, {
        timeoutMs: FRAME_TIMEOUT_MS,
        body,
        ...(method === 'GET' ? { maxBytes: MESSAGE_MAX_BYTES, headroom: FRAME_HEADER_BYTES } : {}),
      })
      this.#settle(channel, method, seq, answer)
    } catch (error) {
      // The view tells how it ended. Until it comes, what is still said is discarded.
      if (error instanceof RelayRefusal && /^(receiver|session)_gone$/.test(error.code))
        this.#channels.delete(channel.number)
      else {
        const how = failureOf(error, body !== undefined)
        const name = `${method} ${seq}`
        this.#fail(error, how && { channel: channel.number, name, how, bytes: body?.length ?? 0 })
      }
    } finally {
      this.#frameCalls--
      channel.busy.delete(method)
      this.#work()
    }
  }

  #settle(channel: HttpChannel, method: FrameMethod, seq: number, answer: HttpAnswer): void {
    if (method === 'DELETE') channel.told = seq
    else if (method === 'GET') this.#takeFrame(channel, seq, answer)
    else {
      channel.outbox.shift()
      channel.taken = seq
      this.#takePosition(channel, bodyOf(answer, FramePosition))
    }
  }

  #takePosition(channel: HttpChannel, { acked, window }: FramePosition): void {
    if (acked > channel.acked) this.#say(this.#ackOf(channel, acked))
    if (window <= channel.window || !this.#view) return
    channel.window = window
    // No poll is answered for a window alone.
    const channels = this.#view.channels.map((row) => (row.channel === channel.number ? { ...row, window } : row))
    this.#view = { ...this.#view, channels }
    this.#say(JSON.stringify(this.#view))
  }

  #takeFrame(channel: HttpChannel, seq: number, { status, type, bytes }: HttpAnswer): void {
    if (status === 204) {
      // Wait for a poll to tell that it is there.
      channel.available = channel.fetched
      return
    }
    if (type !== CIPHERTEXT_TYPE || bytes.length === FRAME_HEADER_BYTES) throw notOfPairlay()
    channel.fetched = seq
    writeFrameHeader(bytes, FRAME_DATA, channel.number, seq)
    this.#say(bytes)
  }

  async #call(method: string, path: string, more: Omit<Partial<HttpCall>, 'abort'>): Promise<HttpAnswer> {
    const abort = new AbortController()
    this.#calls.add(abort)
    try {
      const url = this.#sessionUrl + path
      return await callPatiently(this.#environment, { method, url, token: this.#token, abort, ...more })
    } finally {
      this.#calls.delete(abort)
    }
  }

  #say(data: string | Uint8Array): void {
    if (!this.#closed) this.onmessage?.({ data })
  }

  #fail(error: unknown, frame?: FailedFrame): void {
    const code = error instanceof RelayRefusal ? closeCodeOf(error.code) : ABNORMAL_CLOSURE
    const isForeseen = error instanceof RelayRefusal || error instanceof RelayUnreachable
    this.#close({ code, frame, error: isForeseen ? undefined : error })
  }

  #close(close: SocketClose): void {
    if (this.#closed) return
    this.#closed = true
    this.#environment.clearTimeout(this.#pauseTimer)
    for (const call of this.#calls) call.abort()
    queueMicrotask(() => this.onclose?.(close))
  }
}

/** How a call about a frame failed, where that says something about the frame. */
function failureOf(error: unknown, isPut: boolean): FailedFrame['how'] | undefined {
  if (error instanceof RelayRefusal) {
    if (error.code === 'frame_refused') return 'refused'
    // A link may be too slow for a frame of this size in the time that a relay gives a request.
    return /body_too_large|request_timeout/.test(error.code) ? 'too_large' : undefined
  }
  if (!isPut || !(error instanceof RelayUnreachable)) return undefined
  if (error.status === undefined) return 'cut'
  return [400, 413].includes(error.status) ? 'too_large' : undefined
}

function rowOf({ channels }: View, number: number): ChannelRow | undefined {
  return channels.find(({ channel }) => channel === number)
}

/** The close code of a refusal. An error without one ends nothing: a relay may not know these calls. */
function closeCodeOf(code: string): number {
  if (!Object.hasOwn(ERRORS, code)) return ABNORMAL_CLOSURE
  const spec = ERRORS[code as ErrorCode]
  return 'closeCode' in spec ? spec.closeCode : ABNORMAL_CLOSURE
}

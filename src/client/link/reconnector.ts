import { ABNORMAL_CLOSURE, errorOfCloseCode } from '../../protocol/errors.ts'
import { SUBPROTOCOL } from '../../protocol/view.ts'
import type { Environment, WebSocketLike } from '../environment.ts'

/** Reconnecting waits a random part of 250 ms · 2^n, at most 10 s ("full jitter"). */
const BACKOFF_BASE_MS = 250
const BACKOFF_MAX_MS = 10_000
/** A socket that is lost sooner after its first view died at once. */
const LIVES_MS = 3_000
/** WebSockets in a row that die at once before HTTP is tried: where none has carried anything yet, and where one has. */
const TRIES_UNPROVEN = 2
const TRIES_PROVEN = 8
/** How long an attach that was given up may still be on its way. The relay then takes it for a newer one. */
const LATE_ATTACH_MS = 60_000

/** Decides what the next socket of a connection is, a WebSocket or one over HTTP, and when to open it. */
export class Reconnector {
  readonly #sessionUrl: string
  readonly #environment: Environment
  /** `tries_http` until an attach over HTTP has succeeded. There it stays: what kept WebSockets from passing is still there. */
  #kind: 'websocket' | 'tries_http' | 'http' = 'websocket'
  /** Reports whether a WebSocket has lived, or carried something. Then the network fails rather than a proxy. */
  #proven = false
  #deadInARow = 0
  #failures = 0
  /** When the socket's attach went out, and when a view answered it. */
  #askedAt: number | undefined
  #attachedAt: number | undefined
  /** When the attaches went out that were given up without an answer. */
  #unanswered: number[] = []

  constructor(sessionUrl: string, environment: Environment) {
    this.#sessionUrl = sessionUrl
    this.#environment = environment
  }

  /** The socket for the next attempt. Throws where there is no such thing. */
  open(): WebSocketLike {
    this.#askedAt = undefined
    this.#attachedAt = undefined
    if (this.#kind !== 'websocket') return this.#environment.openHttpSocket(this.#sessionUrl, this.#environment)
    return this.#environment.openWebSocket(`${this.#sessionUrl.replace(/^http/, 'ws')}/socket`, SUBPROTOCOL)
  }

  /** The socket's attach goes out. */
  asked(): void {
    this.#askedAt = this.#environment.now()
  }

  /** The socket has shown its first view. Says whether it is the first over HTTP. */
  attached(): boolean {
    this.#attachedAt = this.#environment.now()
    const falls = this.#kind === 'tries_http'
    if (falls) this.#kind = 'http'
    return falls
  }

  /**
   * The socket is lost, or never opened. `progress`: something new came on it; `closeCode`: with which code it closed. Says how
   * long to wait for the next, in ms.
   */
  lost(progress: boolean, closeCode: number): number {
    if (closeCode === ABNORMAL_CLOSURE && this.#askedAt !== undefined && this.#attachedAt === undefined)
      this.#unanswered.push(this.#askedAt)
    const lived = this.#attachedAt !== undefined && this.#environment.now() - this.#attachedAt >= LIVES_MS
    if (lived || progress) this.#failures = 0
    // A relay that has shown a view and says why it closes is heard: nothing on the way is in the way. Without one it may
    // have heard nothing itself, or a proxy may have closed it.
    const heard = this.#attachedAt !== undefined && errorOfCloseCode(closeCode) !== undefined
    return this.#isForHttp(lived || heard, progress) ? 0 : this.#backoff()
  }

  /** Reports whether an earlier attach, given up and handled late, may be what superseded the socket. Counts each once. */
  isLateAttach(): boolean {
    const since = this.#environment.now() - LATE_ATTACH_MS
    this.#unanswered = this.#unanswered.filter((at) => at > since)
    return this.#unanswered.shift() !== undefined
  }

  /** Counts a lost socket, and says whether that was enough to try HTTP at once. */
  #isForHttp(lived: boolean, progress: boolean): boolean {
    if (this.#kind === 'http') return false
    if (this.#kind === 'tries_http') {
      // The relay is not there at all: that no WebSocket passed said nothing.
      this.#kind = 'websocket'
      this.#deadInARow = 0
      return false
    }
    this.#proven ||= lived || progress
    this.#deadInARow = lived ? 0 : this.#deadInARow + 1
    if (this.#deadInARow < (this.#proven ? TRIES_PROVEN : TRIES_UNPROVEN)) return false
    this.#kind = 'tries_http'
    return true
  }

  #backoff(): number {
    return Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** this.#failures++) * this.#environment.jitter()
  }
}

/** The part of the W3C WebSocket that the SDK uses. Browsers, Deno, Bun, Node ≥ 22 and the `ws` package have it. */
export interface WebSocketLike {
  binaryType: string
  readonly bufferedAmount: number
  onopen: (() => void) | null
  onmessage: ((event: { data: unknown }) => void) | null
  onclose: ((event: { code: number }) => void) | null
  onerror: (() => void) | null
  send(data: string | Uint8Array): void
  close(): void
}

/** Everything the SDK takes from the world around it, so that a test can put its own in. Times in milliseconds. */
export interface Environment {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
  readonly openWebSocket: (url: string, protocol: string) => WebSocketLike
  /** What takes the place of a WebSocket where none passes. It calls the relay through the environment given. */
  readonly openHttpSocket: (sessionUrl: string, environment: Environment) => WebSocketLike
  /** Monotonic. */
  readonly now: () => number
  readonly setTimeout: (callback: () => void, ms: number) => unknown
  readonly clearTimeout: (timer: unknown) => void
  /** Cryptographically secure random bytes. */
  readonly random: (length: number) => Uint8Array
  /** From 0 to 1, for jitter alone. */
  readonly jitter: () => number
}

/** No relay has larger frames, and its other messages are far smaller. */
export const MESSAGE_MAX_BYTES = 1_048_576

/**
 * A time-out that runs only while it is told to: the handshake's 20 seconds count while both devices are present.
 * Calls `onTimeout` once.
 */
export class PausableTimeout {
  readonly #environment: Environment
  readonly #onTimeout: () => void
  #leftMs: number
  #startedAt: number | undefined
  #timer: unknown
  #over = false

  constructor(environment: Environment, ms: number, onTimeout: () => void) {
    this.#environment = environment
    this.#leftMs = ms
    this.#onTimeout = onTimeout
  }

  run(): void {
    if (this.#over || this.#startedAt !== undefined) return
    this.#startedAt = this.#environment.now()
    this.#timer = this.#environment.setTimeout(() => {
      this.#over = true
      this.#onTimeout()
    }, this.#leftMs)
  }

  pause(): void {
    if (this.#startedAt === undefined) return
    this.#environment.clearTimeout(this.#timer)
    this.#leftMs = Math.max(0, this.#leftMs - (this.#environment.now() - this.#startedAt))
    this.#startedAt = undefined
  }

  /** What was waited for has come: there is nothing more to time out, whoever is present. */
  stop(): void {
    this.pause()
    this.#over = true
  }
}

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
  /** Monotonic. */
  readonly now: () => number
  readonly setTimeout: (callback: () => void, ms: number) => unknown
  readonly clearTimeout: (timer: unknown) => void
  /** Cryptographically secure random bytes. */
  readonly random: (length: number) => Uint8Array
  /** From 0 to 1, for jitter alone. */
  readonly jitter: () => number
}

/** No relay has larger frames, and its other messages are far smaller. The `ws` package would take a hundred times that. */
const MESSAGE_MAX_BYTES = 1_048_576

/** The environment of this runtime. In Node the `ws` package carries the socket, elsewhere the runtime's own. */
export async function defaultEnvironment(): Promise<Environment> {
  const openWebSocket = await webSocketOpener()
  return {
    fetch: (url, init) => fetch(url, init),
    openWebSocket,
    now: () => performance.now(),
    setTimeout: (callback, ms) => setTimeout(callback, ms),
    clearTimeout: (timer) => clearTimeout(timer as number),
    random: (length) => crypto.getRandomValues(new Uint8Array(length)),
    jitter: () => Math.random(),
  }
}

async function webSocketOpener(): Promise<Environment['openWebSocket']> {
  if (!isNode()) return (url, protocol) => new WebSocket(url, protocol) as WebSocketLike
  const { WebSocket: NodeWebSocket } = await import('ws')
  // Ciphertext does not compress.
  const options = { perMessageDeflate: false, maxPayload: MESSAGE_MAX_BYTES }
  return (url, protocol) => new NodeWebSocket(url, protocol, options) as unknown as WebSocketLike
}

function isNode(): boolean {
  const { process, Deno, Bun } = globalThis as {
    process?: { versions?: { node?: string } }
    Deno?: unknown
    Bun?: unknown
  }
  return process?.versions?.node !== undefined && Deno === undefined && Bun === undefined
}

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

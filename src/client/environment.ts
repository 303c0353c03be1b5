/** The part of the W3C WebSocket that the SDK uses. Browsers, Deno, Bun, Node ≥ 22 and the `ws` package have it. */
export interface WebSocketLike {
  /** Set to `arraybuffer`. */
  binaryType: string
  /** Bytes given to `send` that are not on the network yet. */
  readonly bufferedAmount: number
  /** Called once, when messages can be sent. */
  onopen: (() => void) | null
  /** Called with each message: a string, or an ArrayBuffer. */
  onmessage: ((event: { data: unknown }) => void) | null
  /** Called once, also when it never opened. */
  onclose: ((event: SocketClose) => void) | null
  /** Called before `onclose` when that has a fault. */
  onerror: (() => void) | null
  /** Sends one message, text or binary. */
  send(data: string | Uint8Array): void
  /** Sends a frame that may have to wait here, and calls `onLeaving` when it goes. Absent where none waits. */
  sendWhenDue?(frame: Uint8Array, onLeaving: () => void): void
  /** Closes it. `onclose` follows. */
  close(): void
}

/** How a socket closed. Behind the code is what only one over HTTP can say. */
export interface SocketClose {
  readonly code: number
  /** The call about a frame that it closed for. */
  readonly frame?: FailedFrame | undefined
  /** An error that nobody foresaw. */
  readonly error?: unknown
}

/** A call about a frame that failed: refused by the relay, too large for something on the way, or cut. */
export interface FailedFrame {
  readonly channel: number
  /** Tells it from other frames of the channel. */
  readonly name: string
  readonly how: 'refused' | 'too_large' | 'cut'
  /** Ciphertext that was sent. */
  readonly bytes: number
}

/** Everything the SDK takes from the world around it, so that a test can put its own in. Times in milliseconds. */
export interface Environment {
  /** As that of the web. */
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
  /** Opens a WebSocket with this subprotocol, at once. */
  readonly openWebSocket: (url: string, protocol: string) => WebSocketLike
  /** Opens the place of a WebSocket where none passes. It calls the relay through the environment given. */
  readonly openHttpSocket: (sessionUrl: string, environment: Environment) => WebSocketLike
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
  /** Calls once after so many milliseconds, and returns what `clearTimeout` takes. */
  readonly setTimeout: (callback: () => void, ms: number) => unknown
  /** Ends a timer. Does nothing for one that has fired. */
  readonly clearTimeout: (timer: unknown) => void
  /** Cryptographically secure random bytes. */
  readonly random: (length: number) => Uint8Array
  /** From 0 to 1, for jitter alone. */
  readonly jitter: () => number
}

/** No relay has larger frames, and its other messages are far smaller. */
export const MESSAGE_MAX_BYTES = 1_048_576

/** Resolves after so many milliseconds. */
export function pause(environment: Environment, ms: number): Promise<void> {
  return new Promise((resolve) => environment.setTimeout(resolve, ms))
}

/** Resolves or rejects with `work`, or resolves with undefined when so many milliseconds are over. */
export function atMost<T>(environment: Environment, ms: number, work: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const timer = environment.setTimeout(() => resolve(undefined), ms)
    work.then(resolve, reject).finally(() => environment.clearTimeout(timer))
  })
}

/** The longest that anybody waits for a relay to hear what it needs not know. */
const COURTESY_MS = 10_000

/**
 * Tells the relay or a peer something that our own safety does not rest on. Resolves when that is told, or after so many
 * milliseconds. Never rejects.
 */
export async function courtesy(environment: Environment, telling: Promise<void>, ms = COURTESY_MS): Promise<void> {
  await atMost(environment, ms, telling).catch(() => {})
}

import type { WebSocketLike } from '../../../src/client/environment.ts'

/** A device's end of a socket, as the SDK sees it. What it says is heard at once, what it hears comes in a later turn. */
export class Plug implements WebSocketLike {
  binaryType = 'blob'
  readonly bufferedAmount = 0
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number }) => void) | null = null
  onerror: (() => void) | null = null
  readonly #hear: (data: string | Uint8Array, plug: Plug) => void
  readonly #gone: (plug: Plug) => void
  #closed = false

  constructor(hear: (data: string | Uint8Array, plug: Plug) => void, gone: (plug: Plug) => void) {
    this.#hear = hear
    this.#gone = gone
    queueMicrotask(() => this.#closed || this.onopen?.())
  }

  // Calls by the SDK.

  send(data: string | Uint8Array): void {
    if (!this.#closed) this.#hear(typeof data === 'string' ? data : data.slice(), this)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#gone(this)
  }

  // Calls by the relay.

  say(data: string | Uint8Array): void {
    const copy = typeof data === 'string' ? data : new Uint8Array(data).buffer
    queueMicrotask(() => this.#closed || this.onmessage?.({ data: copy }))
  }

  /** The connection ends, after everything that was said. */
  drop(code = 1006): void {
    queueMicrotask(() => {
      if (this.#closed) return
      this.#closed = true
      this.#gone(this)
      this.onclose?.({ code })
    })
  }
}

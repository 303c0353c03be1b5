import type { Awaitable } from './awaitable.ts'
import type { Leg } from './leg.ts'

/** What the domain does with what a socket brings. */
export interface ConnectionHandler {
  receive(leg: Leg, data: string | Uint8Array): Awaitable<void>
  gone(leg: Leg): Awaitable<void>
  failed(leg: Leg, error: unknown): void
}

/**
 * What the transport tells the domain about one socket. Frames are taken one after the other, whatever the store needs for
 * each (order is the protocol), and at once when nothing is waited for.
 */
export class Connection {
  readonly #leg: Leg
  readonly #handler: ConnectionHandler
  #last: Promise<void> | undefined

  constructor(leg: Leg, handler: ConnectionHandler) {
    this.#leg = leg
    this.#handler = handler
  }

  receive(data: string | Uint8Array): void {
    if (this.#last) return this.#waitFor(this.#last.then(() => this.#handler.receive(this.#leg, data)))
    try {
      const taking = this.#handler.receive(this.#leg, data)
      if (taking instanceof Promise) this.#waitFor(taking)
    } catch (error) {
      this.#handler.failed(this.#leg, error)
    }
  }

  pong(): void {
    this.#leg.unansweredPings = 0
  }

  /** A congested socket has room again. */
  drained(): void {
    this.#leg.drained()
  }

  /** The socket is no more. What it brought before is taken first. */
  gone(): void {
    this.#waitFor(Promise.resolve(this.#last).then(() => this.#handler.gone(this.#leg)))
  }

  #waitFor(work: Promise<void>): void {
    const last = work
      .catch((error: unknown) => this.#handler.failed(this.#leg, error))
      .then(() => {
        if (this.#last === last) this.#last = undefined
      })
    this.#last = last
  }
}

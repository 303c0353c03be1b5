import type { Awaitable } from '../awaitable.ts'
import { RelayError } from '../errors.ts'
import type { Leg } from './leg.ts'

/** What the domain does with what a socket brings. */
export interface ConnectionHandler {
  receive(leg: Leg, data: string | Uint8Array): Awaitable<void>
  gone(leg: Leg): Awaitable<void>
  failed(leg: Leg, error: unknown): void
  /** The cost of all frames this socket may have unacknowledged, in bytes. */
  mayHaveUnacked(leg: Leg): number
}

/** What a socket may send while a store is slow, besides what it may have unacknowledged: acks and the like, in bytes. */
const QUEUE_SLACK_BYTES = 65_536
/** What a message that waits costs beside its bytes. */
const QUEUED_COST = 64

/**
 * What the transport tells the domain about one socket. Frames are taken one after the other, whatever the store needs for
 * each (order is the protocol), and at once when nothing is waited for.
 */
export class Connection {
  readonly #leg: Leg
  readonly #handler: ConnectionHandler
  #last: Promise<void> | undefined
  /** What the messages that wait take, in bytes. */
  #queued = 0

  constructor(leg: Leg, handler: ConnectionHandler) {
    this.#leg = leg
    this.#handler = handler
  }

  receive(data: string | Uint8Array): void {
    // A pong may wait behind much data.
    this.#leg.unansweredPings = 0
    if (this.#last) return this.#queue(this.#last, data)
    try {
      const taking = this.#handler.receive(this.#leg, data)
      if (taking instanceof Promise) this.#waitFor(taking)
    } catch (error) {
      this.#handler.failed(this.#leg, error)
    }
  }

  #queue(last: Promise<void>, data: string | Uint8Array): void {
    const cost = data.length + QUEUED_COST
    // A client that keeps to its windows never has more than that on its way, however slow the store is.
    if (this.#queued + cost > this.#handler.mayHaveUnacked(this.#leg) + QUEUE_SLACK_BYTES) {
      return this.#handler.failed(this.#leg, new RelayError('window_exceeded'))
    }
    this.#queued += cost
    this.#waitFor(
      last.then(() => {
        this.#queued -= cost
        return this.#handler.receive(this.#leg, data)
      }),
    )
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

import type { Socket } from 'node:net'
import type { Random } from './random.ts'
import { directions, TcpProxy } from './tcp-proxy.ts'

/** Properties of a network, in each direction. */
export interface Shape {
  readonly bitsPerSecond: number
  readonly roundTripMs: number
  /** The part of the segments that is lost and sent again, from 0 to 1. */
  readonly loss: number
  /** How long it takes until a lost segment is sent again. What is behind it waits, as in TCP. */
  readonly retransmitMs: number
}

const SEGMENT_BYTES = 1_448
/** Bytes that a direction holds before it stops reading: the queue of a small router. */
const QUEUE_BYTES = 65_536

/**
 * A slow link between one device and the relay. All its connections share the rate; each keeps its order. It stands where
 * `tc netem` would, which not every kernel has: what is lost here is not the packet but the time until its repetition came.
 */
export class ShapingProxy {
  /** Segments that came late. */
  lost = 0
  /** Bytes that have passed, in both directions. */
  passed = 0
  readonly #shape: Shape
  readonly #random: Random
  #proxy: TcpProxy | undefined

  private constructor(shape: Shape, random: Random) {
    this.#shape = shape
    this.#random = random
  }

  static async start(port: number, shape: Shape, random: Random): Promise<ShapingProxy> {
    const shaping = new ShapingProxy(shape, random)
    const links = [new Link(shape.bitsPerSecond), new Link(shape.bitsPerSecond)]
    shaping.#proxy = await TcpProxy.start({
      ports: port,
      carry: (...ends) => {
        for (const [i, [from, to]] of directions(...ends).entries()) shaping.#carry(from, to, links[i])
      },
    })
    return shaping
  }

  get url(): string {
    return this.#proxy?.url ?? ''
  }

  async close(): Promise<void> {
    await this.#proxy?.close()
  }

  #carry(from: Socket, to: Socket, link: Link): void {
    const { roundTripMs, loss, retransmitMs } = this.#shape
    let queued = 0
    // A connection takes a round trip before anything can be said on it.
    const queue = new InOrder(performance.now() + roundTripMs)
    const deliverAt = (at: number, act: () => void) => queue.add(at, act)
    from.on('data', (chunk: Buffer) => {
      for (let offset = 0; offset < chunk.length; offset += SEGMENT_BYTES) {
        const segment = chunk.subarray(offset, offset + SEGMENT_BYTES)
        let late = 0
        // A repetition can be lost too.
        while (this.#random.chance(loss)) late += retransmitMs
        if (late > 0) this.lost++
        queued += segment.length
        deliverAt(link.pass(segment.length) + roundTripMs / 2 + late, () => {
          queued -= segment.length
          this.passed += segment.length
          if (!to.destroyed) to.write(segment)
          if (queued < QUEUE_BYTES) from.resume()
        })
      }
      if (queued >= QUEUE_BYTES) from.pause()
    })
    from.on('end', () => deliverAt(performance.now() + roundTripMs / 2, () => to.end()))
    from.on('error', () => to.destroy())
    from.on('close', () => {
      // Bytes on their way arrive; a connection that broke on one side breaks on the other.
      deliverAt(performance.now() + roundTripMs / 2, () => (from.errored ? to.destroy() : to.end()))
    })
  }
}

/** Acts at their time, in the order in which they were added. Timers alone may fire a millisecond out of order. */
class InOrder {
  readonly #queue: { readonly at: number; readonly act: () => void }[] = []
  #lastAt: number
  #waiting = false

  constructor(notBefore: number) {
    this.#lastAt = notBefore
  }

  add(at: number, act: () => void): void {
    this.#lastAt = Math.max(this.#lastAt, at)
    this.#queue.push({ at: this.#lastAt, act })
    this.#wait()
  }

  #wait(): void {
    const [next] = this.#queue
    if (!next || this.#waiting) return
    this.#waiting = true
    setTimeout(() => {
      this.#waiting = false
      const now = performance.now()
      while (this.#queue[0] && this.#queue[0].at <= now) this.#queue.shift()?.act()
      this.#wait()
    }, next.at - performance.now())
  }
}

/** A direction of the link, as a token bucket of one segment. */
class Link {
  readonly #bytesPerMs: number
  #freeAt = 0

  constructor(bitsPerSecond: number) {
    this.#bytesPerMs = bitsPerSecond / 8 / 1000
  }

  /** When so many bytes have left, behind everything that was there before. */
  pass(bytes: number): number {
    this.#freeAt = Math.max(this.#freeAt, performance.now()) + bytes / this.#bytesPerMs
    return this.#freeAt
  }
}

import type { Clock } from '../../src/relay/ports.ts'

/** A clock that stands still until a test moves it. */
export class FakeClock implements Clock {
  #now: number

  constructor(start = 1_234_567) {
    this.#now = start
  }

  now(): number {
    return this.#now
  }

  /** Moves time forward. Nothing happens by itself: whoever owns deadlines must be told, usually with a tick. */
  advance(milliseconds: number): void {
    this.set(this.#now + milliseconds)
  }

  /** Moves time to a point, exactly. */
  set(now: number): void {
    if (now < this.#now || !Number.isInteger(now)) throw new Error('time goes forward in whole milliseconds')
    this.#now = now
  }
}

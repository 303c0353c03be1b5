/** Turns of the event loop after which a device that waits for nothing but time has nothing more to do. */
const QUIET_TURNS = 4

// Taken before a test runner can put its own in their place.
const { setImmediate: nextTurn, setTimeout: soon } = globalThis as unknown as {
  setImmediate?: (callback: () => void) => void
  setTimeout: (callback: () => void) => void
}

/** A clock and its timers, which stand still until a test moves them. Times in milliseconds. */
export class TestClock {
  #now = 1_000
  #timers = new Map<number, { readonly at: number; readonly callback: () => void }>()
  #made = 0

  readonly now = (): number => this.#now

  readonly setTimeout = (callback: () => void, ms: number): unknown => {
    this.#timers.set(++this.#made, { at: this.#now + ms, callback })
    return this.#made
  }

  readonly clearTimeout = (timer: unknown): void => {
    this.#timers.delete(timer as number)
  }

  /** Timers set and neither fired nor cleared. */
  get outstanding(): number {
    return this.#timers.size
  }

  /** Milliseconds until each timer, soonest first. */
  get due(): number[] {
    return [...this.#timers.values()].map(({ at }) => at - this.#now).sort((a, b) => a - b)
  }

  /** Lets time pass. Timers fire in order, and what follows from one has happened before the next. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settled()
    for (;;) {
      const [next] = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)
      if (!next) break
      const [id, { at, callback }] = next
      this.#timers.delete(id)
      this.#now = Math.max(this.#now, at)
      callback()
      await settled()
    }
    this.#now = end
  }
}

/** Resolves when everything that needs neither time nor input has happened. */
export async function settled(): Promise<void> {
  for (let turns = 0; turns < QUIET_TURNS; turns++) await new Promise<void>((resolve) => (nextTurn ?? soon)(resolve))
}

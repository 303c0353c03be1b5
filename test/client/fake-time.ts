/** A clock and its timers, which stand still until a test moves them. */
export class FakeTime {
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
    await settled()
  }
}

/** Resolves when everything that needs neither time nor input has happened. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

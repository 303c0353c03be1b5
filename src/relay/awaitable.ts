/**
 * A value at hand, or to come. Who asks a store in this process gets it at once: the data path waits only where there is
 * something to wait for.
 */
export type Awaitable<T> = T | Promise<T>

/** What `next` makes of the value, at once when it is at hand. What fails throws or rejects accordingly. */
export function after<T, U>(value: Awaitable<T>, next: (value: T) => Awaitable<U>): Awaitable<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}

/**
 * Runs works one after the other, whatever each takes: at once when nothing is running. What a work throws goes to
 * `failed`, and the next one runs.
 */
export class Turns {
  readonly #failed: (error: unknown) => void
  #last: Promise<void> | undefined

  constructor(failed: (error: unknown) => void) {
    this.#failed = failed
  }

  take(work: () => Awaitable<void>): void {
    if (this.#last) return this.#waitFor(this.#last.then(work))
    try {
      const running = work()
      if (running instanceof Promise) this.#waitFor(running)
    } catch (error) {
      this.#failed(error)
    }
  }

  #waitFor(running: Promise<void>): void {
    const last = running.catch(this.#failed).then(() => {
      if (this.#last === last) this.#last = undefined
    })
    this.#last = last
  }
}

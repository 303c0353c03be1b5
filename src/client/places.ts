import type { PairingError } from './errors.ts'

/** Admits so many at once and so many in all; who comes later waits, in order. */
export class Places {
  readonly #atOnce: number
  readonly #inAll: number
  #taken = 0
  #admitted = 0
  #waiting: { resolve: (leave: () => void) => void; reject: (error: PairingError) => void }[] = []
  #closed: PairingError | undefined

  constructor(atOnce: number, inAll: number) {
    this.#atOnce = atOnce
    this.#inAll = inAll
  }

  /** Whether all places there will ever be have been given out. */
  get usedUp(): boolean {
    return this.#admitted >= this.#inAll
  }

  /** Resolves with the function that gives the place back. Throws what `close` was given. */
  take(): Promise<() => void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#admit()
    })
  }

  /** Admits nobody any more. */
  close(error: PairingError): void {
    this.#closed ??= error
    this.#admit()
  }

  #admit(): void {
    if (this.#closed) {
      for (const { reject } of this.#waiting) reject(this.#closed)
      this.#waiting = []
    }
    while (this.#waiting.length > 0 && this.#taken < this.#atOnce && !this.usedUp) {
      this.#taken++
      this.#admitted++
      let left = false
      this.#waiting.shift()?.resolve(() => {
        if (left) return
        left = true
        this.#taken--
        this.#admit()
      })
    }
  }
}

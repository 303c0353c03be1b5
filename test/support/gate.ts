import { eachCall } from './each-call.ts'

/**
 * Makes a store slow where a test wants it: what is asked of it is done at once, and the answer comes when the gate opens.
 * So a test decides what happens between a change and the moment the relay learns of it.
 */
export class Gate {
  readonly #held = new Set<PropertyKey>()
  #waiting: { readonly method: PropertyKey; readonly release: () => void }[] = []

  /** Puts this gate behind a port's methods. */
  behind<T extends object>(port: T): T {
    return eachCall(port, async (call, method) => {
      const answer = Promise.resolve(call())
      // A refusal waits too, and is then no unhandled rejection.
      await answer.catch(() => {})
      if (this.#held.has(method)) await new Promise<void>((release) => this.#waiting.push({ method, release }))
      return answer
    })
  }

  /** Answers of these methods wait from now on. */
  hold(...methods: PropertyKey[]): void {
    for (const method of methods) this.#held.add(method)
  }

  /** Calls whose answers wait now. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Lets the answers that wait now come, the oldest first; later ones wait. */
  release(count = Number.POSITIVE_INFINITY): void {
    for (const { release } of this.#waiting.splice(0, count)) release()
  }

  /** Lets the answer come that has waited the shortest. */
  releaseNewest(): void {
    this.#waiting.pop()?.release()
  }

  /** Lets all answers come, now and later. */
  open(): void {
    this.#held.clear()
    this.release()
  }
}

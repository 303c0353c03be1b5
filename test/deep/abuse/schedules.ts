import { eachCall } from '../../support/each-call.ts'
import type { RelayOptions } from '../../support/relay.ts'
import { settled } from '../../support/relay.ts'

/** Every step of every operation waits for its turn, and somebody else decides whose it is. */
export class Turns {
  #waiting: (() => void)[] = []
  #free = true

  /** Waits to be chosen, unless everything is free to go. */
  turn(): Promise<void> {
    if (this.#free) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Stores whose every call waits for its turn, does its work at once, and waits again with the answer. */
  get stores(): Pick<RelayOptions, 'wrapSessions' | 'wrapMailboxes'> {
    const behind = <T extends object>(port: T) => eachCall(port, (call) => this.turn().then(call))
    return { wrapSessions: behind, wrapMailboxes: behind }
  }

  /** Starts the operations, each with a turn of its own, and lets `choose` pick until nothing waits any more. */
  async run<T>(operations: readonly (() => Promise<T>)[], choose: (waiting: number) => number): Promise<T[]> {
    this.#free = false
    const done = Promise.all(operations.map((operation) => this.turn().then(operation)))
    done.catch(() => {})
    for (;;) {
      await settled()
      if (this.#waiting.length === 0) break
      const [next] = this.#waiting.splice(choose(this.#waiting.length), 1)
      next()
    }
    this.#free = true
    return done
  }
}

/** All sequences of choices, depth first: gives a chooser for the next run until all were taken, at most `limit`. */
export function* choosers(limit: number): Generator<(waiting: number) => number> {
  let path: { choice: number; of: number }[] = []
  for (let runs = 0; runs < limit; runs++) {
    let depth = 0
    yield (waiting) => {
      if (depth === path.length) path.push({ choice: 0, of: waiting })
      return Math.min(path[depth++].choice, waiting - 1)
    }
    while (path.length > 0 && path[path.length - 1].choice + 1 >= path[path.length - 1].of) path.pop()
    if (path.length === 0) return
    path = path.map((step, i) => (i === path.length - 1 ? { ...step, choice: step.choice + 1 } : step))
  }
}

export function permutations<T>(items: readonly T[]): T[][] {
  if (items.length <= 1) return [[...items]]
  return items.flatMap((item, i) => permutations(items.filter((_, j) => j !== i)).map((rest) => [item, ...rest]))
}

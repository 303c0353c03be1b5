import { readdirSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Two equal stretches of a steady load: the second must have no more of anything than the first, but for a twentieth. */

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

const GROWTH_MAX = 1.05
/** A collection of all garbage takes as long as a minute of everything else. */
const HEAP_EVERY_MINUTES = 3

/** Figures of one minute: bytes of heap, of which the least counts, and how many there are of the others. */
type Figures = Readonly<Partial<Record<'heap' | 'descriptors' | 'timers' | 'keys', number>>>

export class Flatness {
  readonly #minutes: Figures[] = []
  readonly #from: number
  readonly #period: number

  /** The stretches last `period` minutes each, so that both have the same of what comes again; the second ends at `until`. */
  constructor(until: number, period: number) {
    this.#from = until - 2 * period
    this.#period = period
  }

  /** To be called each minute, from 0 on. `timers` of the devices, `keys` in Redis. */
  look(minute: number, timers: number, keys: number): void {
    const at = minute - this.#from
    if (at < 0 || at >= 2 * this.#period) return
    this.#minutes.push({
      timers,
      keys,
      descriptors: readdirSync('/proc/self/fd').length,
      ...((at % this.#period) % HEAP_EVERY_MINUTES === 0 ? { heap: heapNow() } : {}),
    })
  }

  /** Says what has grown. */
  faults(): string[] {
    return (['heap', 'descriptors', 'timers', 'keys'] as const).flatMap((what) => {
      const [first, second] = [0, this.#period].map((at) => {
        const values = this.#minutes.slice(at, at + this.#period).flatMap((each) => each[what] ?? [])
        // A device that has no network opens as many sockets as it can, and holds them for as long as it lives.
        return what === 'heap' ? Math.min(...values) : values.reduce((sum, value) => sum + value, 0) / values.length
      }) as [number, number]
      return second <= first * GROWTH_MAX ? [] : [`${what} grew from ${first.toFixed(1)} to ${second.toFixed(1)}`]
    })
  }
}

function heapNow(): number {
  collect()
  return process.memoryUsage().heapUsed
}

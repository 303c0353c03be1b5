import { RelayError } from '../../relay/errors.ts'
import { WIDER_FACTOR } from '../../relay/relay.ts'
import type { ClientAddress } from './client-address.ts'

/** A limit on what one client address holds at a time: connections, sockets, polls. */
export class ConcurrencyLimit {
  readonly #max: number
  readonly #held = new Map<string, number>()

  /** `max`: for an IPv4 address or a /64; a /48 may hold eight times as much. */
  constructor(max: number) {
    this.#max = max
  }

  /** How many addresses hold something. */
  get size(): number {
    return this.#held.size
  }

  /** Takes one, and reports whether there was one left. Each that was taken is to be released once. */
  take({ counted, wider }: ClientAddress): boolean {
    if (counted === '' || this.#max === Infinity) return true
    if (this.#of(counted) >= this.#max || this.#of(wider) >= this.#max * WIDER_FACTOR) return false
    this.#add(counted, 1)
    this.#add(wider, 1)
    return true
  }

  /** As `take`. Throws RelayError `rate_limited` when there is none left. */
  takeOrRefuse(address: ClientAddress): void {
    if (!this.take(address)) throw new RelayError('rate_limited')
  }

  release({ counted, wider }: ClientAddress): void {
    if (counted === '' || this.#max === Infinity) return
    this.#add(counted, -1)
    this.#add(wider, -1)
  }

  #of(key: string | undefined): number {
    return key === undefined ? 0 : (this.#held.get(key) ?? 0)
  }

  #add(key: string | undefined, change: number): void {
    if (key === undefined) return
    const held = this.#of(key) + change
    if (held > 0) this.#held.set(key, held)
    else this.#held.delete(key)
  }
}

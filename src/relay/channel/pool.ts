/**
 * A part of the bytes that this node has promised to hold. Their sum never exceeds the limit, and one client
 * address has no more than its share of it. Nobody's address (the empty one) has no share.
 */
export class Pool {
  readonly #limit: number
  readonly #share: number
  readonly #byAddress = new Map<string, number>()
  #taken = 0

  constructor(limit: number, share: number) {
    this.#limit = limit
    this.#share = share
  }

  /** The bytes taken. */
  get taken(): number {
    return this.#taken
  }

  takenBy(address: string): number {
    return this.#byAddress.get(address) ?? 0
  }

  hasRoom(bytes: number): boolean {
    return this.#taken + bytes <= this.#limit
  }

  /** Reports whether an address stays within its share with so many bytes more. */
  isWithinShare(address: string, bytes: number): boolean {
    return address === '' || this.takenBy(address) + bytes <= this.#share
  }

  /** Takes bytes for an address; false, and nothing is taken, where there is no room or no share. */
  take(address: string, bytes: number): boolean {
    if (!this.hasRoom(bytes) || !this.isWithinShare(address, bytes)) return false
    this.#taken += bytes
    this.#byAddress.set(address, this.takenBy(address) + bytes)
    return true
  }

  giveBack(address: string, bytes: number): void {
    this.#taken -= bytes
    const left = this.takenBy(address) - bytes
    if (left > 0) this.#byAddress.set(address, left)
    else this.#byAddress.delete(address)
  }

  /** The address that has most, nobody's aside. */
  get fullest(): string | undefined {
    let fullest: string | undefined
    for (const [address, taken] of this.#byAddress) {
      if (address !== '' && taken > (fullest === undefined ? 0 : this.takenBy(fullest))) fullest = address
    }
    return fullest
  }
}

/**
 * A part of the bytes that this node has promised to hold. Their sum never exceeds the limit, and one source has no more than
 * its share of it. Nobody's source (the empty one) has no share.
 */
export class Pool {
  readonly #limit: number
  readonly #share: number
  readonly #bySource = new Map<string, number>()
  #held = 0

  constructor(limit: number, share: number) {
    this.#limit = limit
    this.#share = share
  }

  /** The bytes taken. */
  get held(): number {
    return this.#held
  }

  heldBy(source: string): number {
    return this.#bySource.get(source) ?? 0
  }

  hasRoom(bytes: number): boolean {
    return this.#held + bytes <= this.#limit
  }

  /** Reports whether a source stays within its share with so many bytes more. */
  isWithinShare(source: string, bytes: number): boolean {
    return source === '' || this.heldBy(source) + bytes <= this.#share
  }

  /** Takes bytes for a source; false, and nothing is taken, where there is no room or no share. */
  take(source: string, bytes: number): boolean {
    if (!this.hasRoom(bytes) || !this.isWithinShare(source, bytes)) return false
    this.#held += bytes
    this.#bySource.set(source, this.heldBy(source) + bytes)
    return true
  }

  giveBack(source: string, bytes: number): void {
    this.#held -= bytes
    const left = this.heldBy(source) - bytes
    if (left > 0) this.#bySource.set(source, left)
    else this.#bySource.delete(source)
  }

  /** The source that has most, nobody's aside. */
  get fullest(): string | undefined {
    let fullest: string | undefined
    for (const [source, held] of this.#bySource) {
      if (source !== '' && held > (fullest === undefined ? 0 : this.heldBy(fullest))) fullest = source
    }
    return fullest
  }
}

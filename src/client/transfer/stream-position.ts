import { PairingError } from '../errors.ts'
import type { List } from '../list.ts'
import type { Entry } from './entries.ts'

/** A run of bytes that belong to one entry. */
export interface Piece {
  readonly entry: number
  readonly bytes: Uint8Array
}

/**
 * Where an offer's stream stands: the bytes of its entries in their order, each from its offset to its size, nothing
 * between. Both sides have one. Throws PairingError `corrupt` for what the stream cannot have.
 */
export class StreamPosition {
  readonly #entries: List<Entry>
  readonly #offsets: ArrayLike<number>
  readonly #skipped = new Set<number>()
  #entry = -1
  /** Bytes that are left of that entry. Infinite for a pipe. */
  #left = 0
  /** The entry of the last byte. */
  #touched = 0

  /** `offsets` says by entry where it begins, if any begins elsewhere than at 0. */
  constructor(entries: List<Entry>, offsets: ArrayLike<number> = []) {
    this.#entries = entries
    this.#offsets = offsets
    this.#next()
  }

  /** The entry that the next byte belongs to; their number when none is left. */
  get entry(): number {
    return this.#entry
  }

  /** Entries whose bytes are not all in the stream. */
  get skipped(): ReadonlySet<number> {
    return this.#skipped
  }

  /** Reports whether the stream may end here. */
  get mayEnd(): boolean {
    return this.#entry === this.#entries.length || this.#left === Number.POSITIVE_INFINITY
  }

  /** Takes the next bytes of the stream apart. */
  advance(bytes: Uint8Array): Piece[] {
    const pieces: Piece[] = []
    for (let at = 0; at < bytes.length; ) {
      if (this.#entry === this.#entries.length) throw new PairingError('corrupt')
      const piece = bytes.subarray(at, at + Math.min(this.#left, bytes.length))
      pieces.push({ entry: this.#entry, bytes: piece })
      this.#touched = this.#entry
      this.#left -= piece.length
      at += piece.length
      this.#next()
    }
    return pieces
  }

  /** The rest of this entry is not in the stream: of the one it stands in, has just ended, or has before it. */
  skip(entry: number): void {
    const isLate = entry < this.#touched || entry >= this.#entries.length
    if (isLate || this.#entries.length === 1 || this.#skipped.has(entry)) throw new PairingError('corrupt')
    this.#skipped.add(entry)
    if (entry === this.#entry) this.#left = 0
    this.#next()
  }

  /** Moves to the next entry that has bytes, if this one has no more. */
  #next(): void {
    while (this.#left === 0 && this.#entry < this.#entries.length) {
      this.#entry++
      const entry = this.#entries.at(this.#entry)
      if (!entry || entry.dir || this.#skipped.has(this.#entry)) continue
      this.#left = (entry.size ?? Number.POSITIVE_INFINITY) - (this.#offsets[this.#entry] ?? 0)
    }
  }
}

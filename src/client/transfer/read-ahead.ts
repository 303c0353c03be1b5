import type { List } from '../list.ts'
import { piecesOfSource, type Source } from '../source.ts'

/** Files of at most this many bytes are read and written several at a time: most of their time is spent waiting. */
export const SMALL_BYTES = 65_536
export const SMALL_AT_ONCE = 16

type Pieces = AsyncGenerator<Uint8Array>

interface Begun {
  readonly pieces: Pieces
  readonly all: Promise<Uint8Array[]>
}

/** Reads sources in their order. Of small ones up to 16 are read at a time, and held until their turn. */
export class ReadAhead {
  readonly #sources: List<Source>
  readonly #offsets: ArrayLike<number>
  /** By index modulo 16. A Map that grows and shrinks for ever keeps what it had alive for many collections of garbage. */
  readonly #begun: (Begun | undefined)[] = []
  /** Every small source before this one was begun. */
  #next = 0
  #isStopped = false
  #giveUp: (nothing: undefined) => void = () => {}

  /** `offsets` says by source from where on its bytes are wanted. */
  constructor(sources: List<Source>, offsets: ArrayLike<number>) {
    this.#sources = sources
    this.#offsets = offsets
  }

  /**
   * The pieces of a source, until `stop`. Sources are asked for in ascending order. Throws PairingError as
   * `piecesOfSource`.
   */
  async *piecesOf(index: number): Pieces {
    this.#begin(index)
    const slot = index % SMALL_AT_ONCE
    const begun = this.#begun[slot]
    if (begun) {
      this.#begun[slot] = undefined
      yield* (await this.#unlessStopped(begun.all)) ?? []
      return
    }
    const pieces = this.#open(index)
    try {
      while (!this.#isStopped) {
        const result = await this.#unlessStopped(pieces.next())
        if (!result || result.done) return
        yield result.value
      }
    } finally {
      abandon(pieces)
    }
  }

  /** Nothing more is wanted: a source may have nothing to give for ever. */
  stop(): void {
    this.#isStopped = true
    for (const begun of this.#begun.splice(0)) if (begun) abandon(begun.pieces)
    this.#giveUp(undefined)
  }

  /** Begins with the small ones from here on, as far as they follow each other. */
  #begin(index: number): void {
    this.#next = Math.max(this.#next, index)
    for (; this.#next < index + SMALL_AT_ONCE; this.#next++) {
      const { size, dir } = this.#sources.at(this.#next) ?? {}
      if (dir) continue
      if (this.#isStopped || size === undefined || size > SMALL_BYTES) return
      const pieces = this.#open(this.#next)
      const all = collected(pieces)
      // Its turn may never come.
      all.catch(() => {})
      this.#begun[this.#next % SMALL_AT_ONCE] = { pieces, all }
    }
  }

  #open(index: number): Pieces {
    const source = this.#sources.at(index)
    if (!source) throw new RangeError('there is no such source')
    return piecesOfSource(source, source.size, this.#offsets[index])
  }

  #unlessStopped<T>(work: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      // No closure: what it has in its scope would outlive many collections of garbage.
      this.#giveUp = resolve
      if (this.#isStopped) resolve(undefined)
      work.then(resolve, reject)
    })
  }
}

/** A source that gives nothing does not end either, so its end is not waited for. */
function abandon(pieces: Pieces): void {
  pieces.return(undefined).catch(() => {})
}

async function collected(pieces: Pieces): Promise<Uint8Array[]> {
  const all: Uint8Array[] = []
  // A source may overwrite a piece when it is asked for the next.
  for await (const piece of pieces) all.push(new Uint8Array(piece))
  return all
}

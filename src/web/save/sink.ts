import type { Entry } from '../../client/index.ts'

/** Where what is received goes, before it is handed to the person. */
export interface Sink {
  /** Takes the next entry, one piece after the other; awaiting each is the back-pressure. */
  entry(entry: Entry, pieces: AsyncIterable<Uint8Array>): Promise<void>
  /** Makes everything final. The sender's "Delivered" follows: after this a crash must not lose it, or it is in the page. */
  finish(): Promise<void>
  /** Hands it to the browser's downloads. May be called again. */
  export(): void
  /** Forgets it. */
  drop(): Promise<void>
}

/** Above this what is received should not be held in memory, where there is another place. */
export const MEMORY_SMALL_BYTES = 64_000_000
/** The most that is held in memory. */
export const MEMORY_MAX_BYTES = 256_000_000

/** How long a link to received bytes stays good after it was clicked, in milliseconds. */
const LINK_LIVES_MS = 600_000
/** Browsers drop downloads that come faster. */
const BETWEEN_EXPORTS_MS = 300

/** Offers a blob to the browser's downloads under this name. */
export function download(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), LINK_LIVES_MS)
}

/** Holds everything as blobs of the page: nothing touches the disk before it is exported. */
export class MemorySink implements Sink {
  readonly #max: number
  readonly #nameOf: (path: string) => string
  readonly #files: { readonly name: string; readonly blob: Blob }[] = []
  #bytes = 0

  /** `nameOf` makes a file name of an entry's path. RangeError from `entry` beyond `max` bytes in all. */
  constructor(nameOf: (path: string) => string, max = MEMORY_MAX_BYTES) {
    this.#nameOf = nameOf
    this.#max = max
  }

  async entry({ path, type, dir }: Entry, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    if (dir) return
    const parts: BlobPart[] = []
    let held: Uint8Array<ArrayBuffer>[] = []
    let heldBytes = 0
    for await (const piece of pieces) {
      this.#bytes += piece.length
      if (this.#bytes > this.#max) throw new RangeError('too large for memory')
      held.push(new Uint8Array(piece))
      heldBytes += piece.length
      if (heldBytes < 1_048_576) continue
      // A blob of its own lets the browser keep it elsewhere.
      parts.push(new Blob(held))
      held = []
      heldBytes = 0
    }
    this.#files.push({ name: this.#nameOf(path), blob: new Blob([...parts, ...held], type ? { type } : {}) })
  }

  async finish(): Promise<void> {}

  /** The text of the only entry. */
  text(): Promise<string> {
    return this.#files[0]?.blob.text() ?? Promise.resolve('')
  }

  export(): void {
    for (const [index, { blob, name }] of this.#files.entries())
      setTimeout(() => download(blob, name), index * BETWEEN_EXPORTS_MS)
  }

  async drop(): Promise<void> {
    this.#files.length = 0
  }
}

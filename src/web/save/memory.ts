import { inBatches } from '../../browser/batches.ts'
import type { ReceivedFile } from '../../browser/index.ts'
import type { Entry, List, Partial } from '../../client/index.ts'
import { MEMORY_MAX_BYTES } from '../flow/plan.ts'
import { crc32 } from './crc.ts'
import { noRoom, type Sink } from './sink.ts'
import { hasArchives, type Ready, readyFiles } from './things.ts'

/** Holds everything as blobs of the page: nothing touches the disk before it is handed out. */
export class MemorySink implements Sink, Partial {
  readonly have = []
  readonly #max: number
  readonly #parts = new Map<number, ReceivedFile>()
  #entries: List<Entry> = []
  #hasArchives = false
  #bytes = 0

  /** Throws QuotaExceededError beyond `max` bytes in all. */
  constructor(max = MEMORY_MAX_BYTES) {
    this.#max = max
  }

  async tokens(): Promise<string[]> {
    return []
  }

  async open(_token: string, entries: List<Entry>): Promise<Partial> {
    this.#entries = entries
    this.#hasArchives = hasArchives(entries)
    return this
  }

  async *read(): AsyncGenerator<Uint8Array> {}

  async write(entry: number, _offset: number, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const blobs: Blob[] = []
    let crc = 0
    await inBatches(pieces, async (batch) => {
      this.#bytes += batch.length
      if (this.#bytes > this.#max) throw noRoom()
      if (this.#hasArchives) crc = crc32(batch, crc)
      // A blob of its own lets the browser keep it elsewhere.
      blobs.push(new Blob([batch]))
      return batch.buffer
    })
    this.#parts.set(entry, { blob: new Blob(blobs), checksum: crc })
  }

  async finish(skipped: readonly number[]): Promise<void> {
    for (const entry of skipped) this.#parts.delete(entry)
  }

  async leave(): Promise<void> {}

  async files(): Promise<Ready[]> {
    return readyFiles({ entries: this.#entries, files: this.#parts })
  }

  release(): void {
    this.#parts.clear()
  }

  async drop(): Promise<void> {
    this.release()
  }
}

import { inBatches } from '../../browser/batches.ts'
import type { Entry, List, Partial } from '../../client/index.ts'
import { crc32 } from './crc.ts'
import type { Sink } from './sink.ts'
import { archived, thingsOf } from './things.ts'
import { directory, localHeader, type ZipEntry } from './zip.ts'

/** A file that the person chose. Not in the types of every browser's library yet. */
type Picker = (options: { suggestedName: string }) => Promise<FileSystemFileHandle>

/** Asks where to save. It has to be called within a click. Throws AbortError when the person changes their mind. */
export function pickPlace(entries: List<Entry>): Promise<FileSystemFileHandle> {
  const { showSaveFilePicker } = globalThis as unknown as { showSaveFilePicker: Picker }
  return showSaveFilePicker({ suggestedName: thingsOf(entries)[0]?.name ?? '' })
}

/** Writes to a place that the person chose: one file, or a folder as an archive. It has its name there when it is finished. */
export class PickedSink implements Sink, Partial {
  readonly have = []
  readonly #place: FileSystemFileHandle
  #file: FileSystemWritableFileStream | undefined
  #wasEmpty = false
  #at = 0
  /** Content of the archive, if it is one, by entry. */
  #listed: ReadonlyMap<number, ZipEntry> | undefined
  readonly #offsets = new Map<number, number>()
  readonly #crcs = new Map<number, number>()
  readonly #sizes = new Map<number, number>()

  constructor(place: FileSystemFileHandle) {
    this.#place = place
  }

  get name(): string {
    return this.#place.name
  }

  async tokens(): Promise<string[]> {
    return []
  }

  async open(_token: string, entries: List<Entry>): Promise<Partial> {
    const [thing] = thingsOf(entries)
    if (thing?.isArchive) {
      const zipped = archived(entries, thing.entries)
      this.#listed = new Map(thing.entries.map((index, n) => [index, zipped[n] as ZipEntry]))
    }
    this.#wasEmpty = (await this.#place.getFile()).size === 0
    this.#file = await this.#place.createWritable()
    return this
  }

  async *read(): AsyncGenerator<Uint8Array> {}

  async write(entry: number, _offset: number, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const zipped = this.#listed?.get(entry)
    const begin = this.#at
    // The CRC is put in afterwards.
    if (zipped) await this.#put(localHeader(zipped))
    const content = this.#at
    let crc = 0
    await inBatches(pieces, async (batch) => {
      if (zipped) crc = crc32(batch, crc)
      await this.#put(batch)
      return batch.buffer
    })
    if (!zipped) return
    this.#offsets.set(entry, begin)
    this.#crcs.set(entry, crc)
    this.#sizes.set(entry, this.#at - content)
    await this.#file?.write({ type: 'write', position: begin, data: localHeader({ ...zipped, crc }) })
  }

  async finish(skipped: readonly number[]): Promise<void> {
    if (this.#listed) await this.#endArchive(this.#listed, skipped)
    await this.#file?.close()
    this.#file = undefined
  }

  /** Lists what the archive has. What was skipped is not in the list; its bytes are between the others. */
  async #endArchive(listed: ReadonlyMap<number, ZipEntry>, skipped: readonly number[]): Promise<void> {
    const entries: ZipEntry[] = []
    const offsets: number[] = []
    for (const [index, entry] of listed) {
      if (skipped.includes(index)) continue
      let offset = this.#offsets.get(index)
      if (offset === undefined) {
        // An empty folder has no bytes to be written.
        offset = this.#at
        await this.#put(localHeader(entry))
      }
      entries.push({ ...entry, crc: this.#crcs.get(index) ?? 0, size: this.#sizes.get(index) ?? 0 })
      offsets.push(offset)
    }
    await this.#put(directory(entries, offsets, this.#at))
  }

  async #put(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#file?.write({ type: 'write', position: this.#at, data: bytes })
    this.#at += bytes.length
  }

  async leave(): Promise<void> {
    // Whatever was not finished is thrown away: the place keeps what it had.
    await this.#file?.abort().catch(() => {})
  }

  async files(): Promise<[]> {
    return []
  }

  release(): void {}

  /** Removes the file that choosing the place has made. */
  async drop(): Promise<void> {
    const place = this.#place as FileSystemFileHandle & { remove?: () => Promise<void> }
    if (this.#wasEmpty && (await place.getFile().catch(() => undefined))?.size === 0)
      await place.remove?.().catch(() => {})
  }
}

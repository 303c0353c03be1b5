import type { Entry, Partial } from '../../client/index.ts'
import type { Disk } from './disk.ts'
import { type Done, folderOf, folders, hold, isHeld, type Meta, ROOT, readMeta } from './folders.ts'
import { batches, type Sink } from './sink.ts'
import { type Part, type Ready, readyFiles, thingsOf } from './things.ts'

/** Keeps an offer in the browser's own storage: `pairlay/{token}/{entry}`. It survives the page, and goes on where it was cut. */
export class KeptSink implements Sink, Partial {
  readonly #disk: Disk
  readonly #now: () => number
  readonly #have = new Map<number, number>()
  readonly #crcs = new Map<number, number>()
  #token = ''
  #entries: readonly Entry[] = []
  #hasArchives = false
  #release: () => void = () => {}

  constructor(disk: Disk, now: () => number = Date.now) {
    this.#disk = disk
    this.#now = now
  }

  get have(): ReadonlyMap<number, number> {
    return this.#have
  }

  tokens(): Promise<string[]> {
    return unfinished()
  }

  /** Throws InvalidStateError where another page has it. */
  async open(token: string, entries: readonly Entry[]): Promise<Partial> {
    const release = await hold(token)
    if (!release) throw new DOMException('another page has it', 'InvalidStateError')
    this.#release = release
    this.#token = token
    this.#entries = entries
    this.#hasArchives = thingsOf(entries).some(({ isArchive }) => isArchive)
    const folder = await folderOf(token, true)
    const before = await readMeta(folder)
    const useless: string[] = []
    for await (const [name, file] of folder.entries()) {
      const index = Number(name)
      const entry = entries[index]
      if (!Number.isInteger(index) || file.kind !== 'file') continue
      // The same transfer may be offered with other entries: what has another place now is of no use.
      const isSame = entry && !entry.dir && before?.entries[index]?.path === entry.path
      const bytes = isSame ? Math.min((await (file as FileSystemFileHandle).getFile()).size, entry.size ?? 0) : 0
      if (bytes > 0) this.#have.set(index, bytes)
      else useless.push(name)
    }
    for (const name of useless) await folder.removeEntry(name)
    const meta: Meta = { at: this.#now(), entries }
    await this.#disk.put(this.#path, 'meta.json', JSON.stringify(meta))
    return this
  }

  async *read(entry: number, bytes: number): AsyncGenerator<Uint8Array> {
    const file = await (await this.#file(entry)).getFile()
    const reader = file.slice(0, bytes).stream().getReader()
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        yield value
      }
    } finally {
      await reader.cancel()
    }
  }

  async write(entry: number, offset: number, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const file = await this.#disk.open(this.#path, String(entry), offset, this.#hasArchives)
    try {
      for await (const batch of batches(pieces)) await this.#disk.write(file, batch)
    } catch (error) {
      await this.#disk.close(file).catch(() => {})
      throw error
    }
    this.#crcs.set(entry, await this.#disk.close(file))
  }

  /** Afterwards the browser has everything, also if the page or the browser dies. */
  async finish(skipped: readonly number[]): Promise<void> {
    const folder = await folderOf(this.#token)
    for (const entry of skipped) {
      this.#crcs.delete(entry)
      await folder.removeEntry(String(entry)).catch(() => {})
    }
    const done: Done = { at: this.#now(), crcs: [...this.#crcs] }
    await this.#disk.put(this.#path, 'done.json', JSON.stringify(done))
  }

  async leave(): Promise<void> {}

  async files(): Promise<Ready[]> {
    return filesIn(this.#token, this.#entries, this.#crcs)
  }

  release(): void {
    this.#release()
  }

  /** Marks it as not wanted any more: it is deleted by `drop`, or at the next visit. */
  async giveUp(): Promise<void> {
    await this.#disk.put(this.#path, 'over', '')
  }

  async drop(): Promise<void> {
    if (this.#token !== '') await remove(this.#token)
    this.#release()
  }

  get #path(): string {
    return `${ROOT}/${this.#token}`
  }

  async #file(entry: number): Promise<FileSystemFileHandle> {
    return (await folderOf(this.#token)).getFileHandle(String(entry))
  }
}

/** The files of a finished transfer. */
export async function filesIn(
  token: string,
  entries: readonly Entry[],
  crcs: Iterable<readonly [entry: number, crc: number]>,
): Promise<Ready[]> {
  const folder = await folderOf(token)
  const parts = new Map<number, Part>()
  for (const [entry, crc] of crcs) {
    const blob = await (await folder.getFileHandle(String(entry))).getFile()
    parts.set(entry, { blob, crc })
  }
  return readyFiles(entries, parts)
}

/** Tokens of what was begun here, did not end, and is in no page's hands. */
async function unfinished(): Promise<string[]> {
  const tokens: string[] = []
  for (const token of await folders()) {
    const folder = await folderOf(token)
    const isDone = await folder.getFileHandle('done.json').catch(() => undefined)
    if (!isDone && !(await isHeld(token)) && (await readMeta(folder))) tokens.push(token)
  }
  return tokens
}

/** Deletes the folder of a transfer. */
export async function remove(token: string): Promise<void> {
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT)
  await root.removeEntry(token, { recursive: true }).catch((error) => {
    if (error.name !== 'NotFoundError') throw error
  })
}

import type { Entry, List, Partial, Partials } from '../client/index.ts'
import { inBatches } from './batches.ts'
import type { FileWorker } from './file-worker.ts'
import {
  type Done,
  fileIn,
  folderOf,
  hold,
  isHeld,
  keptTokens,
  type Meta,
  ROOT,
  readJson,
  removeFolder,
  rootFolder,
} from './folders.ts'
import { type Received, received } from './received.ts'
import { storageError } from './storage-error.ts'

/** Transfers of less are not kept when they are cut. */
const KEPT_FROM_BYTES = 1_048_576
/** Bytes that are read at once. */
const READ_BYTES = 1_048_576
/** Name of the file of an entry: its index. */
const IS_FILE = /^\d+$/

/** Options of `BrowserPartials`, for an app that makes archives. */
export interface BrowserPartialsOptions {
  /** Reports whether a checksum of each file is wanted, where the app's worker makes one. */
  readonly hasChecksums?: ((entries: List<Entry>) => boolean) | undefined
}

/** A transfer that is kept here, finished or not. */
export interface Kept {
  /** Tells it from every other. */
  readonly token: string
  /** The peer's words: clean a path before it is shown or used as a name. */
  readonly entries: readonly Entry[]
  /** Bytes that are there. */
  readonly bytes: number
  /** When it was finished, or last begun, in milliseconds since 1970. */
  readonly at: number
  /** Set when it is finished: `received` reads it. */
  readonly isComplete: boolean
}

/**
 * Keeps offers in the browser's origin-private file system, where they survive the page and go on where they were cut. One page
 * at a time has a transfer: in a second one it begins anew. The browser may delete everything when room is short.
 */
export class BrowserPartials implements Partials<BrowserPartial> {
  readonly #files: FileWorker
  readonly #options: BrowserPartialsOptions

  constructor(files: FileWorker, options: BrowserPartialsOptions = {}) {
    this.#files = files
    this.#options = options
  }

  /** Tokens of what was begun here, did not end, and is in no page's hands. */
  async tokens(): Promise<string[]> {
    const tokens: string[] = []
    for (const token of await keptTokens()) {
      const folder = await folderOf(token).catch(() => undefined)
      // Another page has removed it.
      if (!folder) continue
      const isDone = await folder.getFileHandle('done.json').catch(() => undefined)
      if (!isDone && !(await isHeld(token)) && (await readJson<Meta>(folder, 'meta.json'))) tokens.push(token)
    }
    return tokens
  }

  /**
   * Takes a transfer for this page. Throws InvalidStateError where another page has it, NotSupportedError where the browser can
   * keep none, and QuotaExceededError.
   */
  async open(token: string, entries: List<Entry>): Promise<BrowserPartial> {
    await rootFolder(true)
    const release = await hold(token)
    if (!release) throw storageError('InvalidStateError')
    try {
      const folder = await folderOf(token, true)
      const partial = new BrowserPartial(this.#files, folder, token, entries, this.#options, release)
      await partial.begin(entries)
      return partial
    } catch (error) {
      release()
      throw error
    }
  }

  /**
   * All that is kept and in no page's hands, the newest first. Deletes what is not wanted, such as what is old, what was given
   * up, and what has no byte.
   */
  async kept(isWanted: (kept: Kept) => boolean = () => true): Promise<Kept[]> {
    const found = await Promise.all((await keptTokens()).map((token) => readOrDelete(token, isWanted)))
    return found.filter((each) => each !== undefined).sort((a, b) => b.at - a.at)
  }

  /** Reads a transfer that is complete here. Throws NotFoundError for any other. */
  received(token: string): Promise<Received> {
    return received(token)
  }

  /** Deletes what is kept of a transfer, unless a page has it. */
  remove(token: string): Promise<void> {
    return removeKept(token)
  }
}

/** An offer in the browser's own storage: a file for each entry. It is this page's until it is left, released or removed. */
export class BrowserPartial implements Partial {
  readonly #have = new Map<number, number>()
  readonly #files: FileWorker
  readonly #folder: FileSystemDirectoryHandle
  readonly #token: string
  readonly #hasChecksums: boolean
  readonly #checksums = new Map<number, number>()
  readonly #isSmall: boolean
  /** Lets go of it. It stays, and `kept` lists it. */
  readonly release: () => void
  #isFinished = false

  constructor(
    files: FileWorker,
    folder: FileSystemDirectoryHandle,
    token: string,
    entries: List<Entry>,
    { hasChecksums }: BrowserPartialsOptions,
    release: () => void,
  ) {
    this.#files = files
    this.#folder = folder
    this.#token = token
    this.#hasChecksums = hasChecksums?.(entries) === true
    let total = 0
    for (const { size = 0 } of entries) total += size
    this.#isSmall = total < KEPT_FROM_BYTES
    this.release = release
  }

  /** Finds what is there of these entries, and writes them down. */
  async begin(entries: List<Entry>): Promise<void> {
    const folder = this.#folder
    const before = await readJson<Meta>(folder, 'meta.json')
    const useless: string[] = []
    for await (const name of folder.keys()) {
      if (!IS_FILE.test(name)) continue
      const index = Number(name)
      const entry = entries.at(index)
      // The same transfer may be offered with other entries: what has another place now is of no use.
      const isSame = entry && !entry.dir && before?.entries[index]?.path === entry.path
      const bytes = isSame ? Math.min((await fileIn(folder, name)).size, entry.size ?? 0) : 0
      if (bytes > 0) this.#have.set(index, bytes)
      else useless.push(name)
    }
    for (const name of useless) await folder.removeEntry(name)
    await this.#put('meta.json', { at: Date.now(), entries: [...entries] } satisfies Meta)
  }

  /** By entry, its first bytes that are there. */
  get have(): ReadonlyMap<number, number> {
    return this.#have
  }

  /** The first `bytes` of an entry. */
  async *read(entry: number, bytes: number): AsyncGenerator<Uint8Array> {
    const file = await fileIn(this.#folder, String(entry))
    for (let at = 0; at < bytes; at += READ_BYTES)
      yield new Uint8Array(await file.slice(at, Math.min(at + READ_BYTES, bytes)).arrayBuffer())
  }

  /** Takes an entry's bytes from `offset` on. Throws QuotaExceededError. */
  async write(entry: number, offset: number, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const file = await this.#files.open(this.#path, String(entry), offset, this.#hasChecksums)
    try {
      await inBatches(pieces, (batch) => this.#files.write(file, batch))
    } catch (error) {
      await this.#files.close(file).catch(() => {})
      throw error
    }
    this.#checksums.set(entry, await this.#files.close(file))
  }

  /** Afterwards the browser has everything, also if the page or the browser dies. */
  async finish(skipped: readonly number[]): Promise<void> {
    for (const entry of skipped) {
      this.#checksums.delete(entry)
      await this.#folder.removeEntry(String(entry)).catch(() => {})
    }
    await this.#put('done.json', { at: Date.now(), checksums: [...this.#checksums] } satisfies Done)
    this.#isFinished = true
  }

  /** Lets another session go on with it, unless it is finished. What is less than 1 MiB is deleted instead. */
  async leave(): Promise<void> {
    if (this.#isFinished) return
    if (this.#isSmall) await removeFolder(this.#token).catch(() => {})
    this.release()
  }

  /** Reads what is here, once it is finished. */
  received(): Promise<Received> {
    return received(this.#token)
  }

  /**
   * Marks it as not wanted any more, for what the browser may still be reading, such as a download: `remove` deletes it, or the
   * next `kept` of a page that opens later.
   */
  async giveUp(): Promise<void> {
    await this.#files.put(this.#path, 'over', '')
  }

  /** Deletes it, unless another page has taken it since it was left. */
  remove(): Promise<void> {
    this.release()
    return removeKept(this.#token)
  }

  get #path(): string {
    return `${ROOT}/${this.#token}`
  }

  #put(name: string, content: object): Promise<void> {
    return this.#files.put(this.#path, name, JSON.stringify(content))
  }
}

async function removeKept(token: string): Promise<void> {
  await holding(token, () => removeFolder(token))
}

/** Resolves with undefined, and keeps it for another visit, where it cannot be read. */
function readOrDelete(token: string, isWanted: (kept: Kept) => boolean): Promise<Kept | undefined> {
  return holding(token, async () => {
    const kept = await readKept(token)
    if (kept && isWanted(kept)) return kept
    await removeFolder(token)
    return undefined
  }).catch(() => undefined)
}

/** Does this while no other page can take the transfer. Resolves with undefined where one has it. */
async function holding<T>(token: string, work: () => Promise<T>): Promise<T | undefined> {
  const release = await hold(token)
  try {
    return release && (await work())
  } finally {
    release?.()
  }
}

async function readKept(token: string): Promise<Kept | undefined> {
  const folder = await folderOf(token)
  const [meta, done] = [await readJson<Meta>(folder, 'meta.json'), await readJson<Done>(folder, 'done.json')]
  const isOver = await folder.getFileHandle('over').catch(() => undefined)
  if (!meta || isOver) return undefined
  let bytes = 0
  for await (const name of folder.keys()) if (IS_FILE.test(name)) bytes += (await fileIn(folder, name)).size
  if (!done && bytes === 0) return undefined
  return { token, entries: meta.entries, bytes, at: done?.at ?? meta.at, isComplete: done !== undefined }
}

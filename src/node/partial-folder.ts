import { constants, fchmodSync, fstatSync, futimesSync } from 'node:fs'
import { lstat, readdir, realpath, rename, rm, utimes } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import {
  type Entry,
  indexed,
  type List,
  mapped,
  PackedList,
  type Partial,
  type Partials,
  totalOf,
} from '../client/index.ts'
import { removedAtExit } from './at-exit.ts'
import { localPaths, partPaths, symbolsOf, tokenIn } from './local-paths.ts'
import { isLocked, lock } from './lock.ts'
import { closeFile, flush, openHere, readFile, timeOf, truncateFile, writeFile } from './open-files.ts'
import {
  isOwn,
  isOwnFile,
  makeFolder,
  openFolders,
  PRIVATE_FOLDER,
  pathsWanted,
  place,
  removeOthers,
  requireFree,
  requireOwn,
} from './part-tree.ts'

/** Files from here on are flushed to the disk. What is there of smaller transfers is not kept. */
export const KEPT_FROM_BYTES = 1_048_576
const PRIVATE_FILE = 0o600
/** Folders of which it is known that they are there. */
const FOLDERS_KNOWN = 1_000

export interface PartialFolderOptions {
  /** Where everything gets its place. It is there already. */
  readonly directory: string
  /** The mode of files in the end, 0600 unless it is given. Folders and executables get the execute bits that belong to it. */
  readonly mode?: number | undefined
  /** Chooses the name of a thing, the first segment of a path. */
  readonly nameOf?: ((thing: string) => string) | undefined
  /** Files, but not folders, take the place of others. */
  readonly overwrite?: boolean | undefined
  /** Called when a thing has its name, which is relative to the directory. */
  readonly onPlaced?: ((name: string) => void) | undefined
}

/** A folder in which offers are saved: each thing as `NAME.TOKEN.part` until everything of it is there. */
export class PartialFolder implements Partials {
  readonly #options: PartialFolderOptions

  constructor(options: PartialFolderOptions) {
    this.#options = options
  }

  /** Tokens of what lies here half done, is this user's alone, and is written by no other process. */
  async tokens(): Promise<string[]> {
    const { directory } = this.#options
    const found = new Map<string, boolean>()
    for (const name of await readdir(directory)) {
      const token = tokenIn(name)
      if (!token) continue
      const isOurs = (found.get(token) ?? true) && (await isOwn(join(directory, name)))
      found.set(token, isOurs && !(await isLocked(lockPath(directory, token))))
    }
    return [...found].flatMap(([token, isOurs]) => (isOurs ? [token] : []))
  }

  async open(token: string, entries: List<Entry>): Promise<SavedPartial> {
    return SavedPartial.open(this.#options, token, entries)
  }
}

/** A thing that a person chose: where it is for now, and where in the end. */
interface Thing {
  readonly part: string
  readonly path: string
  readonly isFolder: boolean
}

interface SavedPartialOptions {
  readonly options: PartialFolderOptions
  /** The options' directory, without a link in its path. */
  readonly directory: string
  readonly token: string
  readonly entries: List<Entry>
  readonly paths: List<string>
  readonly things: List<Thing>
  readonly have: List<readonly [entry: number, bytes: number]>
}

/** An offer on its way into a folder. */
export class SavedPartial implements Partial {
  /** By entry, where it is in the end, relative to the directory. */
  readonly paths: List<string>
  readonly have: List<readonly [entry: number, bytes: number]>
  readonly #options: PartialFolderOptions
  readonly #directory: string
  readonly #token: string
  readonly #entries: List<Entry>
  /** Where something is for now that has this place in the end. */
  readonly #toPart: (path: string) => string
  readonly #things: List<Thing>
  /** Folders that were made, or are being made. */
  readonly #folders = new Map<string, Promise<void>>()
  #isFinished = false

  private constructor({ options, directory, token, entries, paths, things, have }: SavedPartialOptions) {
    this.#options = options
    this.#directory = directory
    this.#token = token
    this.#entries = entries
    this.paths = paths
    this.#toPart = partPaths(token, directory)
    this.#things = things
    this.have = have
    for (const path of this.#passing()) removedAtExit.add(path)
  }

  /** Locks the partial for this process. Throws what the file system throws, and EEXIST for a name that is taken. */
  static async open(options: PartialFolderOptions, token: string, entries: List<Entry>): Promise<SavedPartial> {
    const directory = await realpath(options.directory)
    const paths = localPaths(entries, options.nameOf)
    const toPart = partPaths(token, directory)
    const names = new PackedList<{ name: string; isFolder: boolean }>()
    const things = mapped(names, ({ name, isFolder }): Thing => {
      return { part: toPart(name), path: join(directory, name), isFolder }
    })
    let last: string | undefined
    for (const [index, path] of indexed(paths)) {
      const [name = path, below] = path.split(/[/\\]/, 2)
      // Entries of one thing stand together.
      if (name === last) continue
      last = name
      const isFolder = below !== undefined || entries.at(index)?.dir === true
      // Before any byte has moved. When all is there the system decides, since the name can be taken meanwhile.
      if (isFolder || !options.overwrite) await requireFree(join(directory, name))
      names.push({ name, isFolder })
    }
    await lock(lockPath(directory, token))
    let wasBegun = false
    for (const { part } of things) wasBegun ||= await isThere(part)
    wasBegun ||= await takeOver(directory, token, things)
    const have = new PackedList<readonly [number, number]>()
    if (wasBegun) {
      const wanted = pathsWanted(
        directory,
        mapped(paths, (path, n): [string, boolean] => [toPart(path), entries.at(n)?.dir === true]),
      )
      for (const { part } of things) await removeOthers(part, wanted)
      for (const [entry, path] of indexed(paths)) {
        const info = await lstat(toPart(path)).catch(() => undefined)
        const bytes = info?.isFile() ? Math.min(info.size, entries.at(entry)?.size ?? 0) : 0
        if (bytes > 0) have.push([entry, bytes])
      }
    }
    return new SavedPartial({ options, directory, token, entries, paths, things, have })
  }

  async *read(entry: number, bytes: number): AsyncGenerator<Uint8Array> {
    const file = await openHere(this.#part(entry), constants.O_RDONLY | constants.O_NOFOLLOW)
    try {
      yield* readFile(file, 0, bytes)
    } finally {
      await closeFile(file)
    }
  }

  async write(entry: number, offset: number, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const { modified, x } = this.#entries.at(entry) ?? {}
    const file = await this.#create(entry, offset)
    try {
      let at = offset
      for await (const piece of pieces) {
        await writeFile(file, piece, at)
        at += piece.length
      }
      const mode = this.#modeOf(x === true)
      if (mode !== PRIVATE_FILE) fchmodSync(file, mode)
      if (modified !== undefined) futimesSync(file, timeOf(modified), timeOf(modified))
      if (at >= KEPT_FROM_BYTES) await flush(file)
    } catch (error) {
      // The system does not say of which file it speaks.
      if ((error as NodeJS.ErrnoException).syscall) Object.assign(error as object, { path: this.#target(entry) })
      throw error
    } finally {
      await closeFile(file)
    }
  }

  async finish(skipped: readonly number[]): Promise<void> {
    const { overwrite, onPlaced } = this.#options
    for (const entry of skipped) await rm(this.#part(entry), { force: true })
    for (const [entry, { dir, modified }] of indexed(this.#entries)) {
      if (!dir) continue
      const path = this.#part(entry)
      await this.#folder(path)
      if (modified !== undefined) await utimes(path, timeOf(modified), timeOf(modified))
    }
    for (const { part, path, isFolder } of this.#things) {
      // Everything of it may have been skipped.
      if (!(await isThere(part))) continue
      await requireOwn(part, isFolder)
      if (isFolder) await openFolders(part, this.#modeOf(true) | PRIVATE_FOLDER)
      if (overwrite && !isFolder) await rename(part, path)
      else await place(part, path, isFolder)
      onPlaced?.(basename(path))
    }
    this.#isFinished = true
  }

  async leave(): Promise<void> {
    for (const path of this.#passing()) {
      await rm(path, { recursive: true, force: true })
      removedAtExit.delete(path)
    }
  }

  /** Paths that are not kept: the lock, and a small transfer. */
  #passing(): string[] {
    const isSmall = !this.#isFinished && (totalOf(this.#entries) ?? 0) < KEPT_FROM_BYTES
    const parts = isSmall ? [...this.#things].map(({ part }) => part) : []
    return [lockPath(this.#directory, this.#token), ...parts]
  }

  #target(entry: number): string {
    return join(this.#options.directory, this.paths.at(entry) ?? '')
  }

  #part(entry: number): string {
    const path = this.paths.at(entry)
    if (path === undefined) throw new RangeError('there is no such entry')
    return this.#toPart(path)
  }

  /** The file of an entry, of so many bytes, in folders that nobody else can enter. A link in its place is no file. */
  async #create(entry: number, bytes: number): Promise<number> {
    const path = this.#part(entry)
    await this.#folder(dirname(path))
    const flags = constants.O_WRONLY | constants.O_NOFOLLOW
    if (bytes === 0) {
      try {
        return await openHere(path, flags | constants.O_CREAT | constants.O_EXCL, PRIVATE_FILE)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
    }
    const file = await openHere(path, flags | constants.O_NONBLOCK)
    const info = fstatSync(file)
    if (isOwnFile(info) && info.size >= bytes) {
      await truncateFile(file, bytes)
      return file
    }
    // Bytes that both sides compared are gone, or they are somebody else's.
    await closeFile(file)
    throw Object.assign(new Error('the partial was changed'), { code: 'EBUSY', syscall: 'open' })
  }

  /** Makes a folder and those that it is in, from the directory on. */
  #folder(path: string): Promise<void> {
    if (path === this.#directory) return Promise.resolve()
    const known = this.#folders.get(path)
    if (known) return known
    // To make one again does no harm, and there may be 100,000.
    if (this.#folders.size === FOLDERS_KNOWN) this.#folders.clear()
    const made = this.#folder(dirname(path)).then(() => makeFolder(path))
    this.#folders.set(path, made)
    return made
  }

  #modeOf(isExecutable: boolean): number {
    const mode = this.#options.mode ?? PRIVATE_FILE
    return isExecutable ? mode | ((mode & 0o444) >> 2) : mode
  }
}

/** Names in a directory of what was begun under a token. */
export async function partialsOf(directory: string, token: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => tokenIn(name) === token)
}

/** Gives what was begun under another name of the only thing the name that it has now. Reports whether there was one. */
async function takeOver(directory: string, token: string, [thing, second]: Iterable<Thing>): Promise<boolean> {
  const [was, other] = await partialsOf(directory, token)
  if (!thing || second || was === undefined || other !== undefined) return false
  await rename(join(directory, was), thing.part)
  return true
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined
}

function lockPath(directory: string, token: string): string {
  return join(directory, `.${symbolsOf(token)}.lock`)
}

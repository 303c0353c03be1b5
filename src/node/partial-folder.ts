import { constants } from 'node:fs'
import {
  chmod,
  type FileHandle,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  unlink,
  utimes,
} from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Entry, Partial, Partials } from '../client/index.ts'
import { removedAtExit } from './at-exit.ts'
import { localPaths, partPath, symbolsOf, tokenIn } from './local-paths.ts'

/** Files from here on are flushed to the disk. What is there of smaller transfers is not kept. */
export const KEPT_FROM_BYTES = 1_048_576
const PRIVATE_FILE = 0o600
const PRIVATE_FOLDER = 0o700
const READ_BYTES = 256 * 1024
const RENAME_TRIES = 20
const RENAME_PAUSE_MS = 500

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

  async open(token: string, entries: readonly Entry[]): Promise<SavedPartial> {
    return SavedPartial.open(this.#options, token, entries)
  }
}

/** An offer on its way into a folder. */
export class SavedPartial implements Partial {
  /** By entry, where it is in the end, relative to the directory. */
  readonly paths: readonly string[]
  readonly have: ReadonlyMap<number, number>
  readonly #options: PartialFolderOptions
  readonly #token: string
  readonly #entries: readonly Entry[]
  #isFinished = false

  private constructor(
    options: PartialFolderOptions,
    token: string,
    entries: readonly Entry[],
    paths: readonly string[],
    have: ReadonlyMap<number, number>,
  ) {
    this.#options = options
    this.#token = token
    this.#entries = entries
    this.paths = paths
    this.have = have
    for (const path of this.#passing()) removedAtExit.add(path)
  }

  /** Locks the partial for this process. Throws what the file system throws. */
  static async open(options: PartialFolderOptions, token: string, entries: readonly Entry[]): Promise<SavedPartial> {
    const paths = localPaths(entries, options.nameOf)
    await lock(lockPath(options.directory, token))
    const have = new Map<number, number>()
    for (const [index, path] of paths.entries()) {
      const info = await lstat(join(options.directory, partPath(path, token))).catch(() => undefined)
      const bytes = info?.isFile() ? Math.min(info.size, entries[index]?.size ?? 0) : 0
      if (bytes > 0) have.set(index, bytes)
    }
    return new SavedPartial(options, token, entries, paths, have)
  }

  async *read(entry: number, bytes: number): AsyncGenerator<Uint8Array> {
    const file = await open(this.#part(entry), constants.O_RDONLY | constants.O_NOFOLLOW)
    try {
      for (let at = 0; at < bytes; ) {
        const buffer = new Uint8Array(Math.min(READ_BYTES, bytes - at))
        const { bytesRead } = await file.read(buffer, 0, buffer.length, at)
        if (bytesRead === 0) return
        at += bytesRead
        yield buffer.subarray(0, bytesRead)
      }
    } finally {
      await file.close()
    }
  }

  async write(entry: number, offset: number, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const file = await this.#create(entry)
    try {
      await file.truncate(offset)
      let at = offset
      for await (const piece of pieces) {
        for (let written = 0; written < piece.length; ) {
          const { bytesWritten } = await file.write(piece, written, piece.length - written, at)
          written += bytesWritten
          at += bytesWritten
        }
      }
      if (at >= KEPT_FROM_BYTES) await file.sync()
    } catch (error) {
      // The system does not say of which file it speaks.
      if ((error as NodeJS.ErrnoException).syscall) Object.assign(error as object, { path: this.#target(entry) })
      throw error
    } finally {
      await file.close()
    }
  }

  async finish(skipped: readonly number[]): Promise<void> {
    const { overwrite, onPlaced } = this.#options
    for (const entry of skipped) await rm(this.#part(entry), { force: true })
    const wanted = new Set(this.#entries.map((_, entry) => this.#part(entry)))
    for (const thing of this.#things()) await removeOthers(thing.part, wanted)
    for (const [entry, { dir, x, modified }] of this.#entries.entries()) {
      if (skipped.includes(entry)) continue
      const path = this.#part(entry)
      if (dir) await mkdir(path, { recursive: true, mode: PRIVATE_FOLDER })
      else await chmod(path, this.#modeOf(x === true))
      if (modified !== undefined) await utimes(path, modified / 1000, modified / 1000)
    }
    for (const { part, path, isFolder } of this.#things()) {
      // Everything of it may have been skipped.
      if (!(await lstat(part).catch(() => undefined))) continue
      if (isFolder) await this.#openFolders(part)
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
    const total = this.#entries.reduce((sum, { size = 0 }) => sum + size, 0)
    const isSmall = !this.#isFinished && total < KEPT_FROM_BYTES
    return [lockPath(this.#options.directory, this.#token), ...(isSmall ? this.#things().map(({ part }) => part) : [])]
  }

  #target(entry: number): string {
    return join(this.#options.directory, this.paths[entry] ?? '')
  }

  #part(entry: number): string {
    return join(this.#options.directory, partPath(this.paths[entry] ?? '', this.#token))
  }

  /** Things that a person chose, one after the other: where each is for now, and in the end. */
  #things(): { part: string; path: string; isFolder: boolean }[] {
    const { directory } = this.#options
    const things = new Map<string, { part: string; path: string; isFolder: boolean }>()
    for (const [entry, path] of this.paths.entries()) {
      const [thing = path, ...below] = path.split(/[/\\]/)
      const isFolder = below.length > 0 || this.#entries[entry]?.dir === true
      things.set(thing, { part: join(directory, partPath(thing, this.#token)), path: join(directory, thing), isFolder })
    }
    return [...things.values()]
  }

  /** The file of an entry, in folders that nobody else can enter. A link in its place is no file. */
  async #create(entry: number): Promise<FileHandle> {
    const path = this.#part(entry)
    const [, ...below] = (this.paths[entry] ?? '').split(/[/\\]/)
    if (below.length > 0) await mkdir(dirname(path), { recursive: true, mode: PRIVATE_FOLDER })
    const flags = constants.O_WRONLY | constants.O_NOFOLLOW
    try {
      return await open(path, flags | constants.O_CREAT | constants.O_EXCL, PRIVATE_FILE)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      return open(path, flags)
    }
  }

  #modeOf(isExecutable: boolean): number {
    const mode = this.#options.mode ?? PRIVATE_FILE
    return isExecutable ? mode | ((mode & 0o444) >> 2) : mode
  }

  /** Gives the folders of a thing the mode that was asked for, from the inside. */
  async #openFolders(folder: string): Promise<void> {
    for (const each of await readdir(folder, { withFileTypes: true })) {
      if (each.isDirectory()) await this.#openFolders(join(folder, each.name))
    }
    await chmod(folder, this.#modeOf(true) | PRIVATE_FOLDER)
  }
}

/** Reports whether everything at and below a path is this user's, and is a file or a folder. */
async function isOwn(path: string): Promise<boolean> {
  const info = await lstat(path).catch(() => undefined)
  if (!info || (process.getuid && info.uid !== process.getuid())) return false
  if (info.isFile()) return info.nlink === 1
  if (!info.isDirectory()) return false
  for (const name of await readdir(path)) if (!(await isOwn(join(path, name)))) return false
  return true
}

/** Removes what an earlier list of the same thing had. */
async function removeOthers(path: string, wanted: ReadonlySet<string>): Promise<void> {
  const info = await lstat(path).catch(() => undefined)
  if (!info || wanted.has(path)) return
  if (!info.isDirectory()) return rm(path)
  for (const name of await readdir(path)) await removeOthers(join(path, name), wanted)
}

/** Gives a thing its final name, in the place of nothing. Throws EEXIST where something has it. */
async function place(part: string, path: string, isFolder: boolean): Promise<void> {
  if (!isFolder) {
    // Unlike a rename, a link never takes the place of anything. Not every file system has links.
    const linked = await link(part, path).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST') throw error
        return false
      },
    )
    if (linked) return unlink(part)
  }
  for (let tries = 1; ; tries++) {
    if (await lstat(path).catch(() => undefined))
      throw Object.assign(new Error('it is there already'), { code: 'EEXIST' })
    try {
      return await rename(part, path)
    } catch (error) {
      const isHeld = ['EACCES', 'EPERM', 'EBUSY'].includes((error as NodeJS.ErrnoException).code ?? '')
      if (!isHeld || tries === RENAME_TRIES) throw error
      await setTimeout(RENAME_PAUSE_MS)
    }
  }
}

function lockPath(directory: string, token: string): string {
  return join(directory, `.${symbolsOf(token)}.lock`)
}

/** Takes a lock for this process, also from one that is gone. Throws EEXIST where another process lives that has it. */
async function lock(path: string): Promise<void> {
  if (!(await isLocked(path))) await rm(path, { force: true })
  const file = await open(path, 'wx', PRIVATE_FILE)
  await file.writeFile(String(process.pid))
  await file.close()
}

async function isLocked(path: string): Promise<boolean> {
  const text = await readFile(path, 'utf8').catch(() => '')
  const pid = Number(text)
  if (!Number.isSafeInteger(pid) || pid < 1) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

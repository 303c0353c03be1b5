import { isUtf8 } from 'node:buffer'
import { closeSync, constants, fstatSync, type Stats } from 'node:fs'
import { access, readdir, realpath } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { ENTRIES_MAX, type List, mapped, PackedList, PairingError, type Source } from '../client/index.ts'
import { lookAt, openHere, readFile } from './open-files.ts'

const EXECUTABLE = 0o111
const OWNER_READS = 0o400
const ALL_READ = 0o444
const LOOKED_AT_ONCE = 64

/** Something below a chosen folder that is not sent, and why. */
export interface LeftOut {
  readonly path: string
  readonly why: 'link' | 'special' | 'name' | 'unreadable'
}

/**
 * A file, or a folder with all that is in it, as sources of one offer: files, and folders that are empty. Symbolic links,
 * devices, sockets and names that are not UTF-8 are left out, and told. Undefined for what is neither a file nor a folder.
 * Of more files than an offer may have, it gives a few too many.
 * Throws what the file system throws for `path` itself. The last segment of `called` is its name.
 */
export async function pathSources(
  path: string,
  called = path,
): Promise<{ sources: List<Source>; leftOut: List<LeftOut> } | undefined> {
  const found = new PathSources()
  return (await found.add(path, basename(resolve(called)))) ? found : undefined
}

/** A regular file, at a path without links. It is read as it is when the transfer begins, and skipped when it changes meanwhile. */
export function fileSource(path: string, name: string, info: Stats, key = path): Source {
  const [, , size, modified, kind] = storedOf(0, '', info)
  return sourceOf({ path: key, name }, [0, '', size, modified, kind], path)
}

/** Files and folders as the sources of one offer, see `pathSources`. There may be 100,000: of each only bytes are held. */
export class PathSources {
  readonly leftOut = new PackedList<LeftOut>()
  readonly #chosen = new PackedList<Chosen>()
  readonly #found = new PackedList<Stored>()
  readonly sources = mapped(this.#found, (stored): Source => sourceOf(this.#chosen.at(stored[0]), stored))

  /** Adds what is at a path under a name that nothing else has. Resolves with false for what is neither file nor folder. */
  async add(path: string, name: string): Promise<boolean> {
    const info = await lookAt(path)
    if (!info.isFile() && !info.isDirectory()) return false
    const real = await realpath(path)
    // Of the folder itself, a failure is one; below it, something is left out.
    if (info.isDirectory()) await readdir(real)
    const chosen = this.#chosen.length
    // A later offer is of the same folder, whatever is in it by then.
    this.#chosen.push({ path: real, name })
    if (info.isFile()) this.#found.push(storedOf(chosen, '', info))
    else await this.#walk(chosen, real, '', info)
    return true
  }

  async #walk(chosen: number, real: string, below: string, info: Stats): Promise<void> {
    const folder = join(real, below)
    // As texts of one byte a character: there may be as many names in one folder.
    const names = await readdir(folder, 'latin1').catch(() => undefined)
    if (!names) return void this.leftOut.push({ path: folder, why: 'unreadable' })
    const before = this.#found.length
    for await (const { isText, path, child, at, isClosed } of looked(folder, names.sort(bytewise))) {
      // Of a whole disk there would be no end.
      if (this.#found.length > ENTRIES_MAX) return
      const inside = `${below}/${child}`
      if (!isText) this.leftOut.push({ path, why: 'name' })
      else if (!at || isClosed) this.leftOut.push({ path, why: 'unreadable' })
      else if (at.isDirectory()) await this.#walk(chosen, real, inside, at)
      else if (at.isFile()) this.#found.push(storedOf(chosen, inside, at))
      else this.leftOut.push({ path, why: at.isSymbolicLink() ? 'link' : 'special' })
    }
    if (this.#found.length === before) this.#found.push(storedOf(chosen, below, info))
  }
}

/** A file or folder that a person chose: where it is, and its name. */
interface Chosen {
  readonly path: string
  readonly name: string
}

/** Something in what was chosen: which of those, where in it, its size, its time, and its kind. */
type Stored = readonly [chosen: number, below: string, size: number, modified: number, kind: 'dir' | 'x' | '']

function storedOf(chosen: number, below: string, info: Stats): Stored {
  const kind = info.isDirectory() ? 'dir' : info.mode & EXECUTABLE ? 'x' : ''
  return [chosen, below, info.size, Math.floor(info.mtimeMs), kind]
}

function sourceOf(
  { path: key, name: thing }: Chosen = { path: '', name: '' },
  [, below, size, modified, kind]: Stored,
  path?: string,
): Source {
  const name = thing + below
  // A list makes a source each time somebody looks at it.
  const where = () => path ?? join(key, below)
  if (kind === 'dir') return { name, key, dir: true, modified, open: nothing }
  return {
    name,
    key,
    size,
    modified,
    x: kind === 'x' || undefined,
    stat: async () => (await lookAt(where()).catch(() => ({ size }))).size,
    open: (offset) => bytesOf(where(), offset ?? 0),
  }
}

function bytewise(a: string, b: string): number {
  return a < b ? -1 : 1
}

/** The names in a folder, given as their bytes, and what each is. They are looked at many at a time. */
async function* looked(folder: string, names: readonly string[]) {
  for (let from = 0; from < names.length; from += LOOKED_AT_ONCE) {
    const some = names.slice(from, from + LOOKED_AT_ONCE).map(async (bytes) => {
      const raw = Buffer.from(bytes, 'latin1')
      const child = raw.toString()
      const path = join(folder, child)
      const at = await lookAt(path).catch(() => undefined)
      return { isText: isUtf8(raw), child, path, at, isClosed: at?.isFile() && !(await isReadable(path, at)) }
    })
    yield* await Promise.all(some)
  }
}

/** Reports whether this user may read a file. Of nearly all the mode says so, and the system is not asked. */
async function isReadable(path: string, { mode, uid }: Stats): Promise<boolean> {
  const bits = uid === process.getuid?.() ? OWNER_READS : ALL_READ
  if ((mode & bits) === bits) return true
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  )
}

/** A file from `offset` to its size as it is now. Throws PairingError `source_changed` when it is another file at the end. */
async function* bytesOf(path: string, offset: number): AsyncGenerator<Uint8Array> {
  // A pipe in its place would be waited for.
  const file = await openHere(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const before = fstatSync(file)
    if (!before.isFile()) throw new PairingError('source_changed')
    yield* readFile(file, offset, before.size)
    const after = fstatSync(file)
    if (after.size !== before.size || after.mtimeMs !== before.mtimeMs) throw new PairingError('source_changed')
  } finally {
    // Nothing was written, so there is nothing to wait for.
    closeSync(file)
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

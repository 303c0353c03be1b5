import { constants, fstatSync, type Stats } from 'node:fs'
import { readdir, realpath } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { ENTRIES_MAX, PairingError, type Source } from '../client/index.ts'
import { closeFile, lookAt, openHere, readFile } from './open-files.ts'

const EXECUTABLE = 0o111
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
): Promise<{ sources: Source[]; leftOut: LeftOut[] } | undefined> {
  const leftOut: LeftOut[] = []
  const info = await lookAt(path)
  const name = basename(resolve(called))
  if (!info.isFile() && !info.isDirectory()) return undefined
  const real = await realpath(path)
  if (info.isFile()) return { sources: [fileSource(real, name, info)], leftOut }
  // Of the folder itself, a failure is one; below it, something is left out.
  await readdir(real)
  const sources: Source[] = []
  // A later offer is of the same folder, whatever is in it by then.
  await walk({ key: real, sources, leftOut }, real, name, info)
  return { sources, leftOut }
}

/** A regular file, at a path without links. It is read as it is when the transfer begins, and skipped when it changes meanwhile. */
export function fileSource(path: string, name: string, info: Stats, key = path): Source {
  // Of the rest of it nothing is kept: there may be 100,000.
  const { size } = info
  return {
    name,
    key,
    size,
    modified: Math.floor(info.mtimeMs),
    x: info.mode & EXECUTABLE ? true : undefined,
    stat: async () => (await lookAt(path).catch(() => ({ size }))).size,
    open: (offset) => bytesOf(path, offset ?? 0),
  }
}

async function walk(found: Found, folder: string, name: string, info: Stats): Promise<void> {
  const { key, sources, leftOut } = found
  const names = await readdir(folder, { encoding: 'buffer' }).catch(() => undefined)
  if (!names) return void leftOut.push({ path: folder, why: 'unreadable' })
  const before = sources.length
  for await (const { raw, path, child, at } of looked(folder, names.sort(Buffer.compare))) {
    // Of a whole disk there would be no end.
    if (sources.length > ENTRIES_MAX) return
    if (!Buffer.from(child).equals(raw)) leftOut.push({ path, why: 'name' })
    else if (!at) leftOut.push({ path, why: 'unreadable' })
    else if (at.isDirectory()) await walk(found, path, `${name}/${child}`, at)
    else if (at.isFile()) sources.push(fileSource(path, `${name}/${child}`, at, key))
    else leftOut.push({ path, why: at.isSymbolicLink() ? 'link' : 'special' })
  }
  const isEmpty = sources.length === before
  if (isEmpty) sources.push({ name, key, dir: true, modified: Math.floor(info.mtimeMs), open: nothing })
}

/** All that was found in a chosen folder so far. Its sources have one key. */
interface Found {
  readonly key: string
  readonly sources: Source[]
  readonly leftOut: LeftOut[]
}

/** The names in a folder, and what each is. They are looked at many at a time. */
async function* looked(folder: string, names: readonly Buffer[]) {
  for (let from = 0; from < names.length; from += LOOKED_AT_ONCE) {
    const some = names.slice(from, from + LOOKED_AT_ONCE).map(async (raw) => {
      const child = raw.toString()
      const path = join(folder, child)
      return { raw, child, path, at: await lookAt(path).catch(() => undefined) }
    })
    yield* await Promise.all(some)
  }
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
    await closeFile(file)
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

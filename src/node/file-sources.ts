import { constants, type Stats } from 'node:fs'
import { lstat, open, readdir } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { PairingError, type Source } from '../client/index.ts'

const READ_BYTES = 256 * 1024
const EXECUTABLE = 0o111

/** Something below a chosen folder that is not sent, and why. */
export interface LeftOut {
  readonly path: string
  readonly why: 'link' | 'special' | 'name' | 'unreadable'
}

/**
 * A file, or a folder with all that is in it, as sources of one offer: files, and folders that are empty. Symbolic links,
 * devices, sockets and names that are not UTF-8 are left out, and told. Undefined for what is neither a file nor a folder.
 * Throws what the file system throws for `path` itself. The last segment of `called` is its name.
 */
export async function pathSources(
  path: string,
  called = path,
): Promise<{ sources: Source[]; leftOut: LeftOut[] } | undefined> {
  const leftOut: LeftOut[] = []
  const info = await lstat(path)
  const name = basename(resolve(called))
  if (info.isFile()) return { sources: [fileSource(path, name, info)], leftOut }
  if (!info.isDirectory()) return undefined
  // Of the folder itself, a failure is one; below it, something is left out.
  await readdir(path)
  const sources: Source[] = []
  await walk(path, name, info, sources, leftOut)
  // A later offer is of the same folder, whatever is in it by then.
  return { sources: sources.map((source) => ({ ...source, key: resolve(path) })), leftOut }
}

/** A regular file. It is read as it is when the transfer begins, and skipped when it changes meanwhile. */
export function fileSource(path: string, name: string, info: Stats): Source {
  const key = resolve(path)
  return {
    name,
    key,
    size: info.size,
    modified: Math.floor(info.mtimeMs),
    ...(info.mode & EXECUTABLE ? { x: true as const } : {}),
    stat: async () => (await lstat(path).catch(() => info)).size,
    open: (offset) => bytesOf(path, offset ?? 0),
  }
}

async function walk(folder: string, name: string, info: Stats, sources: Source[], leftOut: LeftOut[]): Promise<void> {
  const names = await readdir(folder, { encoding: 'buffer' }).catch(() => undefined)
  if (!names) return void leftOut.push({ path: folder, why: 'unreadable' })
  const before = sources.length
  for (const raw of names.sort(Buffer.compare)) {
    const child = raw.toString()
    const path = join(folder, child)
    if (!Buffer.from(child).equals(raw)) {
      leftOut.push({ path, why: 'name' })
      continue
    }
    const at = await lstat(path).catch(() => undefined)
    if (!at) leftOut.push({ path, why: 'unreadable' })
    else if (at.isDirectory()) await walk(path, `${name}/${child}`, at, sources, leftOut)
    else if (at.isFile()) sources.push(fileSource(path, `${name}/${child}`, at))
    else leftOut.push({ path, why: at.isSymbolicLink() ? 'link' : 'special' })
  }
  const isEmpty = sources.length === before
  if (isEmpty) sources.push({ name, dir: true, modified: Math.floor(info.mtimeMs), open: nothing })
}

/** A file from `offset` to its size as it is now. Throws PairingError `source_changed` when it is another file at the end. */
async function* bytesOf(path: string, offset: number): AsyncGenerator<Uint8Array> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const before = await file.stat()
    for (let at = offset; at < before.size; ) {
      const buffer = new Uint8Array(Math.min(READ_BYTES, before.size - at))
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at)
      if (bytesRead === 0) break
      at += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
    const after = await file.stat()
    if (after.size !== before.size || after.mtimeMs !== before.mtimeMs) throw new PairingError('source_changed')
  } finally {
    await file.close()
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

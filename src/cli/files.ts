import { createReadStream } from 'node:fs'
import { type FileHandle, link, lstat, open, rename, stat, unlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { cleanText } from '../client/clean.ts'
import type { ItemInfo, Source } from '../client/index.ts'
import { CliError } from './exit.ts'

const READ_BYTES = 256 * 1024
/** Names are cut to this, so that a suffix still fits into the 255 bytes most file systems allow. */
const NAME_MAX_BYTES = 200

/** A file as a source. Throws CliError for what is not a readable regular file. */
export async function fileSource(path: string): Promise<Source> {
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new CliError(`Cannot read ${cleanText(path)}: ${reasonOf(error)}.`, 'usage')
  })
  if (info.isDirectory()) {
    throw new CliError(
      `${cleanText(path)} is a directory. Send it as an archive: tar c DIRECTORY | pairlay send -`,
      'usage',
    )
  }
  if (!info.isFile()) throw new CliError(`${cleanText(path)} is not a file. Pipe it: pairlay send - < …`, 'usage')
  const handle = await open(path).catch((error: NodeJS.ErrnoException) => {
    throw new CliError(`Cannot read ${cleanText(path)}: ${reasonOf(error)}.`, 'usage')
  })
  await handle.close()
  return { name: basename(path), size: info.size, open: () => createReadStream(path, { highWaterMark: READ_BYTES }) }
}

/** Standard input as a source: its length is not known, and it can be read once. */
export function stdinSource(): Source {
  return { name: 'stdin', once: true, open: () => process.stdin }
}

/**
 * A name from a peer as one that is safe to create in a directory: no path, no hidden file, nothing a shell, a terminal
 * or another operating system trips over.
 */
export function safeName(name: string): string {
  const last = name.split(/[/\\]/).at(-1) ?? ''
  const clean = cleanText(last)
    .replaceAll(/[<>:"|?*]/g, '_')
    .replace(/^[.\s-]+/, '_')
    .replace(/[.\s]+$/, '')
  let short = clean
  while (Buffer.byteLength(short) > NAME_MAX_BYTES) short = [...short].slice(0, -1).join('')
  if (short === '' || short === '_') return 'received'
  return /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(short) ? `_${short}` : short
}

/** Safe names for all items of a transfer, all different. */
export function safeNames(items: readonly ItemInfo[]): string[] {
  const taken = new Set<string>()
  return items.map(({ name }) => {
    const safe = safeName(name)
    let unique = safe
    for (let n = 2; taken.has(unique.toLowerCase()); n++) unique = `${safe} (${n})`
    taken.add(unique.toLowerCase())
    return unique
  })
}

export async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}

export async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  )
}

/** A file under its temporary name. It gets its own name in `commit`, and is gone after `discard`. */
export class PartFile {
  readonly path: string
  readonly #part: string
  readonly #handle: FileHandle
  #open = true

  private constructor(path: string, part: string, handle: FileHandle) {
    this.path = path
    this.#part = part
    this.#handle = handle
  }

  /** Creates `path`.part. Throws CliError when it cannot, or when `path` is there already. */
  static async create(path: string): Promise<PartFile> {
    if (await exists(path)) throw new CliError(`${cleanText(path)} is there already, and is not overwritten.`)
    const part = `${path}.part`
    const handle = await open(part, 'wx').catch((error: NodeJS.ErrnoException) => {
      const advice =
        error.code === 'EEXIST' ? 'it is there already; remove it, or save elsewhere with -o' : reasonOf(error)
      throw new CliError(`Cannot create ${cleanText(part)}: ${advice}.`)
    })
    return new PartFile(path, part, handle)
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#handle.appendFile(bytes).catch((error: NodeJS.ErrnoException) => {
      throw new CliError(`Cannot write ${cleanText(this.path)}: ${reasonOf(error)}.`)
    })
  }

  async commit(): Promise<void> {
    await this.#close()
    try {
      // Unlike a rename, a link never takes the place of something that came meanwhile.
      await link(this.#part, this.path)
      await unlink(this.#part)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EEXIST') throw new CliError(`${cleanText(this.path)} is there already, and is not overwritten.`)
      await rename(this.#part, this.path)
    }
  }

  async discard(): Promise<void> {
    await this.#close()
    await unlink(this.#part).catch(() => {
      // Committed or removed by somebody else: gone is what it should be.
    })
  }

  async #close(): Promise<void> {
    if (!this.#open) return
    this.#open = false
    await this.#handle.close()
  }
}

export function pathIn(directory: string | undefined, name: string): string {
  return directory === undefined ? name : join(directory, name)
}

/** An operating system's error in words, without the path that the caller already names. */
export function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOENT':
      return 'there is no such file or directory'
    case 'EACCES':
    case 'EPERM':
      return 'permission denied'
    case 'ENOSPC':
    case 'EDQUOT':
      return 'the disk is full'
    case 'EROFS':
      return 'the file system is read-only'
    default:
      return error.code ?? 'unknown error'
  }
}

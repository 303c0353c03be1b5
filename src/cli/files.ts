import { createReadStream, rmSync } from 'node:fs'
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
  short = short.replace(/[.\s]+$/, '')
  if (short === '' || short === '_') return 'received'
  return /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³])\s*(\.|$)/i.test(short) ? `_${short}` : short
}

/** Safe names for all items of a transfer: all different, and none is what another is called as long as it is partial. */
export function safeNames(items: readonly ItemInfo[]): string[] {
  const taken = new Set<string>()
  return items.map(({ name }) => {
    const safe = safeName(name)
    let both = namesOf(safe)
    for (let n = 2; both.some((each) => taken.has(each.toLowerCase())); n++) both = namesOf(`${safe} (${n})`)
    for (const each of both) taken.add(each.toLowerCase())
    return both[0]
  })
}

/** A file's own name and its temporary one. */
function namesOf(path: string): [own: string, part: string] {
  return [path, `${path}.part`]
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

/** The temporary files of this process. None outlives it when it ends by itself, whatever it was waiting for. */
const parts = new Set<string>()
process.on('exit', () => {
  for (const part of parts) rmSync(part, { force: true })
})

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

  /**
   * Creates `path`.part, or `path`.1.part and so on where one is left of a run that could not clean up. Throws CliError when
   * it cannot, or when `path` is there already.
   */
  static async create(path: string): Promise<PartFile> {
    if (await exists(path)) throw taken(path)
    let [, part] = namesOf(path)
    for (let n = 1; ; n++) {
      try {
        const handle = await open(part, 'wx')
        parts.add(part)
        return new PartFile(path, part, handle)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code !== 'EEXIST') {
          throw new CliError(`Cannot create ${cleanText(part)}: ${reasonOf(error as NodeJS.ErrnoException)}.`)
        }
        part = namesOf(`${path}.${n}`)[1]
      }
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#handle.appendFile(bytes).catch((error: NodeJS.ErrnoException) => {
      throw new CliError(`Cannot write ${cleanText(this.path)}: ${reasonOf(error)}.`)
    })
  }

  /** Gives the file its own name. Throws CliError when it cannot, or when something came meanwhile that has this name. */
  async commit(): Promise<void> {
    try {
      await this.#close()
      // Unlike a rename, a link never takes the place of anything. Not every file system has links.
      await link(this.#part, this.path).catch(async (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST' || (await exists(this.path))) throw taken(this.path)
        await rename(this.#part, this.path)
      })
    } catch (error) {
      if (error instanceof CliError) throw error
      throw new CliError(`Cannot save ${cleanText(this.path)}: ${reasonOf(error as NodeJS.ErrnoException)}.`)
    }
    await this.discard()
  }

  async discard(): Promise<void> {
    await this.#close().catch(() => {
      // What could not be written is not wanted either.
    })
    await unlink(this.#part).catch(() => {
      // Committed or removed by somebody else: gone is what it should be.
    })
    parts.delete(this.#part)
  }

  async #close(): Promise<void> {
    if (!this.#open) return
    this.#open = false
    await this.#handle.close()
  }
}

function taken(path: string): CliError {
  return new CliError(`${cleanText(path)} is there already, and is not overwritten.`)
}

export function pathIn(directory: string | undefined, name: string): string {
  return directory === undefined ? name : join(directory, name)
}

/** An operating system's error in words, without the path that the caller already names. */
export function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'there is no such file or directory'
    case 'EACCES':
    case 'EPERM':
      return 'permission denied'
    case 'ENOSPC':
    case 'EDQUOT':
      return 'the disk is full'
    case 'EFBIG':
      return 'the file is too large for this disk'
    case 'EROFS':
      return 'the file system is read-only'
    default:
      return error.code ?? 'unknown error'
  }
}

import { createReadStream } from 'node:fs'
import { lstat, open, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { encodeHeader, ITEMS_MAX, PairingError, type Source, TRANSFER_HEADER_MAX_BYTES } from '../client/index.ts'
import { CliError } from './exit.ts'
import { shown } from './shown.ts'

const READ_BYTES = 256 * 1024

/** Files as sources. Throws CliError for what is no readable regular file, and for more than one transfer takes. */
export async function fileSources(paths: readonly string[]): Promise<Source[]> {
  const asArchive = 'Send them as an archive: tar c FILES | pairlay send -'
  if (paths.length > ITEMS_MAX) {
    throw new CliError(`These are ${paths.length} files, and one transfer takes ${ITEMS_MAX}. ${asArchive}`, 'usage')
  }
  const sources = await Promise.all(paths.map(fileSource))
  try {
    encodeHeader(sources)
    return sources
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    const bytes = Buffer.byteLength(JSON.stringify({ items: sources }))
    const problem =
      bytes > TRANSFER_HEADER_MAX_BYTES
        ? `The list of these files takes ${bytes} bytes, and one transfer has ${TRANSFER_HEADER_MAX_BYTES} for it.`
        : 'These files cannot be sent together.'
    throw new CliError(`${problem} ${asArchive}`, 'usage')
  }
}

/** A file as a source. Throws CliError for what is not a readable regular file. */
export async function fileSource(path: string): Promise<Source> {
  const unreadable = (error: NodeJS.ErrnoException) => {
    // Node gives the bytes of an argument that are not UTF-8 as this character, and cannot say any more which they were.
    const lost = path.includes('\ufffd') && /^ENO/.test(error.code ?? '')
    const reason = lost ? 'its name is not UTF-8. Send what is in it: pairlay send - < FILE' : `${reasonOf(error)}.`
    throw new CliError(`Cannot read ${shown(path)}: ${reason}`, 'usage')
  }
  const info = await stat(path).catch(unreadable)
  if (info.isDirectory()) {
    throw new CliError(
      `${shown(path)} is a directory. Send it as an archive: tar c DIRECTORY | pairlay send -`,
      'usage',
    )
  }
  const piped = (is: string) => new CliError(`${shown(path)} ${is}. Pipe it: pairlay send - < …`, 'usage')
  if (!info.isFile()) throw piped('is not a file')
  const handle = await open(path).catch(unreadable)
  // As files in /proc are.
  const isUnsized = info.size === 0 && (await handle.read(Buffer.alloc(1)).catch(unreadable)).bytesRead > 0
  await handle.close()
  if (isUnsized) throw piped('has no size, and is not empty')
  return {
    name: basename(path),
    size: info.size,
    // A code may wait for a quarter of an hour: a log has grown meanwhile. What is no file any more fails when it is opened.
    stat: async () => (await stat(path).catch(() => info)).size,
    open: (size = info.size) => announced(path, size),
  }
}

/** So many bytes from the beginning of a file: it may have grown since it was announced. Throws PairingError. */
async function* announced(path: string, size: number): AsyncGenerator<Uint8Array> {
  let bytes = 0
  try {
    const pieces: AsyncIterable<Uint8Array> = createReadStream(path, { highWaterMark: READ_BYTES })
    for await (const piece of pieces) {
      const wanted = piece.subarray(0, size - bytes)
      bytes += wanted.length
      if (wanted.length > 0) yield wanted
      if (bytes === size) break
    }
  } catch (error) {
    const detail = `Cannot read ${shown(path)}: ${reasonOf(error as NodeJS.ErrnoException)}.`
    throw new PairingError('source_failed', { detail, cause: error })
  }
  if (bytes < size) throw new PairingError('source_changed', { detail: `It was ${shown(path)}.` })
}

export async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined
}

export async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or directory',
  ENOTDIR: 'there is no such file or directory',
  EISDIR: 'it is a directory',
  ELOOP: 'its links lead in a circle',
  EMFILE: 'too many files are open',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk is full',
  EFBIG: 'the file is too large for this disk',
  ENAMETOOLONG: 'the name is too long for this disk',
  EROFS: 'the file system is read-only',
}

/** The error of what could not be written, which the sender is told of where it was for want of room. */
export function unwritten(doing: string, error: NodeJS.ErrnoException): CliError {
  const code = /^(ENOSPC|EDQUOT|EFBIG)$/.test(error.code ?? '') ? 'no_space' : 'failed'
  return new CliError(`Cannot ${doing}: ${reasonOf(error)}.`, 'failed', code)
}

/** An operating system's error in words, without the path that the caller already names. */
export function reasonOf({ code = 'unknown error' }: NodeJS.ErrnoException): string {
  return REASONS[code] ?? code
}

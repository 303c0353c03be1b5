import { close, fsync, ftruncate, lstat, open, read, readlinkSync, type Stats, write } from 'node:fs'
import { promisify } from 'node:util'

/** Files by their descriptors, which for many small ones cost half of what handles do. Whoever opens one closes it. */

export const closeFile = promisify(close)
/** `lstat`, whose sibling with promises keeps a buffer of each call for long. */
export const lookAt: (path: string) => Promise<Stats> = promisify(lstat)
export const flush = promisify(fsync)
export const truncateFile = promisify(ftruncate)
const openFile = promisify(open)
const readFrom = promisify(read)
const writeTo = promisify(write)

/**
 * Opens the file at a path that has no link in it, as `realpath` gives it. Where somebody else has put one since into a
 * folder on the way, throws ELOOP. Linux tells; elsewhere only a link in the place of the file itself is known by its flags.
 */
export async function openHere(path: string, flags: number, mode?: number): Promise<number> {
  const file = await openFile(path, flags, mode)
  const where = placeOf(file)
  if (where === undefined || where === path) return file
  await closeFile(file)
  throw Object.assign(new Error('a link was put in the way'), { code: 'ELOOP', syscall: 'open', path })
}

/** Reads a file from one place to another, or to its end, in pieces. Each is there until the next is asked for. */
export async function* readFile(
  file: number,
  from: number,
  to: number,
  pieceBytes = 262_144,
): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(Math.min(pieceBytes, Math.max(0, to - from)))
  let filled = 0
  for (let at = from; at < to; ) {
    const { bytesRead } = await readFrom(file, buffer, filled, Math.min(buffer.length - filled, to - at), at)
    at += bytesRead
    filled += bytesRead
    // A file of one piece is one piece, however it was read.
    if (bytesRead > 0 && filled < buffer.length && at < to) continue
    if (filled > 0) yield buffer.subarray(0, filled)
    if (bytesRead === 0) return
    filled = 0
  }
}

/** Writes all of a piece at a place. */
export async function writeFile(file: number, piece: Uint8Array, at: number): Promise<void> {
  for (let written = 0; written < piece.length; ) {
    const { bytesWritten } = await writeTo(file, piece, written, piece.length - written, at + written)
    written += bytesWritten
  }
}

/** Milliseconds since 1970 as the time of a file. Of times before that, Node takes none but those in a text. */
export function timeOf(ms: number): string {
  return String(ms / 1000)
}

/** The path of an open file, where the system tells it. */
function placeOf(file: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${file}`)
  } catch {
    return undefined
  }
}

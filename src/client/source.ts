import { cleanText } from './clean.ts'
import { bytesOf, isBlob, isStream, isWebStream, nameOf } from './data.ts'
import { PairingError } from './errors.ts'
import { type List, mapped } from './list.ts'
import { refusal } from './refusal.ts'
import { type Entry, encodeEntries } from './transfer/entries.ts'

const SIZED_AT_ONCE = 64

/** Something to send. It is opened once for each receiver; one that can be read `once` goes to a single receiver. */
export interface Source extends Omit<Entry, 'path'> {
  /** Its name, or a path with `/` below the folder that was chosen. */
  readonly name: string
  /** Set for one that can be opened once: it goes to a single device. */
  readonly once?: boolean
  /** Name for its owner, such as the absolute path of the file or folder that was chosen: by this a later offer of it is known. */
  readonly key?: string | undefined
  /** The size when the transfer begins, in place of `size`: a file may have grown since. */
  stat?(): Promise<number | undefined>
  /** The bytes from `offset` on, 0 unless it is given. A piece may be overwritten when the next is asked for. */
  open(offset?: number): AsyncIterable<Uint8Array>
}

/** The type of a text that is to be shown, not saved. */
export const TEXT_TYPE = 'application/x-pairlay-text'

/**
 * A Blob, or a File with its own name and time unless another name is given. In Node, `fs.openAsBlob(path)` gives one of a
 * file. Throws TypeError for anything else, and for a Blob without a name.
 */
export function blobSource(blob: Blob, name?: string): Source {
  if (!isBlob(blob)) throw refusal('blobSource takes a Blob or a File', blob)
  const { size, type, name: ownName, webkitRelativePath, lastModified } = blob as Blob & Partial<File>
  return {
    name: nameOf(name ?? (webkitRelativePath || ownName)),
    size,
    ...(type ? { type } : {}),
    ...(lastModified === undefined ? {} : { modified: lastModified }),
    open: (offset = 0) => piecesOf(blob.slice(offset).stream()),
  }
}

/** Bytes in memory. Throws TypeError for anything but an ArrayBuffer or a view of one. */
export function bytesSource(bytes: Uint8Array | ArrayBuffer | ArrayBufferView, name: string, type?: string): Source {
  const piece = bytesOf(bytes)
  if (!piece) throw refusal('bytesSource takes an ArrayBuffer or a view of one', bytes)
  return {
    name: nameOf(name),
    size: piece.length,
    ...(type === undefined ? {} : { type }),
    open: async function* (offset = 0) {
      yield piece.subarray(offset)
    },
  }
}

/**
 * A text, in UTF-8. With a name it is a file. Without one the other device is to show it, as `pairlay send --text` has it.
 * Throws TypeError for anything else.
 */
export function textSource(text: string, name?: string, type = name === undefined ? TEXT_TYPE : 'text/plain'): Source {
  if (typeof text !== 'string') throw refusal('textSource takes a text', text)
  return bytesSource(new TextEncoder().encode(text), name ?? 'text', type)
}

/**
 * Bytes as they come: a web stream, a Readable of Node, or any other async iterable of Uint8Array. It is read once, so that
 * it goes to one device in one offer, alone unless it is given a `size`. Throws TypeError for anything else, and for a
 * stream that was read, is being read, or gives texts.
 */
export function streamSource(
  stream: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>,
  name: string,
  type?: string,
): Source {
  if (!isStream(stream)) throw refusal('streamSource takes a stream or an async iterable of Uint8Array', stream)
  const { locked, destroyed, readableDidRead, readableEncoding, on } = stream as NodeReadable
  if (locked || destroyed || readableDidRead) throw new TypeError('streamSource takes a stream that nobody has read')
  if (readableEncoding) throw new TypeError('streamSource takes a stream of bytes: use no setEncoding')
  // A Readable that fails before it is read would end the process. Reading it throws what it failed with.
  on?.call(stream, 'error', () => {})
  let isRead = false
  const open = () => {
    // Read to its end, it would go on as nothing.
    if (isRead) throw new PairingError('already_sent')
    isRead = true
    return isWebStream(stream) ? piecesOf(stream) : stream
  }
  return { name: nameOf(name), ...(type === undefined ? {} : { type }), once: true, open }
}

/** The sources with their sizes as they are now, looked at many at a time. Throws PairingError `source_failed`. */
export async function allSized(sources: List<Source>): Promise<List<Source>> {
  // Whoever gave an array may go on with it.
  const all: List<Source> = Array.isArray(sources) ? [...sources] : sources
  const sizes = new Map<number, number | undefined>()
  const look = async (index: number) => {
    const source = all.at(index)
    if (!source?.stat) return
    try {
      const size = await source.stat()
      if (size !== source.size) sizes.set(index, size)
    } catch (error) {
      throw failed('source_failed', source, error)
    }
  }
  for (let from = 0; from < all.length; from += SIZED_AT_ONCE) {
    const some = Math.min(SIZED_AT_ONCE, all.length - from)
    await Promise.all(Array.from({ length: some }, (_, n) => look(from + n)))
  }
  if (sizes.size === 0) return all
  return mapped(all, (source, index) => {
    const isSame = !sizes.has(index)
    return isSame ? source : { ...source, size: sizes.get(index), open: (offset) => source.open(offset) }
  })
}

/** Reports whether a source can go to a single device. */
export function hasOnce(sources: Iterable<Source>): boolean {
  for (const { once } of sources) if (once) return true
  return false
}

/** Members of streams of Node, beside those of the web. */
interface NodeReadable extends Partial<ReadableStream> {
  readonly destroyed?: boolean
  readonly readableDidRead?: boolean
  readonly readableEncoding?: string | null
  readonly on?: (event: 'error', listener: () => void) => void
}

/** A web stream's pieces. Not every browser can iterate a stream itself. */
export async function* piecesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } finally {
    await reader.cancel()
  }
}

/**
 * A source's bytes from `offset` to `size`, no more and no less. Throws PairingError `source_changed` and `source_failed`.
 */
export async function* piecesOfSource(
  source: Source,
  size: number | undefined,
  offset = 0,
): AsyncGenerator<Uint8Array> {
  if (offset === size) return
  let bytes = offset
  try {
    for await (const piece of source.open(offset)) {
      if (!(piece instanceof Uint8Array)) throw new TypeError('a source gives pieces of Uint8Array')
      bytes += piece.length
      if (size !== undefined && bytes > size) throw failed('source_changed', source)
      yield piece
    }
  } catch (error) {
    throw error instanceof PairingError ? error : failed('source_failed', source, error)
  }
  if (size !== undefined && bytes !== size) throw failed('source_changed', source)
}

/** The first so many bytes of a source. */
export async function* firstBytes(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  bytes: number,
): AsyncGenerator<Uint8Array> {
  let left = bytes
  for await (const piece of pieces) {
    yield piece.subarray(0, left)
    left -= Math.min(left, piece.length)
    if (left === 0) return
  }
}

/** The lines of an offer of these sources. Throws RangeError, with what to change, for what an offer cannot have. */
export function linesOf(sources: List<Source>): Uint8Array {
  return encodeEntries(mapped(sources, entryOf))
}

/** Returns the entry of a source. */
function entryOf({ name, size, type, modified, x, dir }: Source): Entry {
  return { path: name, size, type, modified, x, dir }
}

function failed(code: 'source_changed' | 'source_failed', { name }: Source, cause?: unknown): PairingError {
  return new PairingError(code, { detail: `It is ${cleanText(name)}.`, cause })
}

import { cleanText } from './clean.ts'
import { PairingError } from './errors.ts'
import { type Entry, encodeEntries } from './transfer/entries.ts'

/** Something to send. It is opened once for each receiver; one that can be read `once` goes to a single receiver. */
export interface Source extends Omit<Entry, 'path'> {
  /** Its name, or a path with `/` below the folder that was chosen. */
  readonly name: string
  readonly once?: boolean
  /** Name for its owner, such as the absolute path of the file or folder that was chosen: by this a later offer of it is known. */
  readonly key?: string | undefined
  /** The size when the transfer begins, in place of `size`: a file may have grown since. */
  stat?(): Promise<number | undefined>
  /** The bytes from `offset` on, 0 unless it is given. */
  open(offset?: number): AsyncIterable<Uint8Array>
}

/** A Blob or File. In Node, `fs.openAsBlob(path)` gives one of a file. */
export function blobSource(blob: Blob, name: string): Source {
  if (!(blob instanceof Blob)) throw new TypeError('blobSource takes a Blob or a File')
  return {
    name,
    size: blob.size,
    ...(blob.type ? { type: blob.type } : {}),
    open: (offset = 0) => piecesOf(blob.slice(offset).stream()),
  }
}

/** Bytes in memory. */
export function bytesSource(bytes: Uint8Array | ArrayBuffer | ArrayBufferView, name: string, type?: string): Source {
  const piece = bytesOf(bytes)
  return {
    name,
    size: piece.length,
    ...(type === undefined ? {} : { type }),
    open: async function* (offset = 0) {
      yield piece.subarray(offset)
    },
  }
}

/** A stream of unknown length. It has one receiver. */
export function streamSource(stream: ReadableStream<Uint8Array>, name: string, type?: string): Source {
  if (!(stream instanceof ReadableStream) || stream.locked) throw new TypeError('streamSource takes a ReadableStream')
  return { name, ...(type === undefined ? {} : { type }), once: true, open: () => piecesOf(stream) }
}

/** Throws TypeError for what cannot be sources. */
export function requireSources(sources: readonly Source[]): void {
  if (!Array.isArray(sources)) throw new TypeError('send takes an array of sources')
  for (const source of sources) {
    if (typeof source?.open !== 'function') throw new TypeError('a source has a name and open()')
  }
}

/** The source with its size as it is now. Throws PairingError `source_failed`. */
export async function sized(source: Source): Promise<Source> {
  if (!source.stat) return source
  try {
    const size = await source.stat()
    return { ...source, size, open: (offset) => source.open(offset) }
  } catch (error) {
    throw failed('source_failed', source, error)
  }
}

function bytesOf(bytes: Uint8Array | ArrayBuffer | ArrayBufferView): Uint8Array {
  // A buffer may be of another realm, so that its class says nothing. One that was handed on throws.
  const { buffer = bytes, byteOffset, byteLength } = Object(bytes)
  const all = byteLength >= 0 && new Uint8Array(buffer, byteOffset, byteLength)
  if (all && all.length === byteLength) return all
  throw new TypeError('bytesSource takes a buffer of bytes')
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
export function linesOf(sources: readonly Source[]): Uint8Array {
  return encodeEntries(sources.map(entryOf))
}

/** Returns the entry of a source. */
export function entryOf({ name, size, type, modified, x, dir }: Source): Entry {
  return { path: name, size, type, modified, x, dir }
}

function failed(code: 'source_changed' | 'source_failed', { name }: Source, cause?: unknown): PairingError {
  return new PairingError(code, { detail: `It is ${cleanText(name)}.`, cause })
}

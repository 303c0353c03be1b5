import { cleanText } from './clean.ts'
import { PairingError } from './errors.ts'
import type { ItemInfo } from './transfer/transfer.ts'

/** Something to send. It is opened once for each receiver; one that can be read `once` goes to a single receiver. */
export interface Source extends ItemInfo {
  readonly once?: boolean
  /** The size when the transfer begins, in place of `size`: a file may have grown since. */
  stat?(): Promise<number | undefined>
  /** The bytes. `size` is what was announced; reading no further sends a file that grows as it was. */
  open(size?: number): AsyncIterable<Uint8Array>
}

/** A Blob or File. In Node, `fs.openAsBlob(path)` gives one of a file. */
export function blobSource(blob: Blob, name: string): Source {
  if (!(blob instanceof Blob)) throw new TypeError('blobSource takes a Blob or a File')
  return { name, size: blob.size, ...(blob.type ? { type: blob.type } : {}), open: () => piecesOf(blob.stream()) }
}

/** Bytes in memory. */
export function bytesSource(bytes: Uint8Array | ArrayBuffer | ArrayBufferView, name: string, type?: string): Source {
  const piece = bytesOf(bytes)
  return {
    name,
    size: piece.length,
    ...(type === undefined ? {} : { type }),
    open: async function* () {
      yield piece
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
    return { ...source, size, open: (announced) => source.open(announced) }
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
async function* piecesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
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

/** A source's bytes, held to the size it announced. Throws PairingError `source_changed` and `source_failed`. */
export async function* exactly(source: Source): AsyncGenerator<Uint8Array> {
  let bytes = 0
  try {
    for await (const piece of source.open(source.size)) {
      if (!(piece instanceof Uint8Array)) throw new TypeError('a source gives pieces of Uint8Array')
      bytes += piece.length
      if (source.size !== undefined && bytes > source.size) throw failed('source_changed', source)
      yield piece
    }
  } catch (error) {
    throw error instanceof PairingError ? error : failed('source_failed', source, error)
  }
  if (source.size !== undefined && bytes !== source.size) throw failed('source_changed', source)
}

function failed(code: 'source_changed' | 'source_failed', { name }: Source, cause?: unknown): PairingError {
  return new PairingError(code, { detail: `It is ${cleanText(name)}.`, cause })
}

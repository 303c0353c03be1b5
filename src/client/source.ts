import { PairingError } from './errors.ts'
import type { ItemInfo } from './transfer.ts'

/** Something to send. It is opened once for each receiver; one that can be read `once` goes to a single receiver. */
export interface Source extends ItemInfo {
  readonly once?: boolean
  open(): AsyncIterable<Uint8Array>
}

/** A Blob or File. In Node, `fs.openAsBlob(path)` gives one of a file. */
export function blobSource(blob: Blob, name: string): Source {
  return { name, size: blob.size, ...(blob.type ? { type: blob.type } : {}), open: () => piecesOf(blob.stream()) }
}

/** Bytes in memory. */
export function bytesSource(bytes: Uint8Array, name: string, type?: string): Source {
  return {
    name,
    size: bytes.length,
    ...(type === undefined ? {} : { type }),
    open: async function* () {
      yield bytes
    },
  }
}

/** A stream of unknown length. It has one receiver. */
export function streamSource(stream: ReadableStream<Uint8Array>, name: string, type?: string): Source {
  return { name, ...(type === undefined ? {} : { type }), once: true, open: () => piecesOf(stream) }
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

/** A source's bytes, held to the size it announced. Throws PairingError `source_changed`. */
export async function* exactly(source: Source): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const piece of source.open()) {
    bytes += piece.length
    if (source.size !== undefined && bytes > source.size) throw new PairingError('source_changed')
    yield piece
  }
  if (source.size !== undefined && bytes !== source.size) throw new PairingError('source_changed')
}

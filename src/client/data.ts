/** Forms in which an app has bytes: told by what they can do, since one of another realm has another class. */

/** The bytes of a buffer or view, which may be of another realm: its class says nothing. One that was handed on has none. */
export function bytesOf(bytes: Uint8Array | ArrayBuffer | ArrayBufferView): Uint8Array | undefined {
  const { buffer = bytes, byteOffset, byteLength } = Object(bytes)
  try {
    const all = byteLength >= 0 && new Uint8Array(buffer, byteOffset, byteLength)
    return all && all.length === byteLength ? all : undefined
  } catch {
    return undefined
  }
}

export function isBlob(value: unknown): value is Blob {
  const { slice, stream } = Object(value)
  return typeof slice === 'function' && typeof stream === 'function'
}

export function isWebStream(value: unknown): value is ReadableStream<Uint8Array> {
  return typeof Object(value).getReader === 'function'
}

export function isStream(value: unknown): boolean {
  return isWebStream(value) || typeof Object(value)[Symbol.asyncIterator] === 'function'
}

/** A name of a source. Throws TypeError for what is none. */
export function nameOf(name: string | undefined): string {
  if (typeof name !== 'string') throw new TypeError('a source has a name, such as notes.txt')
  return name
}

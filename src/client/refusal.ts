import { bytesOf, isBlob, isStream, nameOf } from './data.ts'
import type { List } from './list.ts'

/** The error for a value that something does not take, with what takes it. */
export function refusal(taken: string, value: unknown): TypeError {
  if (typeof Object(value).then === 'function') return new TypeError(`${taken}: await this promise first`)
  const other = [
    typeof value === 'string' && 'textSource',
    isBlob(value) && 'blobSource',
    isStream(value) && 'streamSource',
    bytesOf(value as ArrayBuffer) && 'bytesSource',
  ].find((each) => each)
  return new TypeError(other ? `${taken}: ${other} makes a source of this` : taken)
}

/** Throws TypeError, with what to use instead, for what cannot be sources. */
export function requireSources(sources: List<{ readonly name: string; readonly open: unknown }>): void {
  if (!isList(sources)) throw refusal('send takes an array of sources', sources)
  for (const source of sources) {
    if (typeof source?.open !== 'function') throw refusal('a source has a name and open()', source)
    nameOf(source.name)
  }
}

function isList(value: unknown): boolean {
  // A text and a view of bytes have `at`, too.
  return Array.isArray(value) || (typeof Object(value).at === 'function' && Object(value)[0] === undefined)
}

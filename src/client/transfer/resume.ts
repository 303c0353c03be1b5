import { DIGEST_BLOCK_BYTES, digestOf, proofOf } from '../../crypto/resume.ts'
import { decodeBase64Url, encodeBase64Url } from '../../protocol/text.ts'
import { type List, mapped, PackedList } from '../list.ts'
import { encodeLines, type Part } from './lines.ts'

/** How a transfer resumes that was begun in an earlier session: PROTOCOL.md, section 10.6. */

/** Bytes that a taker has of a transfer that was begun before, from its own store. */
export interface Begun {
  /** The token of that transfer. */
  readonly token: string
  /** Entries of which something is there, and how many of their first bytes. */
  readonly have: Iterable<readonly [entry: number, bytes: number]>
  /** These bytes. */
  read(entry: number, bytes: number): AsyncIterable<Uint8Array>
}

/** Store of an offerer's tokens, by which it can resume. */
export interface Transfers {
  /** The tokens under which these sources were accepted before, the newest first. */
  tokensOf(keys: readonly string[]): Promise<readonly string[]>
  /** Keeps a token until `remove`. Resolves when it would survive the process. */
  put(token: string, keys: readonly string[]): Promise<void>
  /** Forgets a token: its transfer is confirmed. */
  remove(token: string): Promise<void>
}

/** The hint of a token for this pairing, or the answer to that hint. */
export function proofFor(token: string, label: 'resume' | 'resumed', secret: Uint8Array): string {
  return encodeBase64Url(proofOf(decodeBase64Url(token), label, secret))
}

/** The lines of `answer` and `start`. */
export function encodeParts(parts: List<Part>): Uint8Array {
  return encodeLines(mapped(parts, ({ entry, bytes }) => ({ entry, bytes })))
}

/** Finds the part of an entry among parts. Entries are asked for in ascending order, as the parts are. */
export function partFinder(parts: Iterable<Part>): (entry: number) => Part | undefined {
  const rest = parts[Symbol.iterator]()
  let next = rest.next()
  return (entry) => {
    while (!next.done && next.value.entry < entry) next = rest.next()
    return next.done || next.value.entry !== entry ? undefined : next.value
  }
}

/** By entry, the bytes of its part. */
export function bytesByEntry(parts: Iterable<Part>, length: number): ArrayLike<number> {
  const all = new Float64Array(length)
  for (const { entry, bytes } of parts) all[entry] = bytes
  return all
}

/** Bytes of parts together. */
export function bytesOf(parts: Iterable<Part>): number {
  let sum = 0
  for (const { bytes } of parts) sum += bytes
  return sum
}

/**
 * The same parts with digests of the own bytes, read one after the other, as long as they are wanted. One that cannot be
 * read is left out: it begins at 0. `onRead` is called with the bytes read so far.
 */
export async function digested(
  parts: Iterable<Part>,
  read: (part: Part) => AsyncIterable<Uint8Array>,
  isWanted: () => boolean,
  onRead?: (bytes: number) => void,
): Promise<List<Part>> {
  let bytes = 0
  const counted = async function* (part: Part) {
    for await (const piece of read(part)) {
      yield piece
      if (!isWanted()) return
      bytes += piece.length
      onRead?.(bytes)
    }
  }
  const block = new Uint8Array(DIGEST_BLOCK_BYTES)
  const all = new PackedList<Part>()
  for (const part of parts) {
    const digest = isWanted() ? await digestOf(counted(part), block).catch(() => undefined) : undefined
    if (digest) all.push({ ...part, sha256: encodeBase64Url(digest) })
  }
  return all
}

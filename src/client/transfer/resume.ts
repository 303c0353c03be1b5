import { DIGEST_BLOCK_BYTES, digestOf, proofOf } from '../../crypto/resume.ts'
import { decodeBase64Url, encodeBase64Url } from '../../protocol/text.ts'
import { encodeLines, type Part } from './lines.ts'

/** How a transfer resumes that was begun in an earlier session: PROTOCOL.md, section 10.6. */

/** Bytes that a taker has of a transfer that was begun before, from its own store. */
export interface Begun {
  /** The token of that transfer. */
  readonly token: string
  /** By entry, its first bytes that are there. */
  readonly have: ReadonlyMap<number, number>
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
export function encodeParts(parts: readonly Part[]): Uint8Array {
  return encodeLines(parts.map(({ entry, bytes }) => ({ entry, bytes })))
}

/**
 * The same parts with digests of the own bytes, read one after the other, as long as they are wanted. One that cannot be
 * read is left out: it begins at 0. `onRead` is called with the bytes read so far.
 */
export async function digested(
  parts: readonly Part[],
  read: (part: Part) => AsyncIterable<Uint8Array>,
  isWanted: () => boolean,
  onRead?: (bytes: number) => void,
): Promise<Part[]> {
  let bytes = 0
  const counted = async function* (part: Part) {
    for await (const piece of read(part)) {
      yield piece
      if (!isWanted()) return
      bytes += piece.length
      onRead?.(bytes)
    }
  }
  const all: Part[] = []
  const block = new Uint8Array(DIGEST_BLOCK_BYTES)
  for (const part of parts) {
    const digest = isWanted() ? await digestOf(counted(part), block).catch(() => undefined) : undefined
    if (digest) all.push({ ...part, sha256: encodeBase64Url(digest) })
  }
  return all
}

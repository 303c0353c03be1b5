import type { Kept } from '../../browser/index.ts'
import { totalOf } from '../../client/index.ts'
import { KEPT } from './kept.ts'
import { thingsOf } from './things.ts'

const DONE_LIVES_MS = 24 * 3_600_000
const UNFINISHED_LIVES_MS = 7 * 24 * 3_600_000

/** Something that was received before, and is still in the browser's storage. */
export interface Earlier {
  readonly token: string
  readonly names: readonly string[]
  readonly count: number
  readonly bytes: number
  /** When, in milliseconds since 1970. */
  readonly at: number
  /** Bytes that are there, where it was not finished. */
  readonly have: number | undefined
}

/** All that is kept and in no page's hands, the newest first. Deletes what is too old. */
export async function readEarlier(): Promise<Earlier[]> {
  const lives = ({ isComplete }: Kept) => (isComplete ? DONE_LIVES_MS : UNFINISHED_LIVES_MS)
  return (await KEPT.kept((each) => Date.now() - each.at <= lives(each))).map(earlierOf)
}

function earlierOf({ token, entries, bytes, at, isComplete }: Kept): Earlier {
  const names = thingsOf(entries).map(({ name }) => name)
  return {
    token,
    names: names.slice(0, 3),
    count: names.length,
    bytes: isComplete ? bytes : (totalOf(entries) ?? 0),
    at,
    have: isComplete ? undefined : bytes,
  }
}

import { folderOf, folders, hold, readDone, readMeta } from './folders.ts'
import { filesIn, remove } from './kept.ts'
import { type Ready, thingsOf } from './things.ts'

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

/** All that is kept and in no page's hands, the newest first. Deletes what is too old or of no use. */
export async function readEarlier(now = Date.now()): Promise<Earlier[]> {
  if (!('storage' in navigator) || !('locks' in navigator)) return []
  const tokens = await folders().catch(() => [])
  const found = await Promise.all(tokens.map((token) => readOrDelete(token, now)))
  return found.filter((each) => each !== undefined).sort((a, b) => b.at - a.at)
}

async function readOrDelete(token: string, now: number): Promise<Earlier | undefined> {
  const release = await hold(token)
  if (!release) return undefined
  try {
    const earlier = await read(token)
    const lives = earlier?.have === undefined ? DONE_LIVES_MS : UNFINISHED_LIVES_MS
    if (earlier && now - earlier.at <= lives) return earlier
    await remove(token)
  } catch {
    // Kept for another visit.
  } finally {
    release()
  }
  return undefined
}

async function read(token: string): Promise<Earlier | undefined> {
  const folder = await folderOf(token)
  const [meta, done] = [await readMeta(folder), await readDone(folder)]
  const isOver = await folder.getFileHandle('over').catch(() => undefined)
  if (!meta || isOver) return undefined
  let have = 0
  for await (const [name, file] of folder.entries())
    if (/^\d+$/.test(name)) have += (await (file as FileSystemFileHandle).getFile()).size
  if (!done && have === 0) return undefined
  const names = thingsOf(meta.entries).map(({ name }) => name)
  return {
    token,
    names: names.slice(0, 3),
    count: names.length,
    bytes: done ? have : meta.entries.reduce((sum, { size = 0 }) => sum + size, 0),
    at: done?.at ?? meta.at,
    have: done ? undefined : have,
  }
}

/** The files of one that is complete. */
export async function earlierFiles(token: string): Promise<Ready[]> {
  const folder = await folderOf(token)
  const [meta, done] = [await readMeta(folder), await readDone(folder)]
  return meta && done ? filesIn(token, meta.entries, done.crcs) : []
}

export async function deleteEarlier(token: string): Promise<void> {
  const release = await hold(token)
  if (!release) return
  try {
    await remove(token)
  } finally {
    release()
  }
}

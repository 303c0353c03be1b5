import type { Entry } from '../client/index.ts'
import { type Done, fileIn, folderOf, type Meta, readJson } from './folders.ts'
import { storageError } from './storage-error.ts'

/** A file that was received, in the browser's own storage. */
export interface ReceivedFile {
  /** Its bytes, which stay where they are. It can be read until its transfer is removed. */
  readonly blob: Blob
  /** Checksum of the bytes, where the worker makes one and it was wanted. Otherwise 0. */
  readonly checksum: number
}

/** A transfer of which everything is here. */
export interface Received {
  /** The peer's words: clean a path before it is shown or used as a name. */
  readonly entries: readonly Entry[]
  /** By index of the entry. A folder has none, nor has what was skipped. */
  readonly files: ReadonlyMap<number, ReceivedFile>
}

/** Reads what there is of a finished transfer. Throws NotFoundError for any other. */
export async function received(token: string): Promise<Received> {
  const folder = await folderOf(token)
  const [meta, done] = [await readJson<Meta>(folder, 'meta.json'), await readJson<Done>(folder, 'done.json')]
  if (!meta || !done) throw storageError('NotFoundError')
  const files = new Map<number, ReceivedFile>()
  for (const [entry, checksum] of done.checksums)
    files.set(entry, { blob: await fileIn(folder, String(entry)), checksum })
  return { entries: meta.entries, files }
}

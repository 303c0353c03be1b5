import type { Entry } from '../client/index.ts'
import { storageError } from './storage-error.ts'

/** Folders in the origin-private file system: `pairlay/{token}` for each transfer, with a file for each entry. */

export const ROOT = 'pairlay'
const TOKEN = /^[A-Za-z0-9_-]{16,64}$/
/** A page that was reloaded may still have its locks for so long, in milliseconds. */
const HELD_MS = 1_000

/** `meta.json`: is there from the beginning. */
export interface Meta {
  /** When it was last received, in milliseconds since 1970. */
  readonly at: number
  readonly entries: readonly Entry[]
}

/** `done.json`: is there once every byte is. */
export interface Done {
  readonly at: number
  /** By entry that was not skipped, its checksum or 0. */
  readonly checksums: readonly (readonly [entry: number, checksum: number])[]
}

/** Tokens of all transfers that are kept, finished or not, in whichever page's hands. Needs no worker. */
export async function keptTokens(): Promise<string[]> {
  const root = await rootFolder().catch(() => undefined)
  const tokens: string[] = []
  if (!root) return tokens
  for await (const name of root.keys()) if (TOKEN.test(name)) tokens.push(name)
  return tokens
}

/** The folder of all that is kept. Throws NotFoundError where it is not there, and NotSupportedError where none can be. */
export async function rootFolder(create = false): Promise<FileSystemDirectoryHandle> {
  if (!('storage' in navigator && 'locks' in navigator)) throw storageError('NotSupportedError')
  return (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT, { create })
}

export async function folderOf(token: string, create = false): Promise<FileSystemDirectoryHandle> {
  return (await rootFolder(create)).getDirectoryHandle(token, { create })
}

/** Deletes the folder of a transfer, if it is there. */
export async function removeFolder(token: string): Promise<void> {
  await (await rootFolder()).removeEntry(token, { recursive: true }).catch((error) => {
    if (error.name !== 'NotFoundError') throw error
  })
}

/** The content of a file. Undefined where it is not there, or was not written to its end. */
export async function readJson<T extends object>(
  folder: FileSystemDirectoryHandle,
  name: string,
): Promise<T | undefined> {
  try {
    return JSON.parse(await (await fileIn(folder, name)).text())
  } catch {
    return undefined
  }
}

/** Throws NotFoundError. */
export async function fileIn(folder: FileSystemDirectoryHandle, name: string): Promise<File> {
  return (await folder.getFileHandle(name)).getFile()
}

/** Takes a transfer for this page until the function that it resolves with is called. Undefined where another page has it. */
export function hold(token: string): Promise<(() => void) | undefined> {
  return new Promise((resolve) => {
    const held = () => new Promise<void>((release) => resolve(release))
    const options = { signal: AbortSignal.timeout(HELD_MS) }
    navigator.locks.request(`${ROOT}:${token}`, options, held).catch(() => resolve(undefined))
  })
}

export async function isHeld(token: string): Promise<boolean> {
  const { held = [] } = await navigator.locks.query()
  return held.some(({ name }) => name === `${ROOT}:${token}`)
}

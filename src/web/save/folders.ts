import type { Entry } from '../../client/index.ts'

/** The folders of transfers in the browser's own storage, and what is written down of each. */

export const ROOT = 'pairlay'
const TOKEN = /^[A-Za-z0-9_-]{16,64}$/

/** `meta.json`: is there from the beginning. */
export interface Meta {
  /** When it was last received, in milliseconds since 1970. */
  readonly at: number
  readonly entries: readonly Entry[]
}

/** `done.json`: is there once every byte is. */
export interface Done {
  readonly at: number
  /** By entry that was not skipped. */
  readonly crcs: readonly (readonly [entry: number, crc: number])[]
}

/** The tokens of all transfers that are kept. */
export async function folders(): Promise<string[]> {
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT).catch(() => undefined)
  const tokens: string[] = []
  if (!root) return tokens
  for await (const name of root.keys()) if (TOKEN.test(name)) tokens.push(name)
  return tokens
}

export async function folderOf(token: string, create = false): Promise<FileSystemDirectoryHandle> {
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT, { create })
  return root.getDirectoryHandle(token, { create })
}

/** Undefined where it is not there, or was not written to its end. */
export function readMeta(folder: FileSystemDirectoryHandle): Promise<Meta | undefined> {
  return readJson(folder, 'meta.json') as Promise<Meta | undefined>
}

export function readDone(folder: FileSystemDirectoryHandle): Promise<Done | undefined> {
  return readJson(folder, 'done.json') as Promise<Done | undefined>
}

async function readJson(folder: FileSystemDirectoryHandle, name: string): Promise<unknown> {
  try {
    return JSON.parse(await (await (await folder.getFileHandle(name)).getFile()).text())
  } catch {
    return undefined
  }
}

/** A page that was reloaded may still have its locks for so long, in milliseconds. */
const HELD_MS = 1_000

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

import { constants, fchmodSync, type Stats } from 'node:fs'
import { link, lstat, mkdir, readdir, rename, rm, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { closeFile, openHere } from './open-files.ts'

/** Files and folders of a partial, until the thing has its name. */

export const PRIVATE_FOLDER = 0o700
const RENAME_TRIES = 20
const RENAME_PAUSE_MS = 500

/** Reports whether everything at and below a path is this user's, and is a file or a folder. */
export async function isOwn(path: string): Promise<boolean> {
  const info = await lstat(path).catch(() => undefined)
  if (!info?.isDirectory()) return info !== undefined && isOwnFile(info)
  if (!isThisUsers(info)) return false
  for (const name of await readdir(path)) if (!(await isOwn(join(path, name)))) return false
  return true
}

/** Reports whether it is a file of this user that has no other name. */
export function isOwnFile(info: Stats): boolean {
  return info.isFile() && info.nlink === 1 && isThisUsers(info)
}

function isThisUsers({ uid }: Stats): boolean {
  return uid === (process.getuid?.() ?? uid)
}

/** Makes a folder for this user alone, if it is not there. Throws EEXIST for anything else in its place. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, PRIVATE_FOLDER)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    const info = await lstat(path)
    if (!info.isDirectory() || !isThisUsers(info)) throw error
  }
}

/** Paths of a list, and of all folders that they are in below `directory`; the value says whether it is a folder. */
export function pathsWanted(
  directory: string,
  list: Iterable<[path: string, isFolder: boolean]>,
): Map<string, boolean> {
  const wanted = new Map(list)
  for (const path of [...wanted.keys()]) {
    for (let above = dirname(path); above !== directory && !wanted.has(above); above = dirname(above)) {
      wanted.set(above, true)
    }
  }
  return wanted
}

/** Removes at and below a path what an earlier list of the same thing had, and what is a folder in the place of a file. */
export async function removeOthers(path: string, wanted: ReadonlyMap<string, boolean>): Promise<void> {
  const info = await lstat(path).catch(() => undefined)
  if (!info) return
  if (wanted.get(path) !== info.isDirectory()) return rm(path, { recursive: true })
  if (info.isDirectory()) for (const name of await readdir(path)) await removeOthers(join(path, name), wanted)
}

/** Throws ELOOP where a thing is no longer the file, or the folder, of this user that was made. */
export async function requireOwn(path: string, isFolder: boolean): Promise<void> {
  const info = await lstat(path)
  const isOurs = isFolder ? info.isDirectory() && isThisUsers(info) : isOwnFile(info)
  if (!isOurs)
    throw Object.assign(new Error('something else is in its place'), { code: 'ELOOP', syscall: 'lstat', path })
}

/** Gives folders this mode, from the inside. Follows no link. */
export async function openFolders(folder: string, mode: number): Promise<void> {
  for (const each of await readdir(folder, { withFileTypes: true })) {
    if (each.isDirectory()) await openFolders(join(folder, each.name), mode)
  }
  const file = await openHere(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  fchmodSync(file, mode)
  await closeFile(file)
}

/** Throws EEXIST where something has this path. */
export async function requireFree(path: string): Promise<void> {
  if (!(await lstat(path).catch(() => undefined))) return
  throw Object.assign(new Error('it is there already'), { code: 'EEXIST', syscall: 'lstat', path })
}

/** Gives a thing its final name, in the place of nothing. Throws EEXIST where something has it. */
export async function place(part: string, path: string, isFolder: boolean): Promise<void> {
  if (!isFolder) {
    // Unlike a rename, a link never takes the place of anything. Not every file system has links.
    const linked = await link(part, path).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST') throw error
        return false
      },
    )
    if (linked) return unlink(part)
  }
  for (let tries = 1; ; tries++) {
    await requireFree(path)
    try {
      return await rename(part, path)
    } catch (error) {
      const isHeld = ['EACCES', 'EPERM', 'EBUSY'].includes((error as NodeJS.ErrnoException).code ?? '')
      if (!isHeld || tries === RENAME_TRIES) throw error
      await setTimeout(RENAME_PAUSE_MS)
    }
  }
}

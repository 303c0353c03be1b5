import { mkdir, realpath, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Gives a file this text, at once or not at all, for its owner alone: the mode is 600, and 700 of a folder that has to be
 * made. Of a link, the file that it leads to is replaced.
 */
export async function writePrivately(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const target = await realpath(path).catch(() => path)
  const fresh = `${target}.${process.pid}.new`
  try {
    await writeFile(fresh, text, { mode: 0o600, flush: true })
    await rename(fresh, target)
  } catch (error) {
    await rm(fresh, { force: true })
    throw error
  }
}

import { open, readFile, rm } from 'node:fs/promises'

/** Takes a lock for this process, also from one that is gone. Throws EEXIST where another process lives that has it. */
export async function lock(path: string): Promise<void> {
  if (!(await isLocked(path))) await rm(path, { force: true })
  const file = await open(path, 'wx', 0o600)
  await file.writeFile(String(process.pid))
  await file.close()
}

/** Reports whether a process lives that has the lock. */
export async function isLocked(path: string): Promise<boolean> {
  const text = await readFile(path, 'utf8').catch(() => '')
  const pid = Number(text)
  if (!Number.isSafeInteger(pid) || pid < 1) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

import { open, readFile, rm } from 'node:fs/promises'

/** Takes a lock for this process, also from one that is gone. Throws EEXIST where another process lives that has it. */
export async function lock(path: string): Promise<void> {
  if (!(await isLocked(path))) await rm(path, { force: true })
  const file = await open(path, 'wx', 0o600)
  await file.writeFile([process.pid, await startOf(process.pid)].join(' '))
  await file.close()
}

/** Reports whether a process lives that has the lock. */
export async function isLocked(path: string): Promise<boolean> {
  const text = await readFile(path, 'utf8').catch(() => '')
  const [number, start = ''] = text.split(' ')
  const pid = Number(number)
  if (!Number.isSafeInteger(pid) || pid < 1) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  return start === (await startOf(pid))
}

/**
 * When a process began, as the kernel counts it; empty where the system does not say. Another process may have the number of
 * a process that is gone, and in a container nearly every one has.
 */
async function startOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The second field is a name that may have spaces. The 22nd is the start.
  const fields = stat.slice(stat.lastIndexOf(')') + 1).split(' ')
  // A process that has ended is there until its parent looks.
  return fields[1] === 'Z' ? 'ended' : (fields[20] ?? '')
}

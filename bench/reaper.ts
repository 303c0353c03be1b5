import { readFileSync, rmSync } from 'node:fs'
import { createInterface } from 'node:readline'

/**
 * Hears what the benchmark starts, one line each, and when it hears no more because the benchmark is gone, ends what is
 * left of it.
 */

/** A line. A negative id is a group's. */
export type ReaperLine = `process ${number}` | `gone ${number}` | `folder ${string}`

const processes = new Map<number, string | undefined>()
const folders: string[] = []

for await (const line of createInterface({ input: process.stdin })) {
  const [what, ...rest] = line.split(' ')
  const text = rest.join(' ')
  const id = Number(text)
  if (what === 'process') processes.set(id, startOf(Math.abs(id)))
  if (what === 'gone') for (const each of [id, -id]) processes.delete(each)
  if (what === 'folder') folders.push(text)
}

for (const [id, startedAt] of processes) {
  const now = startOf(Math.abs(id))
  // Another process may have this id by now. A group can be there without its first process.
  if (now === undefined ? id > 0 : now !== startedAt) continue
  try {
    process.kill(id, 'SIGKILL')
  } catch {
    // Gone by itself.
  }
}
for (const folder of folders) rmSync(folder, { recursive: true, force: true })

/** When a process started, in ticks since boot: with its id, its identity. */
function startOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')[19]
  } catch {
    return undefined
  }
}

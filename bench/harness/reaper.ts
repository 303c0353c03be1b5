import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { ReaperLine } from '../reaper.ts'
import { COMPILED } from './compile.ts'

/** A process that outlives this one by a moment: it ends what is left when this one could not, killed with its work half done. */

let reaper: ChildProcess | undefined
const unsaid: ReaperLine[] = []

export function startReaper(): void {
  const program = fileURLToPath(new URL('reaper.js', COMPILED))
  if (!existsSync(program)) throw new Error('the benchmark is not compiled')
  // In a group of its own: what the terminal sends to ours does not reach it.
  reaper = spawn(process.execPath, [program], { detached: true, stdio: ['pipe', 'ignore', 'inherit'] })
  reaper.unref()
  reaper.stdin?.on('error', () => {})
  for (const line of unsaid.splice(0)) tell(line)
}

function tell(line: ReaperLine): void {
  if (reaper?.stdin?.writable) reaper.stdin.write(`${line}\n`)
  else unsaid.push(line)
}

export const reap = {
  process: (pid: number, group: boolean) => tell(`process ${group ? -pid : pid}`),
  gone: (pid: number) => tell(`gone ${pid}`),
  folder: (path: string) => tell(`folder ${path}`),
}

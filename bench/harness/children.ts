import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { reap } from './reaper.ts'

/** Every process and folder the benchmark makes is known here, and gone when it ends, however it ends. */

const children = new Map<ChildProcess, { readonly group: boolean }>()
const folders = new Set<string>()

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly stdio?: SpawnOptions['stdio']
  /** Gives it a process group of its own, which is ended as one: for programs that start others. */
  readonly group?: boolean
}

/** The environment of a child, without settings that could change a measurement. */
export function plainEnv(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const name of ['PATH', 'HOME', 'LANG', 'TMPDIR', 'USER']) {
    const value = process.env[name]
    if (value !== undefined) kept[name] = value
  }
  return { ...kept, ...more }
}

export function start(command: string, args: readonly string[], options: StartOptions = {}): ChildProcess {
  const { env, cwd, stdio = ['ignore', 'pipe', 'pipe'], group = false } = options
  const child = spawn(command, args, {
    env: plainEnv(env),
    stdio,
    detached: group,
    ...(cwd === undefined ? {} : { cwd }),
  })
  adopt(child, group)
  return child
}

export function adopt(child: ChildProcess, group = false): void {
  const { pid } = child
  if (pid === undefined) return
  children.set(child, { group })
  reap.process(pid, group)
  const forget = () => {
    children.delete(child)
    reap.gone(pid)
  }
  // A group may outlive its first process.
  if (!group) child.once('exit', forget)
  child.once('error', forget)
}

/** Ends a process by its id and waits until it is gone. */
export async function end(child: ChildProcess | undefined, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  if (!child) return
  const gone = exited(child)
  kill(child, signal)
  await gone
  children.delete(child)
  if (child.pid !== undefined) reap.gone(child.pid)
}

export function exited(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) {
    return Promise.resolve(child.exitCode)
  }
  return new Promise((resolve) => child.once('exit', (code) => resolve(code)))
}

/** A folder that is removed at the end. */
export function temporaryFolder(base = tmpdir()): string {
  const folder = mkdtempSync(join(base, 'pairlay-bench-'))
  folders.add(folder)
  reap.folder(folder)
  return folder
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
  folders.delete(folder)
}

/** From now on everything is cleaned up, whatever ends this process. */
export function cleanUpAtExit(): void {
  process.on('exit', () => {
    for (const child of children.keys()) kill(child, 'SIGKILL')
    for (const folder of folders) rmSync(folder, { recursive: true, force: true })
  })
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.on(signal, () => process.exit(code))
  }
}

/** Resolves with the first line that `match` finds something in. Rejects when the process ends before. */
export function lineOf<T>(child: ChildProcess, what: string, match: (line: string) => T | undefined): Promise<T> {
  const seen: string[] = []
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue
      createInterface({ input: stream }).on('line', (line) => {
        if (seen.length < 20) seen.push(line)
        const found = match(line)
        if (found !== undefined) resolve(found)
      })
    }
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`${what} ended with ${code}: ${seen.join(' | ')}`)))
  })
}

function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  const group = children.get(child)?.group === true
  if (child.pid === undefined) return
  if (!group && (child.exitCode !== null || child.signalCode !== null)) return
  try {
    process.kill(group ? -child.pid : child.pid, signal)
  } catch {
    // Already gone.
  }
}

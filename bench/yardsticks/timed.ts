import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { end, start } from '../harness/children.ts'
import { cpuSeconds, memory } from '../harness/process-stats.ts'

/** A program from its start to its end, with the CPU time that it and what it started have had. */
export interface TimedProgram {
  /** Resolves with what `match` finds in a line of its output. Rejects when it ends without. */
  line<T>(match: (line: string) => T | undefined): Promise<T>
  /** CPU-seconds, the time of its end, and its highest resident memory in bytes. Rejects when it ends with an error. */
  readonly done: Promise<{ readonly cpu: number; readonly endedAt: number; readonly peakBytes: number }>
  /** CPU-seconds so far. */
  cpu(): number
  stop(): Promise<void>
}

export interface TimedOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Keeps its standard input open: a program that asks would otherwise end. */
  readonly asks?: boolean
}

const CPU = /^bench-cpu ([\d.]+) ([\d.]+)$/
const KEPT_LINES = 200
/** A program that takes longer is ended, and has failed: a peer may wait for ever for one that is gone. */
const DEADLINE_MS = 120_000
/** How often the highest memory is read, which the kernel keeps for as long as the process is there. */
const MEMORY_EVERY_MS = 25

/** Bash reports the CPU time; the group it gets is ended as one. */
export function timed(command: string, args: readonly string[], options: TimedOptions = {}): TimedProgram {
  const script = 'TIMEFORMAT="bench-cpu %U %S"; time "$@"'
  const { cwd, env, asks = false } = options
  const child = start('bash', ['-c', script, 'bash', command, ...args], {
    ...(cwd === undefined ? {} : { cwd }),
    env: { PYTHONUNBUFFERED: '1', ...env },
    stdio: [asks ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    group: true,
  })
  let peakBytes = 0
  const watch = setInterval(() => {
    peakBytes = Math.max(
      peakBytes,
      ofProgram(child, (pids) => memory(pids).peak),
    )
  }, MEMORY_EVERY_MS)
  const lines: string[] = []
  const listeners = new Set<(line: string) => void>()
  for (const stream of [child.stdout, child.stderr]) {
    if (!stream) continue
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      if (lines.length > KEPT_LINES) lines.shift()
      for (const listener of listeners) listener(line)
    })
  }
  const failure = (code: number | null) => {
    const said = lines.filter((line) => !CPU.test(line)).slice(-3)
    return new Error(`${command} ended with ${code}: ${said.join(' | ')}`)
  }
  const done = new Promise<{ cpu: number; endedAt: number; peakBytes: number }>((resolve, reject) => {
    child.once('error', reject)
    let endedAt = 0
    const deadline = setTimeout(() => void end(child), DEADLINE_MS)
    child.once('exit', () => {
      endedAt = performance.now()
      clearInterval(watch)
      clearTimeout(deadline)
    })
    // Its last words come before this.
    child.once('close', (code) => {
      const [, user, system] = CPU.exec(lines.findLast((line) => CPU.test(line)) ?? '') ?? []
      if (code !== 0 || user === undefined || system === undefined) reject(failure(code))
      else resolve({ cpu: Number(user) + Number(system), endedAt, peakBytes })
    })
  })
  done.catch(() => {})
  return {
    line: (match) =>
      new Promise((resolve, reject) => {
        const look = (line: string) => {
          const found = match(line)
          if (found === undefined) return
          listeners.delete(look)
          resolve(found)
        }
        listeners.add(look)
        for (const line of [...lines]) look(line)
        done.then(() => reject(new Error(`${command} ended without saying what was waited for`)), reject)
      }),
    done,
    cpu: () => ofProgram(child, cpuSeconds),
    stop: async () => {
      clearInterval(watch)
      await end(child)
    },
  }
}

/** A figure of what bash has started; 0 when that has ended. */
function ofProgram({ pid }: ChildProcess, figure: (pids: readonly number[]) => number): number {
  try {
    const pids = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean)
    return figure(pids.map(Number))
  } catch {
    return 0
  }
}

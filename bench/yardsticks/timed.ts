import type { ChildProcess } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { end, start } from '../harness/children.ts'

/** A program from its start to its end, with the CPU time that it and what it started have had. */
export interface TimedProgram {
  /** Resolves with what `match` finds in a line of its output. Rejects when it ends without. */
  line<T>(match: (line: string) => T | undefined): Promise<T>
  /** Seconds of wall clock and of CPU. Rejects when it ends with an error. */
  readonly done: Promise<{ readonly cpu: number; readonly endedAt: number }>
  stop(): Promise<void>
}

const CPU = /^bench-cpu ([\d.]+) ([\d.]+)$/
const KEPT_LINES = 200

/** Bash reports the CPU time; the group it gets is ended as one. */
export function timed(command: string, args: readonly string[], options: { readonly cwd?: string } = {}): TimedProgram {
  const script = 'TIMEFORMAT="bench-cpu %U %S"; time "$@"'
  const env = { PYTHONUNBUFFERED: '1' }
  const child = start('bash', ['-c', script, 'bash', command, ...args], { ...options, env, group: true })
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
  const done = new Promise<{ cpu: number; endedAt: number }>((resolve, reject) => {
    child.once('error', reject)
    let endedAt = 0
    child.once('exit', () => {
      endedAt = performance.now()
    })
    // Its last words come before this.
    child.once('close', (code) => {
      const [, user, system] = CPU.exec(lines.findLast((line) => CPU.test(line)) ?? '') ?? []
      if (code !== 0 || user === undefined || system === undefined) reject(failure(code))
      else resolve({ cpu: Number(user) + Number(system), endedAt })
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
    stop: () => stop(child),
  }
}

async function stop(child: ChildProcess): Promise<void> {
  await end(child)
}

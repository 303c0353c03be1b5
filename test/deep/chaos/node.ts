import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A relay as a process of its own, to be killed, stopped and started again. */
export interface RelayNode {
  readonly pid: number
  readonly port: number
  readonly url: string
  /** Lines logged as an error, and everything on stderr. */
  readonly failures: readonly string[]
  /** Ends it at once, as a crash does. Resolves when it is gone. */
  kill(): Promise<void>
  /** Asks it to stop. Resolves with its exit code, −1 after a signal. */
  stop(): Promise<number>
}

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const LOG_LEVEL_ERROR = 50

const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** Starts the relay as built, on 127.0.0.1 and a port that the system chooses. Resolves when it takes connections. */
export async function startNode(settings: Readonly<Record<string, string>> = {}): Promise<RelayNode> {
  const child = spawn(process.execPath, ['dist/server/main.js'], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: '0', RATE_LIMIT: 'off', LOG_LEVEL: 'info', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.add(child)
  const failures: string[] = []
  const exited = once(child, 'exit').then(([code]) => {
    children.delete(child)
    return (code as number | null) ?? -1
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => failures.push(text))
  const port = await new Promise<number>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const entry: { level: number; msg: string; port?: number } = JSON.parse(line)
      if (entry.level >= LOG_LEVEL_ERROR) failures.push(line)
      if (entry.msg === 'the relay is ready' && entry.port) resolve(entry.port)
    })
    exited.then(() => reject(new Error(`the relay did not start: ${failures}`)), reject)
  })
  return {
    pid: child.pid ?? 0,
    port,
    url: `http://127.0.0.1:${port}`,
    failures,
    kill: async () => {
      child.kill('SIGKILL')
      await exited
    },
    stop: () => {
      child.kill('SIGTERM')
      return exited
    },
  }
}

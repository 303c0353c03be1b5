import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** The relay under test, known by its URL alone. */
export interface Relay {
  /** Without a slash at the end. */
  readonly url: string
  /** What a relay of this tree logged as an error. Of any other relay nothing is known. */
  readonly failures: readonly string[]
  /** Stops a relay of this tree and resolves with its exit code; leaves any other alone. */
  stop(): Promise<number>
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const LOG_LEVEL_ERROR = 50

/** Whether the suite runs against a relay that somebody else started, with settings of their own. */
export const isForeign = Boolean(process.env.PAIRLAY_URL)

/** The relay at PAIRLAY_URL or, without one, a fresh one of this tree. */
export async function openRelay(): Promise<Relay> {
  const { PAIRLAY_URL } = process.env
  if (!PAIRLAY_URL) return startRelay()
  return { url: PAIRLAY_URL.replace(/\/+$/, ''), failures: [], stop: async () => 0 }
}

/**
 * Starts the relay of this tree, as it was built before the tests, as a process of its own. Of the environment it gets
 * `settings` and nothing else.
 */
export async function startRelay(settings: Readonly<Record<string, string>> = {}): Promise<Relay> {
  const child = spawn(process.execPath, ['dist/server/main.js'], {
    cwd: ROOT,
    env: { HOST: '127.0.0.1', PORT: '0', ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const failures: string[] = []
  const port = await new Promise<number>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const entry: { level: number; msg: string; port?: number } = JSON.parse(line)
      if (entry.level >= LOG_LEVEL_ERROR) failures.push(line)
      if (entry.msg === 'the relay is ready' && entry.port) resolve(entry.port)
    })
    exited.then(() => reject(new Error('the relay did not start')), reject)
  })
  return {
    url: `http://127.0.0.1:${port}`,
    failures,
    stop: async () => {
      child.kill('SIGTERM')
      const [exitCode] = await exited
      return exitCode
    },
  }
}

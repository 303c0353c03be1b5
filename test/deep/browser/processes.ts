import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const RELAY = fileURLToPath(new URL('../../../dist/server/main.js', import.meta.url))
const CLI = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))

/** None outlives this process, not even one that is stopped. */
const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** A line of JSON that a process wrote on stdout. */
type Line = Readonly<Record<string, unknown>>

/** A process of this project that writes JSON lines. */
export class JsonProcess {
  readonly lines: Line[] = []
  /** The exit code, once it has ended and all its lines are here. */
  readonly ended: Promise<number | null>
  readonly #child: ChildProcess
  #stderr = ''
  #over = false
  #changed: (() => void)[] = []

  private constructor(child: ChildProcess) {
    this.#child = child
    const { stdout, stderr } = child
    if (!stdout || !stderr) throw new Error('the process has no pipes')
    stderr.setEncoding('utf8').on('data', (text) => {
      this.#stderr += text
    })
    createInterface({ input: stdout }).on('line', (line) => {
      this.lines.push(JSON.parse(line))
      this.#wake()
    })
    this.ended = new Promise((resolve) => {
      child.on('close', (code) => {
        this.#over = true
        this.#wake()
        resolve(code)
      })
    })
  }

  /** A relay on a port that the system chooses. */
  static relay(env: Readonly<Record<string, string>> = {}): JsonProcess {
    return JsonProcess.#start([RELAY], {
      HOST: '127.0.0.1',
      PORT: '0',
      RATE_LIMIT: 'off',
      CORS_ORIGINS: '*',
      LOG_LEVEL: 'info',
      ...env,
    })
  }

  /** `pairlay send` or `pairlay receive`, with nobody at the terminal. */
  static cli(
    relay: string,
    args: readonly string[],
    input?: Iterable<Uint8Array>,
    env: Readonly<Record<string, string>> = {},
  ): JsonProcess {
    return JsonProcess.#start([CLI, ...args, '--relay', relay, '--json', '--yes'], env, input)
  }

  static #start(args: readonly string[], env: Readonly<Record<string, string>>, input?: Iterable<Uint8Array>) {
    const child = spawn(process.execPath, args, {
      env: { ...process.env, ...env },
      stdio: [input ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    })
    // A process that ends early takes no more input, and says elsewhere why it ended.
    child.stdin?.on('error', () => {})
    children.add(child)
    child.once('exit', () => children.delete(child))
    if (input) child.stdin?.end(Buffer.concat([...input]))
    return new JsonProcess(child)
  }

  /** The first line, written or still to come, whose field has this value. Throws when the process ends without it. */
  async line(field: string, value: string): Promise<Line> {
    for (;;) {
      const found = this.lines.find((line) => line[field] === value)
      if (found) return found
      if (this.#over) throw new Error(`the process ended without ${value}. ${this.#stderr}`)
      await new Promise<void>((resolve) => this.#changed.push(resolve))
    }
  }

  /** The first event of this name that the CLI reports. */
  event(name: string): Promise<Line> {
    return this.line('event', name)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async kill(): Promise<void> {
    if (!this.#over) this.#child.kill('SIGKILL')
    await this.ended
  }

  #wake(): void {
    const changed = this.#changed
    this.#changed = []
    for (const resolve of changed) resolve()
  }
}

export interface Piped {
  readonly exitCode: number | null
  readonly bytes: number
  readonly sha256: string
}

/** `pairlay receive -o -`. What it writes is looked at and not kept. */
export function pipeOut(relay: string, code: string): { ended: Promise<Piped>; kill: () => Promise<void> } {
  const args = [CLI, 'receive', code, '--relay', relay, '--yes', '-o', '-']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  const hash = createHash('sha256')
  let bytes = 0
  child.stdout.on('data', (piece: Uint8Array) => {
    hash.update(piece)
    bytes += piece.length
  })
  const ended = new Promise<Piped>((resolve) => {
    child.on('close', (exitCode) => resolve({ exitCode, bytes, sha256: hash.digest('hex') }))
  })
  const kill = async () => {
    child.kill('SIGKILL')
    await ended
  }
  return { ended, kill }
}

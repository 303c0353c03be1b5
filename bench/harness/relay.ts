import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Target } from '../load/links.ts'
import type { ProbeReading } from '../probe.ts'
import { end, lineOf, start } from './children.ts'
import { COMPILED, DIST } from './compile.ts'

/** A relay as a user runs it: built, `node`, and of its environment only what a section says. */

export interface RelayOptions {
  /** Variables that differ from the defaults. They are printed with the results. */
  readonly env?: Readonly<Record<string, string>>
  /** Preloads a probe that can collect garbage and tell the heap's size when asked. */
  readonly probe?: boolean
  /** The build to run; without it the one of the repository. */
  readonly dist?: URL
  readonly nodeArgs?: readonly string[]
  /** Gets every line the process writes. */
  readonly onLine?: (line: string) => void
}

export class RelayProcess {
  readonly pid: number
  readonly target: Target
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.pid = child.pid ?? 0
    this.target = { kind: 'relay', host: '127.0.0.1', port }
  }

  static async start({
    env = {},
    probe = false,
    dist = DIST,
    nodeArgs = [],
    onLine,
  }: RelayOptions = {}): Promise<RelayProcess> {
    const preload = probe ? ['--expose-gc', '--import', new URL('probe.js', COMPILED).href] : []
    const program = fileURLToPath(new URL('server/main.js', dist))
    const child = start(process.execPath, [...preload, ...nodeArgs, program], {
      env: { HOST: '127.0.0.1', PORT: '0', RATE_LIMIT: 'off', ...env },
      stdio: probe ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['ignore', 'pipe', 'pipe'],
    })
    const port = await lineOf(child, 'the relay', (line) => {
      onLine?.(line)
      const found = /"port":(\d+).*the relay is ready/.exec(line)
      return found ? Number(found[1]) : undefined
    })
    return new RelayProcess(child, port)
  }

  get url(): string {
    return `http://127.0.0.1:${this.target.port}`
  }

  get address(): { readonly host: string; readonly port: number } {
    return { host: this.target.host, port: this.target.port }
  }

  /** Returns the reading of the probe after two collections. */
  reading(): Promise<ProbeReading> {
    return readProbe(this.#child)
  }

  end(signal?: NodeJS.Signals): Promise<void> {
    return end(this.#child, signal)
  }
}

export function readProbe(child: ChildProcess): Promise<ProbeReading> {
  return new Promise((resolve, reject) => {
    child.once('message', (reading) => resolve(reading as ProbeReading))
    child.once('exit', (code) => reject(new Error(`the process ended with ${code}`)))
    child.send('read')
  })
}

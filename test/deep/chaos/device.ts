import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { within } from './side-by-side.ts'

const CLI = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))

type Event = { readonly event: string } & Readonly<Record<string, unknown>>

const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** A device as a process of its own: the command line as built, which can be put to sleep. */
export class Device {
  readonly #child: ChildProcess
  readonly #events: Event[] = []
  readonly #exited: Promise<number>
  #changed: (() => void)[] = []
  #errors = ''

  /** Starts `pairlay` with these arguments and `--json`. */
  constructor(args: readonly string[]) {
    this.#child = spawn(process.execPath, [CLI, ...args, '--json'], {
      env: { PATH: process.env.PATH },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    children.add(this.#child)
    const { stdout, stderr } = this.#child
    if (!stdout || !stderr) throw new Error('the device has no output')
    createInterface({ input: stdout }).on('line', (line) => {
      this.#events.push(JSON.parse(line))
      this.#wake()
    })
    stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text
    })
    this.#exited = once(this.#child, 'close').then(([code]) => {
      children.delete(this.#child)
      this.#wake()
      return (code as number | null) ?? -1
    })
  }

  /** The code of what ended it, as it said it. */
  get error(): string | undefined {
    const event = this.#events.findLast((each) => each.event === 'error' || each.event === 'not_delivered')
    return event === undefined ? undefined : String(event.code)
  }

  /** How often it said so. */
  count(name: string): number {
    return this.#events.filter(({ event }) => event === name).length
  }

  /** The first event of this name. Rejects when the device ends without it, or the time is over. */
  event(name: string, limitMs: number): Promise<Event> {
    const look = async () => {
      for (;;) {
        const found = this.#events.find(({ event }) => event === name)
        if (found) return found
        if (!children.has(this.#child)) throw new Error(`the device ended before ${name}: ${this.#errors}`)
        await new Promise<void>((resolve) => this.#changed.push(resolve))
      }
    }
    return within(limitMs, `event ${name}`, look())
  }

  sleep(): void {
    this.#child.kill('SIGSTOP')
  }

  wakeUp(): void {
    this.#child.kill('SIGCONT')
  }

  /** Resolves with its exit code, or undefined when it has not ended by then. */
  async ended(limitMs: number): Promise<number | undefined> {
    return within(limitMs, 'end', this.#exited).catch(() => undefined)
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  #wake(): void {
    for (const resolve of this.#changed.splice(0)) resolve()
  }
}

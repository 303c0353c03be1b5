import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { beforeAll, describe, expect, vi } from 'vitest'
import { execute } from '../../src/cli/program.ts'
import { bytesSource, PairingError, type Receipt, Receiver, Sender } from '../../src/client/index.ts'
import { Signal } from '../../src/client/signal.ts'
import { checkSymbol } from '../../src/crypto/pairing-code.ts'
import { CLI } from '../support/build.ts'
import { withLastTest } from '../support/leftovers.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const RELAY = join(ROOT, 'dist/server/main.js')
/** Collecting garbage on several threads takes longer where each processor is busy. */
const NODE = [process.execPath, '--single-threaded-gc'] as const

/** How long something may take that a test waits for: many times what it takes on a slow machine. */
const PATIENCE_MS = 40_000
/** How long a process may take to end that a test has left behind. */
const GOODBYE_MS = 1_000
/** How often something is looked at that nobody tells us of, such as a file or the memory of a process. */
const LOOK_MS = 20

export const KIB = 1024
export const MIB = 1024 * KIB

/** An event of `--json`. */
export type Event = { readonly event: string } & Readonly<Record<string, unknown>>

export interface Outcome {
  /** As a shell says it: 128 and the signal's number for a process that a signal ended. */
  readonly exitCode: number
  readonly stdout: Buffer
  readonly stderr: string
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** A string is all of stdin; `open` leaves it to the test. Without it stdin is empty. */
  readonly stdin?: string | Buffer | 'open'
  /** Leaves stdout alone until `readStdout`. */
  readonly stdoutUnread?: boolean
}

/** A process that a test has started, what it wrote so far, and ways to wait for what it will write. */
export class Program {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #name: string
  readonly #stdout: Buffer[] = []
  readonly #exited: Promise<number>
  #stderr = ''
  #exitCode: number | undefined
  readonly #changed = new Signal()

  constructor(command: string, args: readonly string[], options: StartOptions = {}) {
    const { env = {}, cwd, stdin, stdoutUnread } = options
    this.#name = args.join(' ').replace(`${ROOT}dist/`, '')
    this.#child = spawn(command, args, {
      ...(cwd === undefined ? {} : { cwd }),
      // Of this process's environment nothing but what it takes to run; and no terminal that somebody could be asked on.
      env: { PATH: process.env.PATH, XDG_STATE_HOME: state, XDG_CONFIG_HOME: state, ...env },
      detached: true,
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    this.pid = this.#child.pid ?? 0
    this.#exited = new Promise((resolve) => {
      const end = (exitCode: number) => {
        this.#exitCode = exitCode
        resolve(exitCode)
      }
      this.#child.on('error', ({ message }) => {
        // As a shell says it of a program that is not there.
        this.#stderr += message
        end(127)
        this.#changed.fire()
      })
      this.#child.on('exit', (code, signal) => end(code ?? 128 + constants.signals[signal as NodeJS.Signals]))
      this.#child.on('close', () => this.#changed.fire())
    })
    // A process that ends early takes no more input, and says elsewhere why it ended.
    this.#child.stdin?.on('error', () => {})
    if (stdin !== undefined && stdin !== 'open') this.#child.stdin?.end(stdin)
    if (!stdoutUnread) this.readStdout()
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
      this.#changed.fire()
    })
  }

  get stdout(): Buffer {
    return Buffer.concat(this.#stdout)
  }

  get stderr(): string {
    return this.#stderr
  }

  get running(): boolean {
    return this.#exitCode === undefined
  }

  /** The lines of stdout as JSON, the last only when it is whole. Throws for one that is not JSON. */
  get events(): Event[] {
    return this.stdout
      .toString()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line))
  }

  readStdout(onPiece: (piece: Buffer) => void = (piece) => this.#stdout.push(piece)): void {
    this.#child.stdout?.on('data', (piece: Buffer) => {
      onPiece(piece)
      this.#changed.fire()
    })
  }

  /** Resolves when the process has taken the bytes. */
  write(bytes: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => this.#child.stdin?.write(bytes, () => resolve()))
  }

  endStdin(): void {
    this.#child.stdin?.end()
  }

  /** Nobody reads its output any more. */
  closeStdout(): void {
    this.#child.stdout?.destroy()
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Resolves with the event of this name, whether it is there or still to come. */
  event(name: string, nth = 1): Promise<Event> {
    return this.until(`event ${name}`, () => this.events.filter(({ event }) => event === name)[nth - 1])
  }

  /** Resolves when stderr has this text. */
  says(text: string | RegExp): Promise<RegExpMatchArray> {
    return this.until(`says ${text}`, () => this.#stderr.match(text) ?? undefined)
  }

  /** Resolves with what `look` finds: it looks when something was written. Throws when the process ends without it. */
  async until<T>(what: string, look: () => T | undefined): Promise<T> {
    const late = new Promise<'late'>((resolve) => setTimeout(resolve, PATIENCE_MS, 'late').unref())
    for (;;) {
      const found = look()
      if (found !== undefined) return found
      if (!this.running) throw this.#failure(`ended with ${this.#exitCode} before: ${what}`)
      if ((await Promise.race([this.#changed.next(), late])) === 'late') throw this.#failure(`never: ${what}`)
    }
  }

  /** Resolves when it has ended by itself and everything it wrote is here. */
  async ended(patienceMs = PATIENCE_MS): Promise<Outcome> {
    const late = new Promise<'late'>((resolve) => setTimeout(resolve, patienceMs, 'late').unref())
    const exitCode = await Promise.race([this.#exited, late])
    if (exitCode === 'late') throw this.#failure('did not end')
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream?.readableFlowing && !stream.closed) {
        await new Promise<void>((resolve) => stream.once('close', () => resolve()))
      }
    }
    return { exitCode, stdout: this.stdout, stderr: this.#stderr }
  }

  /** Ends it, with a moment to end what it has started. */
  async kill(): Promise<void> {
    if (!this.running || this.pid === 0) return
    for (const signal of ['SIGCONT', 'SIGTERM'] as const) this.#child.kill(signal)
    const hurry = setTimeout(() => this.#child.kill('SIGKILL'), GOODBYE_MS)
    await this.#exited
    clearTimeout(hurry)
  }

  #failure(what: string): Error {
    const stdout = this.stdout.subarray(0, 4 * KIB).toString()
    return new Error(`${this.#name}\n${what}\n--- stdout\n${stdout}\n--- stderr\n${this.#stderr}`)
  }
}

/** Where the tries of these tests are counted, and settings looked for, and no person's. */
const state = join(tmpdir(), `pairlay-state-${process.pid}`)
const removeState = () => rm(state, { recursive: true, force: true })

/** A relay for all tests of a file, and the environment that makes it the one to use. It starts with the first test. */
export function relayOfFile(): { readonly url: string; readonly env: { readonly PAIRLAY_RELAY: string } } {
  let relay: RelayProgram | undefined
  beforeAll(async () => {
    relay = await RelayProgram.start()
  })
  const url = () => relay?.url ?? ''
  return {
    get url() {
      return url()
    },
    env: {
      get PAIRLAY_RELAY() {
        return url()
      },
    },
  }
}

/** Starts `pairlay` with these arguments. It is ended with the file's last test at the latest. */
export function pairlay(args: readonly string[], options: StartOptions = {}): Program {
  const [node, flag] = NODE
  return start(node, [flag, CLI, ...args], options)
}

/** Runs `pairlay` to its end. */
export function run(args: readonly string[], options: StartOptions = {}): Promise<Outcome> {
  return pairlay(args, options).ended()
}

let turn: Promise<unknown> = Promise.resolve()

/** Carries out a command line that asks nothing, in this process and when the one before has ended. */
export function runHere(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  withLastTest(removeState)
  const work = async (): Promise<Outcome> => {
    const written = { stdout: '', stderr: '' }
    const spies = (['stdout', 'stderr'] as const).map((name) =>
      vi.spyOn(process[name], 'write').mockImplementation((text) => {
        written[name] += text
        return true
      }),
    )
    for (const [name, value] of Object.entries({
      PAIRLAY_RELAY: '',
      XDG_STATE_HOME: state,
      XDG_CONFIG_HOME: state,
      ...env,
    }))
      vi.stubEnv(name, value)
    try {
      const exitCode = await execute(args, '')
      return { exitCode, stdout: Buffer.from(written.stdout), stderr: written.stderr }
    } finally {
      vi.unstubAllEnvs()
      for (const spy of spies) spy.mockRestore()
    }
  }
  const outcome = turn.then(work)
  turn = outcome.catch(() => {})
  return outcome
}

/** Starts `pairlay` in a shell that has first run `preparation`. */
export function pairlayAfter(preparation: string, args: readonly string[], options: StartOptions = {}): Program {
  return start('sh', ['-c', `${preparation}; exec "$@"`, 'sh', ...NODE, CLI, ...args], options)
}

function start(command: string, args: readonly string[], options: StartOptions): Program {
  withLastTest(removeState)
  const program = new Program(command, args, options)
  withLastTest(() => program.kill())
  return program
}

/** Starts a sender that approves everybody, and gives its code. */
export async function openSender(args: readonly string[], options: StartOptions = {}) {
  const sender = pairlay(['send', '--yes', '--json', ...args], options)
  const { code, link } = await sender.event('code')
  return { sender, code: String(code), link: String(link) }
}

/** Starts a sender, and gives the code that it shows a person. */
export async function openPlain(args: readonly string[], options: StartOptions = {}) {
  const sender = pairlay(['send', ...args], options)
  const [, code = ''] = await sender.says(/Code: (\S+)/)
  return { sender, code }
}

/** Starts a sender of a file, in a directory of its own, and gives the code that it shows a person. */
export async function openFile(args: readonly string[], options: StartOptions = {}) {
  const directory = await temporaryDirectory()
  await writeFile(directory.at('file'), 'content')
  return { ...directory, ...(await openPlain([...args, directory.at('file')], options)) }
}

/** Sends to a receiver that accepts, expects that both end well, and gives what the receiver wrote. */
export async function handOver(
  { url }: { readonly url: string },
  send: readonly string[],
  receive: readonly string[],
  { stdin, cwd }: Pick<StartOptions, 'stdin' | 'cwd'> = {},
): Promise<Outcome> {
  const { sender, code } = await openSender([...send, '--relay', url], stdin === undefined ? {} : { stdin })
  const received = await run(['receive', code, '--relay', url, '--yes', ...receive], cwd === undefined ? {} : { cwd })
  expect([(await sender.ended()).exitCode, received.exitCode]).toEqual([0, 0])
  return received
}

/** A sender and a receiver in the middle of a pipe that goes on: a partial file is there. */
export async function startTransfer({ url }: { readonly url: string }) {
  const { at, path } = await temporaryDirectory()
  const { sender, code } = await openPlain(['--yes', '-', '--relay', url], { stdin: 'open' })
  void sender.write(Buffer.alloc(MIB))
  const receiver = pairlay(['receive', code, '--relay', url, '--yes', '-o', at('file')])
  await partialFile(path)
  return { sender, receiver, at, path }
}

export function partialFile(path: string): Promise<string> {
  return eventually('a partial file', async () =>
    (await readdir(path)).find((name) => /^file\.\w{26}\.part$/.test(name)),
  )
}

/** The end of a device in this process: the items it has, or the code of what ended it. */
export type Taken = { readonly items: readonly string[] } | { readonly error: string }

/** A device in this process that offers items, named and filled as given, to the first that enters its code. */
export async function offer(relay: { readonly url: string }, items: Readonly<Record<string, string>>, receivers = 1) {
  const sender = await Sender.open({ relay: relay.url, receivers })
  const sources = Object.entries(items).map(([name, content]) => bytesSource(Buffer.from(content), name))
  const send = async (): Promise<readonly Receipt[]> => {
    for await (const request of sender.requests()) await request.approve()
    const receipts = await sender.send(sources)
    await sender.close()
    return receipts
  }
  return { code: sender.code, delivered: send().then((receipts) => receipts.map(({ delivered }) => delivered)) }
}

/** A device in this process that enters a code, and takes what it gets. */
export async function take(relay: { readonly url: string }, code: string, name = 'a device') {
  const receiver = await Receiver.join({ relay: relay.url, code, name })
  const receive = async (): Promise<Taken> => {
    const items: string[] = []
    try {
      for await (const transfer of receiver.offers()) {
        for await (const item of transfer.accept()) items.push(await new Response(item.stream).text())
      }
      return { items }
    } catch (error) {
      if (error instanceof PairingError) return { error: error.code }
      throw error
    }
  }
  return { number: receiver.verified, taken: receive(), leave: () => receiver.close() }
}

/** A code whose first half is right and whose second is not: one of many. */
export function withOtherSecret(code: string, nth = 0): string {
  const symbols = code.replace('-', '')
  const secret = symbols.slice(5, 9) === '0000' ? `1111${nth}` : `0000${nth}`
  const ten = symbols.slice(0, 5) + secret
  return ten + checkSymbol(ten)
}

export interface Directory {
  readonly path: string
  /** The path of something in it. */
  readonly at: (name: string) => string
}

/** A directory with these files, and with folders where a name ends in a slash. It goes with the file's last test. */
export async function temporaryDirectory(content: Readonly<Record<string, string | Buffer>> = {}): Promise<Directory> {
  const path = await mkdtemp(join(tmpdir(), 'pairlay-cli-'))
  withLastTest(() => rm(path, { recursive: true, force: true }))
  const at = (name: string) => join(path, name)
  for (const [name, bytes] of Object.entries(content))
    await (name.endsWith('/') ? mkdir(at(name)) : writeFile(at(name), bytes))
  return { path, at }
}

/** A relay as a process of its own. */
export class RelayProgram {
  readonly url: string
  readonly #program: Program
  readonly #port: number

  private constructor(program: Program, port: number) {
    this.#program = program
    this.#port = port
    this.url = `http://127.0.0.1:${port}`
  }

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<RelayProgram> {
    const program = new Program(process.execPath, ['--single-threaded-gc', RELAY], {
      env: { PORT: '0', RATE_LIMIT: 'off', ...settings },
    })
    const relay = new RelayProgram(program, await portOf(program))
    withLastTest(() => relay.stop('SIGKILL'))
    return relay
  }

  get pid(): number {
    return this.#program.pid
  }

  /** Its log, at the level of `error` and above. */
  get failures(): string[] {
    const lines = this.#program.stdout.toString().split('\n').slice(0, -1)
    return lines.filter((line) => JSON.parse(line).level >= 50)
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.#program.signal(signal)
    await this.#program.ended()
  }

  /** Another relay, which knows nothing of the first, at the same address. */
  restart(): Promise<RelayProgram> {
    return RelayProgram.start({ PORT: String(this.#port) })
  }
}

/** The port that a relay says it listens on. */
export function portOf(program: Program): Promise<number> {
  return program.until('the relay is ready', () => {
    const ready = program.events.find(({ msg }) => msg === 'the relay is ready')
    return ready && Number(ready.port)
  })
}

/** `text` as one word for a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}

const hasScript = spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') === true

/** Tests that run side by side: most of their time they wait for processes. */
export function describeConcurrent(name: string, tests: () => void): void {
  describe(name, { concurrent: true }, tests)
}

/** Tests with a pseudo-terminal. Without `script` they are skipped, or fail when REQUIRE_ALL is set. */
export function describeTerminal(name: string, tests: () => void): void {
  if (hasScript || process.env.REQUIRE_ALL) describeConcurrent(name, tests)
  else describe.skip(`${name}: SKIPPED, there is no script(1) of util-linux here`, tests)
}

/**
 * The size of the terminal, and words for its shell: what it does before, what it runs the command under, such as nohup,
 * and what follows the command, such as a redirection.
 */
export interface ScreenOptions extends StartOptions {
  readonly columns?: number
  readonly rows?: number
  readonly before?: string
  readonly under?: string
  readonly after?: string
}

/** `pairlay` at a terminal of its own: everything it shows comes out of one end, and what is typed goes in there. */
export class Screen {
  readonly #program: Program

  constructor(args: readonly string[], options: ScreenOptions = {}) {
    const { columns = 160, rows = 24, before = ':', under = '', after = '', env, ...rest } = options
    if (!hasScript) throw new Error('REQUIRE_ALL is set, but there is no script(1) of util-linux here')
    const command = [...NODE, CLI, ...args].map(quoted).join(' ')
    const size = columns === 0 ? '' : `stty cols ${columns} rows ${rows}; `
    const session = `${before}; ${size}exec ${under} ${command} ${after}`
    this.#program = start('script', ['--quiet', '--flush', '--return', '--command', session, '/dev/null'], {
      ...rest,
      env: { TERM: 'xterm', ...env },
      stdin: 'open',
    })
  }

  /** Everything that was written to the terminal, as it was written. */
  get raw(): string {
    return this.#program.stdout.toString()
  }

  /** The same without control sequences and carriage returns. */
  get text(): string {
    return stripVTControlCharacters(this.raw).replaceAll('\r', '')
  }

  /** The lines that the terminal shows in the end: progress that was overwritten is gone. */
  get shown(): string[] {
    return linesShown(this.raw)
  }

  /** Types a line and Enter. */
  enter(line: string): Promise<void> {
    return this.#program.write(`${line}\r`)
  }

  type(keys: string): Promise<void> {
    return this.#program.write(keys)
  }

  /** Closes the window. */
  close(): void {
    this.#program.signal('SIGKILL')
  }

  /** Types a line when a question, or what else asks for it, was shown. */
  async answer(question: string | RegExp, line: string, nth = 1): Promise<RegExpMatchArray> {
    const shown = await this.says(question, nth)
    await this.enter(line)
    return shown
  }

  /** Resolves when the text was shown, `nth` times. */
  says(text: string | RegExp, nth = 1): Promise<RegExpMatchArray> {
    const pattern =
      typeof text === 'string' ? new RegExp(text.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&'), 'g') : new RegExp(text, 'g')
    return this.#program.until(`shows ${text}`, () => [...this.text.matchAll(pattern)][nth - 1])
  }

  async ended(): Promise<{ exitCode: number; text: string }> {
    const { exitCode } = await this.#program.ended()
    return { exitCode, text: this.text }
  }
}

const ESCAPE = '\u001b'
/** The control sequences of our own: the colours of a QR code, and the way back up over lines of progress. */
const OWN_SEQUENCES = new RegExp(`${ESCAPE}\\[(?:30;107m|0m|(\\d+)A${ESCAPE}\\[J)`, 'g')

/** The lines a terminal shows after it was given `raw`, as far as sequences of our own are concerned. */
function linesShown(raw: string): string[] {
  const lines = ['']
  let end = 0
  const write = (text: string) => {
    const [first = '', ...rest] = text.replaceAll('\r', '').split('\n')
    lines[lines.length - 1] += first
    lines.push(...rest)
  }
  for (const match of raw.matchAll(OWN_SEQUENCES)) {
    write(raw.slice(end, match.index))
    end = match.index + match[0].length
    if (match[1] === undefined) continue
    // The way up keeps to the column: what stands before it in that line stays.
    const column = raw[match.index - 1] === '\r' ? 0 : (lines.at(-1)?.length ?? 0)
    const [line = ''] = lines.splice(-1 - Number(match[1]), Number.POSITIVE_INFINITY)
    lines.push(line.slice(0, column))
  }
  write(raw.slice(end))
  return lines
}

/** Every control character that is not part of a sequence of our own, a tab or the end of a line. */
export function foreignControls(raw: string): string[] {
  return (
    raw
      .replaceAll(OWN_SEQUENCES, '')
      .replaceAll(/[\t\r\n]/g, '')
      .match(/\p{Cc}/gu) ?? []
  )
}

/** Resolves with what `look` finds; it looks every now and then. */
export async function eventually<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const patience = performance.now() + PATIENCE_MS
  while (performance.now() < patience) {
    const found = await look()
    if (found !== undefined) return found
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
  throw new Error(`never: ${what}`)
}

/** Reports whether this system says how much memory a process has. */
export const showsMemory = process.platform === 'linux'

/** The memory of a process in bytes, now and at its most so far; undefined when it has ended. */
export function memoryOf(pid: number): { now: number; most: number } | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const field = (name: string) => Number(status.match(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm'))?.[1]) * KIB
    const memory = { now: field('VmRSS'), most: field('VmHWM') }
    return Number.isNaN(memory.now) ? undefined : memory
  } catch {
    return undefined
  }
}

/** Watches processes until `work` is done, and gives the most memory each had meanwhile. */
export async function mostMemory(pids: readonly number[], work: Promise<unknown>): Promise<number[]> {
  const most = pids.map(() => 0)
  const look = () => {
    for (const [index, pid] of pids.entries()) most[index] = Math.max(most[index] ?? 0, memoryOf(pid)?.now ?? 0)
  }
  const timer = setInterval(look, LOOK_MS)
  try {
    await work
    look()
    return most
  } finally {
    clearInterval(timer)
  }
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path, { highWaterMark: MIB })) hash.update(piece)
  return hash.digest('hex')
}

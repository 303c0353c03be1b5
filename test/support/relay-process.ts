import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/**
 * The relay as built, in a process of its own, that can be asked what it holds. The process is `dist/server/main.js` and
 * nothing else; a probe loaded before it looks at the objects it makes, and can move the clock it reads.
 */
export interface RelayProcess {
  readonly url: string
  readonly port: number
  readonly pid: number
  /**
   * Lines logged as an error, and everything on stderr. A crash, an unhandled rejection and a 5xx `internal` are such lines. That
   * Redis was late is not: on a busy machine it is.
   */
  readonly failures: readonly string[]
  /** Lines logged as an error, those of a late Redis included. */
  readonly errors: readonly string[]
  /** The exit code, or undefined while the process lives. */
  exitCode(): number | undefined
  /** State of the process after a full garbage collection. */
  state(): Promise<ProcessState>
  /** Moves the relay's clock forward, and resolves after its next tick, within a second or so. */
  advance(milliseconds: number): Promise<void>
  /** Advances past every deadline there is, twice, so that epitaphs are over too. */
  forgetEverything(): Promise<void>
  stop(): Promise<number>
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>
}

export interface ProcessState {
  /** The relay's counters, as `NOTHING_LEFT` has them. */
  readonly counters: Readonly<Record<string, number>>
  readonly heapBytes: number
  readonly externalBytes: number
}

const ROOT = new URL('../../', import.meta.url)
const LOG_LEVEL_ERROR = 50
const LATE = /"reason":"(Connection timeout|a command had no answer in time)"/
const FOREVER_MS = 10_000_000

/** Runs inside the relay's process, before main.js, in the same module graph. */
const PROBE = `
import v8 from 'node:v8'
import vm from 'node:vm'
const dist = ${JSON.stringify(new URL('dist/', ROOT).href)}
const { Relay } = await import(dist + 'relay/relay.js')
const { MemorySessionStore } = await import(dist + 'store/memory/sessions.js')
const { MemoryMailboxStore } = await import(dist + 'store/memory/mailboxes.js')
const { systemClock } = await import(dist + 'server/system.js')
v8.setFlagsFromString('--expose-gc')
const gc = vm.runInNewContext('gc')
const seen = {}
let ticks = 0
const watch = (type, method, name) => {
  const original = type.prototype[method]
  type.prototype[method] = function (...args) { seen[name] = this; return original.apply(this, args) }
}
watch(MemorySessionStore, 'due', 'sessions')
watch(MemoryMailboxStore, 'open', 'mailboxes')
const tick = Relay.prototype.tick
const awaited = []
Relay.prototype.tick = async function () {
  seen.relay = this
  await tick.call(this)
  ticks++
  for (const each of awaited.splice(0)) if (each.at <= ticks) each.answer(); else awaited.push(each)
}
const now = systemClock.now
let offset = 0
systemClock.now = () => now() + offset
process.on('message', ({ id, advance, ticksToWait, collect }) => {
  offset += advance
  const answer = () => report(id, collect)
  if (ticksToWait > 0) awaited.push({ at: ticks + ticksToWait, answer })
  else answer()
})
function report(id, collect) {
  if (collect) { gc(); gc() }
  const { relay, sessions, mailboxes } = seen
  const { heapUsed, external } = process.memoryUsage()
  process.send({ id, heapBytes: heapUsed, externalBytes: external, counters: {
    sessions: sessions?.size ?? 0, storeEntries: sessions?.entries ?? 0,
    mailboxes: mailboxes?.size ?? 0, unackedBytes: mailboxes?.unackedCost ?? 0,
    ...(relay?.counts ?? { grantedBytes: 0, grants: 0, sockets: 0, watchers: 0 }),
  } })
}
process.channel.unref()
`

/** Starts the relay that the tests' global setup has built, on 127.0.0.1 and a free port. */
export async function startRelayProcess(settings: Readonly<Record<string, string>> = {}): Promise<RelayProcess> {
  const probe = `data:text/javascript,${encodeURIComponent(PROBE)}`
  const child = spawn(process.execPath, ['--import', probe, 'dist/server/main.js'], {
    cwd: fileURLToPath(ROOT),
    env: { HOST: '127.0.0.1', PORT: '0', RATE_LIMIT: 'off', ALLOWED_HOSTS: '*', ...settings },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const failures: string[] = []
  const errors: string[] = []
  let exitCode: number | undefined
  let killed = false
  const exited = once(child, 'close').then(([code, signal]) => {
    exitCode = (code as number | null) ?? -1
    if (exitCode !== 0 && !killed) failures.push(`exited with ${code ?? signal}`)
    return exitCode
  })
  const { stdout, stderr } = child
  if (!stdout || !stderr) throw new Error('the relay has no output')
  stderr.setEncoding('utf8').on('data', (text: string) => failures.push(text))
  const port = await new Promise<number>((resolve, reject) => {
    createInterface({ input: stdout }).on('line', (line) => {
      const entry: { level: number; msg: string; port?: number } = JSON.parse(line)
      if (entry.level >= LOG_LEVEL_ERROR) errors.push(line)
      if (entry.level >= LOG_LEVEL_ERROR && !LATE.test(line)) failures.push(line)
      // This one may never reach its Redis.
      if (entry.msg === 'started' && entry.port) resolve(entry.port)
    })
    exited.then(() => reject(new Error(`the relay did not start: ${failures}`)), reject)
  })
  let asked = 0
  const answers = new Map<number, (state: ProcessState) => void>()
  child.on('message', (message) => {
    const state = message as ProcessState & { readonly id: number }
    answers.get(state.id)?.(state)
    answers.delete(state.id)
  })
  const ask = async (advance: number, ticksToWait: number, collect = false): Promise<ProcessState> => {
    const id = ++asked
    const answer = new Promise<ProcessState>((resolve) => answers.set(id, resolve))
    child.send({ id, advance, ticksToWait, collect })
    return Promise.race([
      answer,
      exited.then(() => {
        throw new Error(`the relay has exited: ${failures}`)
      }),
    ])
  }
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    pid: child.pid ?? 0,
    failures,
    errors,
    exitCode: () => exitCode,
    state: () => ask(0, 0, true),
    advance: async (milliseconds) => void (await ask(milliseconds, 1)),
    // The first round ends what is due and starts its epitaph, the second forgets it.
    forgetEverything: async () => {
      for (let round = 0; round < 2; round++) await ask(FOREVER_MS, 1)
    },
    stop: () => {
      child.kill('SIGTERM')
      return exited
    },
    kill: async () => {
      killed = true
      child.kill('SIGKILL')
      await exited
    },
  }
}

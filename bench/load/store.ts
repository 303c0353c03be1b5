import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import type * as RelayModule from '../../src/relay/relay.ts'
import type * as BusModule from '../../src/store/memory/bus.ts'
import type * as MailboxesModule from '../../src/store/memory/mailboxes.ts'
import type * as SessionsModule from '../../src/store/memory/sessions.ts'

/**
 * The memory store under the domain's own calls, without a server, with so many live sessions: what it costs to add one
 * and, in the same second, to end and to forget one. Arguments: live sessions, sessions to measure. Prints a line of JSON.
 */

export interface StoreReading {
  /** CPU time of the process, its garbage collection included. */
  readonly microsPerSession: number
  readonly microsPerFind: number
  readonly longestSweepMs: number
  readonly dueInLongestSweep: number
  readonly heapBytesPerSession: number
}

const TTL_SECONDS = 900
const SECOND_MS = 1000
const FINDS = 100_000
/** More than any real one: it is not what is measured. */
const ENOUGH = 1_000_000_000

const [live = 0, operations = 0] = process.argv.slice(2).map(Number)
const built = (path: string) => import(new URL(`../../../dist/${path}`, import.meta.url).href)
const { MemoryBus }: typeof BusModule = await built('store/memory/bus.js')
const { MemoryMailboxStore }: typeof MailboxesModule = await built('store/memory/mailboxes.js')
const { MemorySessionStore }: typeof SessionsModule = await built('store/memory/sessions.js')
const { Relay }: typeof RelayModule = await built('relay/relay.js')
const { gc } = globalThis as { gc?: () => void }

let now = 0
/** Secrets of the next session, made beforehand: random numbers and digests are not measured. */
let secret = { id: '', token: '', digest: '' }
const clock = { now: () => now }
const store = new MemorySessionStore(clock)
const relay = new Relay(
  {
    sessions: store,
    mailboxes: new MemoryMailboxStore(),
    bus: new MemoryBus(),
    clock,
    digestAddress: (clientAddress: string) => clientAddress,
    secrets: { sessionId: () => secret.id, token: () => secret.token, digest: () => secret.digest },
    diagnostics: {
      relayed: () => {},
      discarded: () => {},
      failed: (error) => {
        throw error
      },
    },
  },
  {
    sessionTtlSeconds: TTL_SECONDS,
    maxSessionTtlSeconds: TTL_SECONDS,
    maxReceivers: 8,
    maxSessions: ENOUGH,
    maxSessionsPerClient: ENOUGH,
    maxSessionsPerSource: ENOUGH,
    limitAddresses: false,
    maxFrameBytes: 262_272,
    windowBytes: 2_098_176,
    memoryBudgetBytes: ENOUGH,
  },
)
const perSecond = live / TTL_SECONDS
const codes: string[] = []

let pool = Buffer.alloc(0)
/** Random text out of a large piece: asking for a few bytes at a time would take longer than what is measured. */
function random(bytes: number): string {
  if (pool.length < bytes) pool = randomBytes(1024 * 1024)
  const text = pool.toString('base64url', 0, bytes)
  pool = pool.subarray(bytes)
  return text
}

/** Returns the sessions of this second. */
function prepare(second: number) {
  const count = Math.floor((second + 1) * perSecond) - Math.floor(second * perSecond)
  return Array.from({ length: count }, () => ({
    secret: { id: random(16), token: random(32), digest: random(32) },
    request: { clientId: random(9), senderCode: random(6), maxReceivers: 1 },
  }))
}

async function add(sessions: ReturnType<typeof prepare>): Promise<void> {
  for (const each of sessions) {
    secret = each.secret
    await relay.createSession(each.request, '')
  }
}

gc?.()
const heapBefore = process.memoryUsage().heapUsed
let second = 0
for (; second < TTL_SECONDS; second++) {
  now = second * SECOND_MS
  const sessions = prepare(second)
  for (const { request } of sessions) if (codes.length < FINDS) codes.push(request.senderCode)
  await add(sessions)
}
gc?.()
const heapBytesPerSession = (process.memoryUsage().heapUsed - heapBefore) / store.size

const findStartedAt = performance.now()
for (let n = 0; n < FINDS; n++) await store.findByCode(codes[n % codes.length] ?? '')
const microsPerFind = ((performance.now() - findStartedAt) * 1000) / FINDS

let [spentMicros, added, longestSweepMs, dueInLongestSweep] = [0, 0, 0, 0]
// A minute more, until the first that ended are forgotten too, is not measured.
const measureFrom = second + 61
for (; added < operations; second++) {
  now = second * SECOND_MS
  const sessions = prepare(second)
  const cpuBefore = process.cpuUsage()
  await add(sessions)
  const sweptFrom = performance.now()
  await relay.tick()
  const endedAt = performance.now()
  const cpu = process.cpuUsage(cpuBefore)
  if (second < measureFrom) continue
  spentMicros += cpu.user + cpu.system
  added += sessions.length
  // As many end and as many are forgotten as come in.
  if (endedAt - sweptFrom > longestSweepMs)
    [longestSweepMs, dueInLongestSweep] = [endedAt - sweptFrom, 2 * sessions.length]
}
const reading: StoreReading = {
  microsPerSession: spentMicros / added,
  microsPerFind,
  longestSweepMs,
  dueInLongestSweep,
  heapBytesPerSession,
}
process.stdout.write(`${JSON.stringify(reading)}\n`)

import { setTimeout as sleep } from 'node:timers/promises'
import { type Agent, withAgents } from '../harness/agents.ts'
import { interleave, type Outcome } from '../harness/interleave.ts'
import { cpuSeconds } from '../harness/process-stats.ts'
import { redisTraffic } from '../harness/redis-traffic.ts'
import { RelayProcess } from '../harness/relay.ts'
import type { Section, SectionContext } from '../harness/report.ts'
import { percentile, spread } from '../harness/stats.ts'
import type { Target } from '../load/links.ts'
import { SDK_FRAME_BYTES, SMALL_FRAME_BYTES } from '../plan.ts'
import { redis as startRedis } from '../yardsticks/servers.ts'
import { failureNotes, ratioOf } from './contenders.ts'

const GB = 1e9
const MB = 1e6
const MIB = 1024 * 1024
const TIMEOUT_MS = 120_000
const AT_ONCE = 32
const PLACES = ['memory', 'Redis, both ends on one node', 'Redis, ends on two nodes'] as const
const SECONDS_MAX = 60
/** Until each node knows that the other lives. */
const ACQUAINTANCE_MS = 2_500

/** A relay or several, and the nodes that the two ends go to. */
interface Place {
  readonly name: string
  readonly target: Target
  readonly relays: readonly number[]
  readonly redis: { readonly pid: number; readonly port: number } | undefined
}

export const nodes: Section = {
  name: 'nodes',
  about: 'a relay alone, two nodes with both ends on one of them, and with an end on each',
  run: async (context) => {
    const started = await startRedis([0])
    if ('skipped' in started) {
      context.report.table({
        title: 'Nodes',
        columns: [],
        rows: [],
        notes: [`redis-server: skipped: ${started.skipped}`],
      })
      return
    }
    const relays: RelayProcess[] = []
    const [pid = 0] = started.pids
    const redis = { pid, port: started.targets[0]?.port ?? 0 }
    try {
      const env = { REDIS_URL: `redis://127.0.0.1:${redis.port}` }
      for (const each of [{}, env, env]) relays.push(await RelayProcess.start({ env: each }))
      const [alone, first, second] = relays as [RelayProcess, RelayProcess, RelayProcess]
      await sleep(ACQUAINTANCE_MS)
      const several = { relays: [first.pid, second.pid], redis }
      await withAgents(1, async ([agent]) => {
        if (!agent) return
        await measureAll(context, agent, [
          { name: PLACES[0], target: alone.target, relays: [alone.pid], redis: undefined },
          { name: PLACES[1], target: first.target, ...several },
          { name: PLACES[2], target: { ...first.target, far: second.address }, ...several },
        ])
      })
    } finally {
      await Promise.all(relays.map((relay) => relay.end()))
      await started.stop()
    }
  },
}

interface Round {
  /** By the key of its column. */
  readonly [figure: string]: number | undefined
}

interface Column {
  readonly key: string
  readonly head: string
  readonly digits: number
  /** Its name in docs/cluster.md, where it is published. */
  readonly published?: string
}

const BULK: readonly Column[] = [
  { key: 'rate', head: 'MB/s', digits: 0, published: 'rate of one pair, MB/s' },
  { key: 'relayCpu', head: 'relay CPU s/GB', digits: 2, published: 'CPU in the relays for a gigabyte, s' },
  { key: 'redisCpu', head: 'Redis CPU s/GB', digits: 2, published: 'CPU in Redis for a gigabyte, s' },
  { key: 'redisIn', head: 'MB into Redis per MB', digits: 3, published: 'into Redis for a relayed MB, MB' },
  { key: 'redisOut', head: 'out of it', digits: 3, published: 'out of Redis for a relayed MB, MB' },
  { key: 'clientShare', head: 'client CPU %', digits: 0 },
]

const PING: readonly Column[] = [
  { key: 'p50', head: 'round trip p50', digits: 2, published: 'round trip of 64 bytes, median, ms' },
  { key: 'p99', head: 'p99', digits: 2, published: 'round trip of 64 bytes, slowest of 100, ms' },
]

const PAIRINGS: readonly Column[] = [
  { key: 'perSecond', head: 'pairings/s', digits: 0, published: `pairings a second, ${AT_ONCE} at once` },
  { key: 'p50', head: 'whole p50 ms', digits: 1 },
  { key: 'p99', head: 'p99', digits: 1 },
  { key: 'relayCpu', head: 'relay CPU µs each', digits: 0, published: 'CPU in the relays for a pairing, µs' },
  { key: 'redisCpu', head: 'Redis CPU µs each', digits: 0, published: 'CPU in Redis for a pairing, µs' },
  { key: 'redisIn', head: 'kB into Redis each', digits: 1, published: 'into Redis for a pairing, kB' },
  { key: 'redisOut', head: 'out of it', digits: 1 },
]

/** The table of docs/cluster.md: the lines around it, its columns, and the names of its rows. */
export const PUBLISHED = {
  begin: '<!-- begin: npm run bench -- --only nodes -->',
  end: '<!-- end -->',
  places: PLACES,
  rows: [BULK, PING, PAIRINGS].flatMap((columns) => columns.flatMap(({ published }) => published ?? [])),
}

async function measureAll(context: SectionContext, agent: Agent, places: readonly Place[]): Promise<void> {
  const { bytes, pings, pingGapMs, pairings, warmUp } = context.plan.nodes
  const lines: string[] = []
  const measure = async (
    title: string,
    columns: readonly Column[],
    run: (place: Place) => Promise<Round>,
    warm: (place: Place) => Promise<unknown> = run,
  ): Promise<Outcome<Round>[]> => {
    const { rounds, secondsPerTable } = context.plan.nodes
    const contenders = places.map((place) => ({ name: place.name, run: () => run(place), warmUp: () => warm(place) }))
    const outcomes = await interleave<Round>(contenders, { rounds, seconds: secondsPerTable })
    const failed = outcomes
      .flatMap(({ rounds: each }) => each.map((round) => round.failed ?? 0))
      .reduce((a, b) => a + b, 0)
    const notes = [
      ...(columns === PING ? [] : [CPU_NOTE]),
      ...(failed === 0 ? [] : [`${failed} pairings failed and are not counted`]),
      ...failureNotes(outcomes),
    ]
    const rows = outcomes.map((outcome) => ({
      name: outcome.name,
      cells: Object.fromEntries(columns.map(({ key }) => [key, figure(outcome, key)])),
    }))
    context.report.table({ title, columns, rows, notes })
    lines.push(...columns.flatMap((column) => publishedLine(column, outcomes)))
    return outcomes
  }
  const bulk = await measure(
    `Nodes: one pair, frames of the SDK, ${Math.round(bytes / MIB)} MiB a round`,
    BULK,
    (place) => bulkRound(agent, place, bytes),
  )
  const [alone = '', onOne = ''] = PLACES
  context.report.goal(
    'nodesCpu',
    ratioOf(bulk, onOne, alone, (round) => round.relayCpu ?? Number.NaN),
  )
  await measure(`Nodes: milliseconds for 64 B there and back, one every ${pingGapMs} ms, idle`, PING, (place) =>
    pingRound(agent, place, pings, pingGapMs),
  )
  await measure(
    `Nodes: complete pairings by hand, ${AT_ONCE} at once`,
    PAIRINGS,
    (place) => pairingRound(agent, place, pairings),
    (place) => pairingRound(agent, place, warmUp),
  )
  const { begin, end } = PUBLISHED
  console.log([begin, `| | ${PLACES.join(' | ')} |`, '|---|---|---|---|', ...lines, end, ''].join('\n'))
}

const CPU_NOTE = 'CPU is that of all nodes of the row, with what they tell each other once a second'

function publishedLine({ key, digits, published }: Column, outcomes: readonly Outcome<Round>[]): string[] {
  if (published === undefined) return []
  const cells = outcomes.map((outcome) => figure(outcome, key)?.median.toFixed(digits) ?? '–')
  return [`| ${published} | ${cells.join(' | ')} |`]
}

function figure({ rounds }: Outcome<Round>, key: string) {
  return spread(rounds.map((round) => round[key]).filter((value) => value !== undefined))
}

/** CPU-seconds of the relays and of Redis, and bytes through Redis, while `work` runs. */
async function costOf<T>({ relays, redis }: Place, work: () => Promise<T>) {
  const look = async () => ({
    relays: cpuSeconds(relays),
    redis: redis && cpuSeconds([redis.pid]),
    traffic: redis && (await redisTraffic(redis.port)),
  })
  const before = await look()
  const result = await work()
  const after = await look()
  const risen = (now: number | undefined, then: number | undefined) =>
    now === undefined || then === undefined ? undefined : now - then
  return {
    result,
    relayCpu: after.relays - before.relays,
    redisCpu: risen(after.redis, before.redis),
    redisIn: risen(after.traffic?.in, before.traffic?.in),
    redisOut: risen(after.traffic?.out, before.traffic?.out),
  }
}

function per(value: number | undefined, what: number): number | undefined {
  return value === undefined ? undefined : value / what
}

async function bulkRound(agent: Agent, place: Place, bytes: number): Promise<Round> {
  const messages = Math.ceil(bytes / SDK_FRAME_BYTES)
  const size = { messageBytes: SDK_FRAME_BYTES, messages }
  const handle = await agent.call('openBulk', { target: place.target, pairs: 1, ...size })
  try {
    const { result, ...cost } = await costOf(place, () =>
      agent.call('runBulk', { handle, messages, timeoutMs: TIMEOUT_MS }),
    )
    return {
      rate: result.bytes / MB / result.seconds,
      relayCpu: cost.relayCpu / (result.bytes / GB),
      redisCpu: per(cost.redisCpu, result.bytes / GB),
      redisIn: per(cost.redisIn, result.bytes),
      redisOut: per(cost.redisOut, result.bytes),
      clientShare: (result.cpuSeconds / result.seconds) * 100,
    }
  } finally {
    await agent.call('closeBulk', { handle })
  }
}

async function pingRound(agent: Agent, { target }: Place, count: number, gapMs: number): Promise<Round> {
  const { roundTripMs } = await agent.call('ping', { target, messageBytes: SMALL_FRAME_BYTES, count, gapMs })
  return { p50: percentile(roundTripMs, 50), p99: percentile(roundTripMs, 99) }
}

async function pairingRound(agent: Agent, place: Place, count: number): Promise<Round> {
  const { target } = place
  const load = { address: target, concurrency: AT_ONCE, count, seconds: SECONDS_MAX, keepAlive: true }
  const { result, ...cost } = await costOf(place, () =>
    agent.call('runPairings', { ...load, ...(target.far ? { far: target.far } : {}) }),
  )
  const { wholeMs, seconds, failed, firstFailure } = result
  if (wholeMs.length === 0) throw new Error(`no pairing came to its end: ${firstFailure}`)
  return {
    failed,
    perSecond: wholeMs.length / seconds,
    p50: percentile(wholeMs, 50),
    p99: percentile(wholeMs, 99),
    relayCpu: (cost.relayCpu * 1e6) / wholeMs.length,
    redisCpu: per(cost.redisCpu, wholeMs.length / 1e6),
    redisIn: per(cost.redisIn, wholeMs.length * 1000),
    redisOut: per(cost.redisOut, wholeMs.length * 1000),
  }
}

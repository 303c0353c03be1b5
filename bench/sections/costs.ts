import { performance } from 'node:perf_hooks'
import type { Agent } from '../harness/agents.ts'
import type { Build } from '../harness/builds.ts'
import { type Contender, interleave, type Outcome } from '../harness/interleave.ts'
import { costOf, memory } from '../harness/process-stats.ts'
import { RelayProcess } from '../harness/relay.ts'
import { MANY_SESSIONS, settingsNote } from '../harness/settings.ts'
import { ratios, spread } from '../harness/stats.ts'
import type { Table } from '../harness/table.ts'
import { CHUNK_FRAME_BYTES, type Plan, SDK_FRAME_BYTES, SMALL_FRAME_BYTES } from '../plan.ts'
import { failureNotes } from './contenders.ts'

/** Single figures of a relay process, for comparing builds. */

const TIMEOUT_MS = 120_000
const CONNECTIONS = 16
const AT_ONCE = 32
const GB = 1e9
const MICRO = 1e6

export interface Cost {
  readonly head: string
  readonly digits: number
  /** Set where a measurement changes its process, which is then measured once. */
  readonly once?: true
  readonly measure: (agent: Agent, relay: RelayProcess, plan: Plan['builds']) => Promise<number>
}

/** In the order in which they are measured: held sessions and sockets come before loads, which leave garbage. */
export const COSTS = {
  rss: {
    head: 'started, RSS MiB',
    digits: 1,
    once: true,
    measure: async (_agent, { pid }) => memory([pid]).rss / 2 ** 20,
  },
  session: {
    head: 'waiting session, heap B',
    digits: 0,
    once: true,
    measure: async (agent, relay, { held }) => {
      await hold(agent, relay, held)
      const before = await relay.reading()
      await agent.call('holdSessions', { address: relay.address, count: held })
      return ((await relay.reading()).heapUsed - before.heapUsed) / held
    },
  },
  socket: {
    head: 'idle socket, heap B',
    digits: 0,
    once: true,
    measure: async (agent, relay, { held }) => {
      await hold(agent, relay, held)
      await agent.call('holdSessions', { address: relay.address, count: held })
      const before = await relay.reading()
      await agent.call('attachSockets', { address: relay.address, count: held })
      return ((await relay.reading()).heapUsed - before.heapUsed) / held
    },
  },
  bulk: bulk('262,217 B frames, CPU s/GB', SDK_FRAME_BYTES, 1),
  chunks: bulk('65,561 B frames, CPU s/GB', CHUNK_FRAME_BYTES, 1),
  eightPairs: bulk('eight pairs, CPU s/GB', SDK_FRAME_BYTES, 8),
  small: {
    head: '72 B frames, CPU µs each',
    digits: 2,
    measure: async (agent, relay, { messages }) =>
      (await cpuOfBulk(agent, relay, SMALL_FRAME_BYTES, 1, messages)) * MICRO,
  },
  create: {
    head: 'POST create, CPU µs',
    digits: 1,
    measure: (agent, { pid, address }, { commands }) =>
      microsEach(pid, commands, () =>
        agent.call('runCommands', {
          address,
          command: 'create',
          connections: CONNECTIONS,
          count: commands,
          bare: false,
        }),
      ),
  },
  pairing: {
    head: 'pairing, CPU µs',
    digits: 0,
    measure: (agent, { pid, address }, { pairings }) =>
      microsEach(pid, pairings, () =>
        agent.call('runPairings', { address, concurrency: AT_ONCE, count: pairings, seconds: 60, keepAlive: true }),
      ),
  },
} as const satisfies Record<string, Cost>

export type CostId = keyof typeof COSTS

function bulk(head: string, frameBytes: number, pairs: number): Cost {
  return {
    head,
    digits: 3,
    measure: async (agent, relay, { bytes }) => {
      const messages = Math.ceil(bytes / pairs / frameBytes)
      return (await cpuOfBulk(agent, relay, frameBytes, pairs, messages)) / (frameBytes / GB)
    },
  }
}

/** CPU seconds of the relay for each message. */
async function cpuOfBulk(
  agent: Agent,
  { pid, target }: RelayProcess,
  messageBytes: number,
  pairs: number,
  messages: number,
): Promise<number> {
  const handle = await agent.call('openBulk', { target, pairs, messageBytes, messages })
  const { serverCpu } = await costOf([pid], () => agent.call('runBulk', { handle, messages, timeoutMs: TIMEOUT_MS }))
  await agent.call('closeBulk', { handle })
  return serverCpu / (messages * pairs)
}

async function microsEach(pid: number, count: number, work: () => Promise<unknown>): Promise<number> {
  return ((await costOf([pid], work)).serverCpu * MICRO) / count
}

/** Brings a relay to the size at which it is measured, and lets go of the sockets: tables have grown by then. */
async function hold(agent: Agent, { address }: RelayProcess, held: number): Promise<void> {
  await agent.call('release')
  await agent.call('holdSessions', { address, count: held })
  await agent.call('attachSockets', { address, count: held })
  await agent.call('release')
}

/** Figures of one process of a build. */
export type Readings = { readonly [K in CostId]?: number }

/**
 * Measures each build's costs. In each round every build runs in a new process, and these take turns for each cost; a
 * reading is the median of its turns, because one process differs from the next by more than its turns do.
 */
export async function compare(
  agent: Agent,
  builds: ReadonlyMap<Build, readonly CostId[]>,
  plan: Plan['builds'],
): Promise<Outcome<Readings>[]> {
  const outcomes = [...builds.keys()].map(({ name }) => ({ name, rounds: [] as Readings[], failure: undefined }))
  const startedAt = performance.now()
  for (let round = 0; round < plan.rounds && performance.now() < startedAt + plan.seconds * 1000; round++) {
    const relays: RelayProcess[] = []
    try {
      for (const { dist } of builds.keys()) {
        relays.push(await RelayProcess.start({ dist, env: MANY_SESSIONS, probe: true }))
      }
      const contenders = [...builds.values()].map((costs, n) => ({
        costs,
        relay: relays[n] as RelayProcess,
        name: `${n}`,
      }))
      const readings = contenders.map((): { [K in CostId]?: number } => ({}))
      for (const [id, { measure, once }] of Object.entries(COSTS) as [CostId, Cost][]) {
        const turns = contenders
          .filter(({ costs }) => costs.includes(id))
          .map(({ name, relay }): Contender<number> => {
            const run = () => measure(agent, relay, plan)
            return { name, run, ...(once ? {} : { warmUp: run }) }
          })
        const limits = { rounds: once ? 1 : plan.turns, seconds: plan.seconds }
        for (const { name, rounds, failure } of await interleave(turns, limits)) {
          if (failure !== undefined) throw new Error(`${outcomes[Number(name)]?.name}: ${failure}`)
          Object.assign(readings[Number(name)] ?? {}, { [id]: spread(rounds)?.median })
        }
      }
      for (const [n, each] of readings.entries()) outcomes[n]?.rounds.push(each)
    } finally {
      await agent.call('release')
      await Promise.all(relays.map((relay) => relay.end()))
    }
  }
  return outcomes
}

/** For each other build and each of its costs: that, the cost of the first build, and the ratio round by round. */
export function ratioTable(title: string, outcomes: readonly Outcome<Readings>[]): Table {
  const [first, ...others] = outcomes
  const of = (id: CostId, outcome: Outcome<Readings> | undefined) =>
    (outcome?.rounds ?? []).map((each) => each[id] ?? Number.NaN)
  const median = (id: CostId, outcome: Outcome<Readings> | undefined) =>
    spread(of(id, outcome))?.median.toFixed(COSTS[id].digits)
  return {
    title,
    columns: [
      { key: 'here', head: 'this build' },
      { key: 'there', head: 'the other' },
      { key: 'ratio', head: 'the other ÷ this', digits: 2 },
    ],
    rows: others.flatMap((other) =>
      (Object.keys(other.rounds[0] ?? {}) as CostId[]).map((id) => ({
        name: `${other.name}: ${COSTS[id].head}`,
        cells: {
          here: median(id, first),
          there: median(id, other),
          ratio: spread(ratios(of(id, other), of(id, first))),
        },
      })),
    ),
    notes: [
      'each round has new processes, which take turns; the ratio is the median of those round by round',
      settingsNote(MANY_SESSIONS),
      ...failureNotes(outcomes),
    ],
  }
}

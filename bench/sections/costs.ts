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
/** Part of the measured work that a process does beforehand: code that V8 has not met yet costs double. */
const WARM_UP = 0.25

export interface Cost {
  readonly head: string
  readonly digits: number
  readonly measure: (agent: Agent, relay: RelayProcess, plan: Plan['builds']) => Promise<number>
}

export const COSTS = {
  rss: {
    head: 'started, RSS MiB',
    digits: 1,
    measure: async (_agent, { pid }) => memory([pid]).rss / 2 ** 20,
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
      warmThenMeasured(pid, commands, (count) =>
        agent.call('runCommands', { address, command: 'create', connections: CONNECTIONS, count, bare: false }),
      ),
  },
  pairing: {
    head: 'pairing, CPU µs',
    digits: 0,
    measure: (agent, { pid, address }, { pairings }) =>
      warmThenMeasured(pid, pairings, (count) =>
        agent.call('runPairings', { address, concurrency: AT_ONCE, count, seconds: 60, keepAlive: true }),
      ),
  },
  session: {
    head: 'waiting session, heap B',
    digits: 0,
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
    measure: async (agent, relay, { held }) => {
      await hold(agent, relay, held)
      await agent.call('holdSessions', { address: relay.address, count: held })
      const before = await relay.reading()
      await agent.call('attachSockets', { address: relay.address, count: held })
      return ((await relay.reading()).heapUsed - before.heapUsed) / held
    },
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
  const run = async (count: number) => {
    const handle = await agent.call('openBulk', { target, pairs, messageBytes, messages: count })
    const { serverCpu } = await costOf([pid], () =>
      agent.call('runBulk', { handle, messages: count, timeoutMs: TIMEOUT_MS }),
    )
    await agent.call('closeBulk', { handle })
    return serverCpu / (count * pairs)
  }
  await run(Math.ceil(messages * WARM_UP))
  return run(messages)
}

async function warmThenMeasured(
  pid: number,
  count: number,
  work: (count: number) => Promise<unknown>,
): Promise<number> {
  await work(Math.ceil(count * WARM_UP))
  const { serverCpu } = await costOf([pid], () => work(count))
  return (serverCpu * MICRO) / count
}

/** Brings a relay to the size at which it is measured, and lets go of the sockets: tables have grown by then. */
async function hold(agent: Agent, { address }: RelayProcess, held: number): Promise<void> {
  await agent.call('holdSessions', { address, count: held })
  await agent.call('attachSockets', { address, count: held })
  await agent.call('release')
}

/** What one process of a build was measured for. */
export type Readings = { readonly [K in CostId]?: number }

/** Builds with the costs that each is measured for, alternating, each round of each build in a new process. */
export function compare(
  agent: Agent,
  builds: ReadonlyMap<Build, readonly CostId[]>,
  plan: Plan['builds'],
): Promise<Outcome<Readings>[]> {
  const contenders = [...builds].map(
    ([{ name, dist }, costs]): Contender<Readings> => ({
      name,
      run: async () => {
        const relay = await RelayProcess.start({ dist, env: MANY_SESSIONS, probe: true })
        const readings: { [K in CostId]?: number } = {}
        try {
          for (const id of costs) readings[id] = await COSTS[id].measure(agent, relay, plan)
          return readings
        } finally {
          await agent.call('release')
          await relay.end()
        }
      },
    }),
  )
  return interleave(contenders, { rounds: plan.rounds, seconds: plan.seconds })
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
      'rounds alternate, each in a new process; the ratio is the median of those round by round',
      settingsNote(MANY_SESSIONS),
      ...failureNotes(outcomes),
    ],
  }
}

import type { Agent } from '../harness/agents.ts'
import { withAgents } from '../harness/agents.ts'
import { interleave, type Outcome } from '../harness/interleave.ts'
import { costOf } from '../harness/process-stats.ts'
import type { Section } from '../harness/report.ts'
import { spread } from '../harness/stats.ts'
import type { Row } from '../harness/table.ts'
import { CHUNK_FRAME_BYTES, SDK_FRAME_BYTES } from '../plan.ts'
import {
  BARE_WS,
  clientBoundNote,
  failureNotes,
  type NamedServer,
  NGINX_STREAM,
  PIPING,
  RELAY,
  ratioOf,
  SERVERS,
  TRANSIT,
  withServers,
} from './contenders.ts'

const GB = 1e9
const MB = 1e6
const MIB = 1024 * 1024
const TIMEOUT_MS = 120_000

interface Load {
  readonly title: string
  readonly frameBytes: number
  readonly pairs: number
}

const LOADS: readonly Load[] = [
  { title: 'one pair, frames of the SDK (262,217 B)', frameBytes: SDK_FRAME_BYTES, pairs: 1 },
  { title: 'one pair, frames of one chunk (65,561 B)', frameBytes: CHUNK_FRAME_BYTES, pairs: 1 },
  { title: 'eight pairs at once, frames of the SDK', frameBytes: SDK_FRAME_BYTES, pairs: 8 },
]

export interface Transfer {
  readonly rate: number
  readonly cpuPerGb: number
  readonly serverShare: number
  readonly clientShare: number
  readonly peakMib: number
  readonly risenMib: number
}

export const relaying: Section = {
  name: 'relaying',
  about: 'bulk data through one hop: rate, CPU and memory of the server',
  run: async ({ plan, report }) => {
    await withAgents(1, async ([agent]) => {
      if (!agent) return
      await withServers([agent], SERVERS, async (servers, skipped) => {
        for (const load of LOADS) {
          const { bytes, rounds, secondsPerTable } = plan.relaying
          const outcomes = await interleave(
            servers.map((server) => {
              const run = () => transfer(agent, server, { ...load, bytes })
              return { name: server.name, run, ...(load === LOADS[0] ? { warmUp: run } : {}) }
            }),
            { rounds, seconds: secondsPerTable },
          )
          const shares = new Map(outcomes.map((each) => [each.name, spread(each.rounds.map((r) => r.clientShare))]))
          report.table({
            title: `Relaying: ${load.title}, ${Math.round(bytes / MIB)} MiB a round`,
            columns: COLUMNS,
            rows: outcomes.map(rowOf),
            notes: [...clientBoundNote(shares), ...skipped, ...failureNotes(outcomes)],
          })
          judge(report, load, outcomes)
        }
      })
    })
  },
}

/** Moves `bytes` through a server, on new connections, and measures both sides of it. */
export async function transfer(
  agent: Agent,
  server: NamedServer,
  { frameBytes, pairs, bytes }: { frameBytes: number; pairs: number; bytes: number },
): Promise<Transfer> {
  const target = server.targets[0]
  if (!target) throw new Error('no target')
  const messages = Math.ceil(bytes / pairs / frameBytes)
  const handle = await agent.call('openBulk', { target, pairs, messageBytes: frameBytes, messages })
  try {
    const { result, serverCpu, peakBytes, risenBytes } = await costOf(server.pids, () =>
      agent.call('runBulk', { handle, messages, timeoutMs: TIMEOUT_MS }),
    )
    return {
      rate: result.bytes / MB / result.seconds,
      cpuPerGb: serverCpu / (result.bytes / GB),
      serverShare: serverCpu / result.seconds,
      clientShare: result.cpuSeconds / result.seconds,
      peakMib: peakBytes / MIB,
      risenMib: risenBytes / MIB,
    }
  } finally {
    await agent.call('closeBulk', { handle })
  }
}

const COLUMNS = [
  { key: 'rate', head: 'MB/s', digits: 0 },
  { key: 'cpuPerGb', head: 'server CPU s/GB', digits: 2 },
  { key: 'serverShare', head: 'server CPU %', digits: 0 },
  { key: 'clientShare', head: 'client CPU %', digits: 0 },
  { key: 'peakMib', head: 'server peak MiB', digits: 0 },
  { key: 'risenMib', head: 'of it new', digits: 0 },
]

function rowOf({ name, rounds }: Outcome<Transfer>): Row {
  const of = (value: (round: Transfer) => number) => spread(rounds.map(value))
  return {
    name,
    cells: {
      rate: of((r) => r.rate),
      cpuPerGb: of((r) => r.cpuPerGb),
      serverShare: of((r) => r.serverShare * 100)?.median,
      clientShare: of((r) => r.clientShare * 100)?.median,
      peakMib: of((r) => r.peakMib),
      risenMib: of((r) => r.risenMib)?.median,
    },
  }
}

function judge(
  report: Parameters<Section['run']>[0]['report'],
  load: Load,
  outcomes: readonly Outcome<Transfer>[],
): void {
  if (load.pairs !== 1) return
  const cpuVs = (name: string) => ratioOf(outcomes, RELAY, name, (round) => round.cpuPerGb)
  const rateVs = (name: string) => ratioOf(outcomes, RELAY, name, (round) => round.rate)
  if (load.frameBytes === CHUNK_FRAME_BYTES) return report.goal('cpuVsWs64', cpuVs(BARE_WS))
  report.goal('cpuVsWs256', cpuVs(BARE_WS))
  report.goal('cpuVsPiping', cpuVs(PIPING))
  report.goal('cpuVsNginx', cpuVs(NGINX_STREAM))
  report.goal('rateVsPiping', rateVs(PIPING))
  report.goal('rateVsTransit', rateVs(TRANSIT))
}

import { setTimeout as sleep } from 'node:timers/promises'
import type { Agent } from '../harness/agents.ts'
import { withAgents } from '../harness/agents.ts'
import { interleave } from '../harness/interleave.ts'
import { costOf } from '../harness/process-stats.ts'
import type { Section, SectionContext } from '../harness/report.ts'
import { percentile, spread } from '../harness/stats.ts'
import { SDK_FRAME_BYTES, SMALL_FRAME_BYTES } from '../plan.ts'
import {
  BARE_WS,
  clientBoundNote,
  failureNotes,
  type NamedServer,
  NGINX_WS,
  RELAY,
  ratioOf,
  SERVERS,
  withServers,
} from './contenders.ts'

const MB = 1e6
/** For HTTP alone, which is not among these. */
const ANY_NUMBER = 1

export const smallFrames: Section = {
  name: 'small-frames',
  about: 'frames of 64 bytes: how many, and how long one takes, idle and beside a transfer that saturates the server',
  run: async (context) => {
    const kinds = SERVERS.filter(({ bothWays }) => bothWays)
    await withAgents(2, async (agents) => {
      const [bulk, pinger] = agents
      if (!bulk || !pinger) return
      await withServers(agents, kinds, async (servers, skipped) => {
        await flood(context, bulk, servers, skipped)
        await pings(context, pinger, undefined, servers)
        await pings(context, pinger, bulk, servers)
      })
    })
  },
}

async function flood(
  { plan, report }: SectionContext,
  agent: Agent,
  servers: readonly NamedServer[],
  skipped: readonly string[],
): Promise<void> {
  const { floodSeconds, rounds, secondsPerTable } = plan.smallFrames
  const outcomes = await interleave(
    servers.map((server) => {
      const run = () => floodOnce(agent, server, floodSeconds)
      return { name: server.name, run, warmUp: run }
    }),
    { rounds, seconds: secondsPerTable },
  )
  const shares = new Map(outcomes.map((each) => [each.name, spread(each.rounds.map((r) => r.clientShare))]))
  report.table({
    title: `Small frames: as many messages of 64 B (72 with our header) as fit into ${floodSeconds} s, one way, one pair`,
    columns: [
      { key: 'rate', head: 'messages/s', digits: 0 },
      { key: 'cpu', head: 'server CPU µs each', digits: 2 },
      { key: 'clientShare', head: 'client CPU %', digits: 0 },
    ],
    rows: outcomes.map(({ name, rounds: each }) => ({
      name,
      cells: {
        rate: spread(each.map((r) => r.rate)),
        cpu: spread(each.map((r) => r.cpuUs)),
        clientShare: spread(each.map((r) => r.clientShare * 100))?.median,
      },
    })),
    notes: [
      'the sender gathers what its window allows into one write; TCP rows have no messages, only as many bytes',
      ...clientBoundNote(shares),
      ...skipped,
      ...failureNotes(outcomes),
    ],
  })
}

async function floodOnce(agent: Agent, server: NamedServer, seconds: number) {
  const handle = await openOne(agent, server, 0, SMALL_FRAME_BYTES)
  try {
    const { result, serverCpu } = await costOf(server.pids, async () => {
      await agent.call('startBulk', { handle })
      await sleep(seconds * 1000)
      return agent.call('stopBulk', { handle })
    })
    return {
      rate: result.messages / result.seconds,
      cpuUs: (serverCpu * 1e6) / result.messages,
      clientShare: result.cpuSeconds / result.seconds,
    }
  } finally {
    await agent.call('closeBulk', { handle })
  }
}

interface Latency {
  readonly oneWayP50: number
  readonly oneWayP99: number
  readonly roundTripP50: number
  readonly roundTripP99: number
  /** MB/s of the transfer beside it. */
  readonly beside: number | undefined
}

async function pings(
  { plan, report }: SectionContext,
  pinger: Agent,
  bulk: Agent | undefined,
  servers: readonly NamedServer[],
): Promise<void> {
  const { pings: count, pingGapMs, rounds, secondsPerTable } = plan.smallFrames
  const outcomes = await interleave(
    servers.map((server) => {
      const run = () => pingOnce(pinger, bulk, server, count, pingGapMs)
      return { name: server.name, run, warmUp: run }
    }),
    { rounds, seconds: secondsPerTable },
  )
  const of = (each: readonly Latency[], key: keyof Latency) => spread(each.map((round) => round[key] ?? Number.NaN))
  report.table({
    title: `Small frames: milliseconds for 64 B, one every ${pingGapMs} ms, ${bulk ? 'beside a saturating transfer' : 'idle'}`,
    columns: [
      { key: 'oneWayP50', head: 'one way p50', digits: 3 },
      { key: 'oneWayP99', head: 'one way p99', digits: 3 },
      { key: 'roundTripP50', head: 'round trip p50', digits: 3 },
      { key: 'roundTripP99', head: 'round trip p99', digits: 3 },
      ...(bulk ? [{ key: 'beside', head: 'transfer MB/s', digits: 0 }] : []),
    ],
    rows: outcomes.map(({ name, rounds: each }) => ({
      name,
      cells: {
        oneWayP50: of(each, 'oneWayP50'),
        oneWayP99: of(each, 'oneWayP99'),
        roundTripP50: of(each, 'roundTripP50'),
        roundTripP99: of(each, 'roundTripP99'),
        beside: bulk ? of(each, 'beside')?.median : undefined,
      },
    })),
    notes: [`${count} pings a round, from a process of their own`, ...failureNotes(outcomes)],
  })
  if (bulk)
    report.goal(
      'p99Loaded',
      ratioOf(outcomes, RELAY, BARE_WS, (round) => round.oneWayP99),
    )
  else
    report.goal(
      'idleOneWay',
      ratioOf(outcomes, RELAY, NGINX_WS, (round) => round.oneWayP50),
    )
}

async function pingOnce(
  pinger: Agent,
  bulk: Agent | undefined,
  server: NamedServer,
  count: number,
  gapMs: number,
): Promise<Latency> {
  const target = server.targets[1]
  if (!target) throw new Error('no target')
  const handle = bulk && (await openOne(bulk, server, 0, SDK_FRAME_BYTES))
  try {
    if (bulk && handle !== undefined) await bulk.call('startBulk', { handle })
    const { oneWayMs, roundTripMs } = await pinger.call('ping', {
      target,
      messageBytes: SMALL_FRAME_BYTES,
      count,
      gapMs,
    })
    const moved = bulk && handle !== undefined ? await bulk.call('stopBulk', { handle }) : undefined
    return {
      oneWayP50: percentile(oneWayMs, 50),
      oneWayP99: percentile(oneWayMs, 99),
      roundTripP50: percentile(roundTripMs, 50),
      roundTripP99: percentile(roundTripMs, 99),
      beside: moved && moved.bytes / MB / moved.seconds,
    }
  } finally {
    if (bulk && handle !== undefined) await bulk.call('closeBulk', { handle })
  }
}

function openOne(agent: Agent, server: NamedServer, which: number, messageBytes: number) {
  const target = server.targets[which]
  if (!target) throw new Error('no target')
  return agent.call('openBulk', { target, pairs: 1, messageBytes, messages: ANY_NUMBER })
}

import { setTimeout as sleep } from 'node:timers/promises'
import type { Agent } from '../harness/agents.ts'
import { interleave } from '../harness/interleave.ts'
import { RelayProcess } from '../harness/relay.ts'
import type { SectionContext } from '../harness/report.ts'
import { MANY_SESSIONS, settingsNote } from '../harness/settings.ts'
import { percentile, spread } from '../harness/stats.ts'
import { failureNotes } from './contenders.ts'

const CONNECTIONS = 32
const HONEST_AT_ONCE = 4

interface FloodRound {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly failed: number
  readonly refusedPerSecond: number | undefined
}

/** Strangers enter codes that nobody registered, as fast as the relay refuses them, while others pair. */
export async function joinFlood({ plan, report }: SectionContext, honest: Agent, strangers: Agent): Promise<void> {
  const { floodSeconds, rounds, secondsPerTable } = plan.misbehaving
  const relay = await RelayProcess.start({ env: MANY_SESSIONS })
  const pairings = async (refused: () => Promise<number | undefined>): Promise<FloodRound> => {
    const { wholeMs, seconds, failed } = await honest.call('runPairings', {
      address: relay.address,
      concurrency: HONEST_AT_ONCE,
      count: 1_000_000,
      seconds: floodSeconds,
      keepAlive: true,
    })
    return {
      perSecond: wholeMs.length / seconds,
      p50: percentile(wholeMs, 50),
      p99: percentile(wholeMs, 99),
      failed,
      refusedPerSecond: await refused(),
    }
  }
  const flooded = async () => {
    const flood = strangers.call('flood', { address: relay.address, connections: CONNECTIONS })
    await sleep(100)
    return pairings(async () => {
      await strangers.call('stopFlood')
      const { count, seconds } = await flood
      return count / seconds
    })
  }
  try {
    await pairings(async () => undefined)
    const outcomes = await interleave<FloodRound>(
      [
        { name: 'nobody else', run: () => pairings(async () => undefined) },
        { name: `wrong codes on ${CONNECTIONS} connections`, run: flooded },
      ],
      { rounds, seconds: secondsPerTable },
    )
    report.table({
      title: `Flood of joins: ${HONEST_AT_ONCE} honest pairings at a time for ${floodSeconds} s`,
      columns: [
        { key: 'perSecond', head: 'pairings/s', digits: 0 },
        { key: 'p50', head: 'whole p50 ms', digits: 2 },
        { key: 'p99', head: 'p99', digits: 2 },
        { key: 'failed', head: 'failed', digits: 0 },
        { key: 'refused', head: 'refused joins/s', digits: 0 },
      ],
      rows: outcomes.map(({ name, rounds: each }) => ({
        name,
        cells: {
          perSecond: spread(each.map((r) => r.perSecond)),
          p50: spread(each.map((r) => r.p50)),
          p99: spread(each.map((r) => r.p99)),
          failed: spread(each.map((r) => r.failed))?.max,
          refused: spread(each.flatMap((r) => r.refusedPerSecond ?? [])),
        },
      })),
      notes: [settingsNote(MANY_SESSIONS), ...failureNotes(outcomes)],
    })
  } finally {
    await relay.end()
  }
}

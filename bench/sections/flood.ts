import { setTimeout as sleep } from 'node:timers/promises'
import { type Agent, withAgents } from '../harness/agents.ts'
import { interleave } from '../harness/interleave.ts'
import { RelayProcess } from '../harness/relay.ts'
import type { Section, SectionContext } from '../harness/report.ts'
import { LIMITED, settingsNote } from '../harness/settings.ts'
import { percentile, spread } from '../harness/stats.ts'
import type { OneAddressResult } from '../load/one-address.ts'
import { failureNotes, ratioOf } from './contenders.ts'

/** As many as one client address may have. */
const CONNECTIONS = 256
const ATTACKER = '127.251.0.1'
const HONEST_AT_ONCE = 4
const ALONE = 'nobody else'
const FLOODED = `one address on ${CONNECTIONS} connections`

interface FloodRound {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly failed: number
  readonly flood: OneAddressResult | undefined
}

/** A relay with its limits, one address that asks for all it can, and honest pairings, each from addresses of its own. */
export const flood: Section = {
  name: 'flood',
  about: 'one client address asks for all it can, with the limits on, while others pair',
  run: (context) => withAgents(2, ([honest, attacker]) => run(context, honest as Agent, attacker as Agent)),
}

async function run({ plan, report }: SectionContext, honest: Agent, attacker: Agent): Promise<void> {
  const { floodSeconds, rounds, secondsPerTable } = plan.misbehaving
  const relay = await RelayProcess.start({ env: LIMITED })
  const { address } = relay
  const pairings = async (stop: () => Promise<OneAddressResult | undefined>): Promise<FloodRound> => {
    const { wholeMs, seconds, failed } = await honest.call('runPairings', {
      address,
      concurrency: HONEST_AT_ONCE,
      count: 1_000_000,
      seconds: floodSeconds,
      // Each device has an address of its own.
      keepAlive: false,
    })
    return {
      perSecond: wholeMs.length / seconds,
      p50: percentile(wholeMs, 50),
      p99: percentile(wholeMs, 99),
      failed,
      flood: await stop(),
    }
  }
  const alone = () => pairings(async () => undefined)
  const flooded = async () => {
    const flooding = attacker.call('floodFromOneAddress', { address, connections: CONNECTIONS, source: ATTACKER })
    await sleep(100)
    return pairings(async () => {
      await attacker.call('stopOneAddress')
      return flooding
    })
  }
  try {
    await alone()
    const outcomes = await interleave<FloodRound>(
      [
        { name: ALONE, run: alone },
        { name: FLOODED, run: flooded },
      ],
      { rounds, seconds: secondsPerTable },
    )
    report.table({
      title: `One client address against ${HONEST_AT_ONCE} honest pairings at a time, for ${floodSeconds} s`,
      columns: [
        { key: 'perSecond', head: 'pairings/s', digits: 0 },
        { key: 'p50', head: 'whole p50 ms', digits: 2 },
        { key: 'p99', head: 'p99', digits: 2 },
        { key: 'failed', head: 'failed', digits: 0 },
        { key: 'refused', head: '429/s', digits: 0 },
        { key: 'others', head: 'other answers/s', digits: 0 },
        { key: 'closed', head: 'closed/s', digits: 0 },
      ],
      rows: outcomes.map(({ name, rounds: each }) => ({
        name,
        cells: {
          perSecond: spread(each.map((r) => r.perSecond)),
          p50: spread(each.map((r) => r.p50)),
          p99: spread(each.map((r) => r.p99)),
          failed: spread(each.map((r) => r.failed))?.max,
          refused: spread(each.flatMap(({ flood }) => (flood ? (flood.answers[429] ?? 0) / flood.seconds : []))),
          others: spread(each.flatMap(({ flood }) => (flood ? othersOf(flood) / flood.seconds : []))),
          closed: spread(each.flatMap(({ flood }) => (flood ? flood.closed / flood.seconds : []))),
        },
      })),
      notes: [settingsNote(LIMITED), ...failureNotes(outcomes)],
    })
    report.goal(
      'floodRate',
      ratioOf(outcomes, FLOODED, ALONE, ({ perSecond }) => perSecond),
    )
    report.goal(
      'floodP99',
      ratioOf(outcomes, FLOODED, ALONE, ({ p99 }) => p99),
    )
  } finally {
    await relay.end()
  }
}

function othersOf({ answers }: OneAddressResult): number {
  return Object.entries(answers).reduce((sum, [status, count]) => (status === '429' ? sum : sum + count), 0)
}

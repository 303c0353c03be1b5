import type { Agent } from '../harness/agents.ts'
import { end } from '../harness/children.ts'
import { interleave } from '../harness/interleave.ts'
import { costOf, descriptorLimit } from '../harness/process-stats.ts'
import { RelayProcess } from '../harness/relay.ts'
import type { SectionContext } from '../harness/report.ts'
import { MANY_SESSIONS, settingsNote } from '../harness/settings.ts'
import { percentile, spread } from '../harness/stats.ts'
import { startProgram } from '../yardsticks/servers.ts'
import { BARE_WS, failureNotes, RELAY } from './contenders.ts'
import { share } from './holding.ts'

const MIB = 1024 * 1024
const SPARE_DESCRIPTORS = 400

interface StormRound {
  readonly lastMs: number
  readonly p50: number
  readonly p99: number
  readonly failed: number
  readonly cpuUs: number
  readonly risenMib: number
  /** A pairing that began just then. */
  readonly pairingMs: number | undefined
}

/** All sockets are cut and come back at once, without the jitter that the SDK would spread them with. */
export async function reconnectStorm(
  { plan, report }: SectionContext,
  holders: readonly Agent[],
  pairer: Agent,
): Promise<void> {
  const { stormSockets, rounds, secondsPerTable } = plan.misbehaving
  const count = Math.min(stormSockets, descriptorLimit() - SPARE_DESCRIPTORS)
  const relay = await RelayProcess.start({ env: MANY_SESSIONS })
  const bare = await startProgram('bare-ws')
  const address = { host: '127.0.0.1', port: bare.port }
  const release = () => Promise.all(holders.map((holder) => holder.call('release')))
  try {
    const outcomes = await interleave<StormRound>(
      [
        {
          name: RELAY,
          run: async () => {
            await share(holders, count, (holder, part) =>
              holder.call('holdSessions', { address: relay.address, count: part }),
            )
            await share(holders, count, (holder, part) =>
              holder.call('attachSockets', { address: relay.address, count: part }),
            )
            try {
              return await cutAll(holders, relay.pid, () => onePairing(pairer, relay))
            } finally {
              await release()
            }
          },
        },
        {
          name: `${BARE_WS}, one echo each`,
          run: async () => {
            await share(holders, count, (holder, part) => holder.call('connectSockets', { address, count: part }))
            try {
              return await cutAll(holders, bare.pid, undefined)
            } finally {
              await release()
            }
          },
        },
      ],
      { rounds, seconds: secondsPerTable },
    )
    report.table({
      title: `Reconnect storm: ${count.toLocaleString('en-US')} sockets are cut and come back at once`,
      columns: [
        { key: 'last', head: 'last back ms', digits: 0 },
        { key: 'p50', head: 'p50', digits: 0 },
        { key: 'p99', head: 'p99', digits: 0 },
        { key: 'failed', head: 'failed', digits: 0 },
        { key: 'cpu', head: 'server CPU µs each', digits: 0 },
        { key: 'risen', head: 'memory risen MiB', digits: 0 },
        { key: 'pairing', head: 'a pairing meanwhile ms', digits: 0 },
      ],
      rows: outcomes.map(({ name, rounds: each }) => ({
        name,
        cells: {
          last: spread(each.map((r) => r.lastMs)),
          p50: spread(each.map((r) => r.p50)),
          p99: spread(each.map((r) => r.p99)),
          failed: spread(each.map((r) => r.failed))?.max,
          cpu: spread(each.map((r) => r.cpuUs)),
          risen: spread(each.map((r) => r.risenMib)),
          pairing: spread(each.flatMap((r) => r.pairingMs ?? [])),
        },
      })),
      notes: [
        'a socket is back with its first view (the relay) or its echo (bare ws); the cuts are part of the cost',
        'what the listening socket has no room for, the kernel lets try again after a second',
        settingsNote(MANY_SESSIONS),
        ...failureNotes(outcomes),
      ],
    })
  } finally {
    await Promise.all([relay.end(), end(bare.child)])
  }
}

async function cutAll(
  holders: readonly Agent[],
  pid: number,
  meanwhile: (() => Promise<number>) | undefined,
): Promise<StormRound> {
  const { result, serverCpu, risenBytes } = await costOf([pid], async () => {
    const storms = Promise.all(holders.map((holder) => holder.call('storm')))
    const pairingMs = await meanwhile?.()
    return { storms: await storms, pairingMs }
  })
  const backAfterMs = Float64Array.from(result.storms.flatMap((each) => [...each.backAfterMs]))
  return {
    lastMs: Math.max(...backAfterMs),
    p50: percentile(backAfterMs, 50),
    p99: percentile(backAfterMs, 99),
    failed: result.storms.reduce((sum, each) => sum + each.failed, 0),
    cpuUs: (serverCpu * 1e6) / backAfterMs.length,
    risenMib: risenBytes / MIB,
    pairingMs: result.pairingMs,
  }
}

async function onePairing(pairer: Agent, relay: RelayProcess): Promise<number> {
  const { wholeMs } = await pairer.call('runPairings', {
    address: relay.address,
    concurrency: 1,
    count: 1,
    seconds: 30,
    keepAlive: false,
  })
  return wholeMs[0] ?? Number.NaN
}

import { type Agent, withAgents } from '../harness/agents.ts'
import { end } from '../harness/children.ts'
import { interleave } from '../harness/interleave.ts'
import { descriptorLimit } from '../harness/process-stats.ts'
import { RelayProcess, readProbe } from '../harness/relay.ts'
import type { Section, SectionContext } from '../harness/report.ts'
import { MANY_SESSIONS, settingsNote } from '../harness/settings.ts'
import { percentile, spread } from '../harness/stats.ts'
import { startProgram } from '../yardsticks/servers.ts'
import { BARE_WS, failureNotes, RELAY } from './contenders.ts'
import { storeCurve } from './store-curve.ts'

/** Holders of sockets: each has a limit of descriptors of its own. */
const HOLDERS = 3
/** Descriptors a server needs beside its sockets. */
const SPARE_DESCRIPTORS = 400
const KIB = 1024

export const holding: Section = {
  name: 'holding',
  about: 'what waiting sessions and idle sockets cost, and what a new pairing takes meanwhile',
  run: async (context) => {
    await withAgents(HOLDERS + 1, async ([pairer, ...holders]) => {
      if (!pairer) return
      await waitingSessions(context, pairer, holders)
      await idleSockets(context, pairer, holders)
    })
    await storeCurve(context)
  },
}

interface Held {
  readonly heapBytes: number
  readonly rssBytes: number
  readonly externalBytes: number
  readonly timers: number
  readonly pairingP50: number | undefined
  readonly pairingP99: number | undefined
}

async function waitingSessions(
  { plan, report, quick }: SectionContext,
  pairer: Agent,
  holders: readonly Agent[],
): Promise<void> {
  const { sessions, pairings, rounds, secondsPerTable } = plan.holding
  const outcomes = await interleave<Held>(
    sessions.map((count) => ({
      name: count.toLocaleString('en-US'),
      run: () =>
        withProbedRelay(async (relay) => {
          await warmUp(pairer, relay, pairings)
          const before = await relay.reading()
          await share(holders, count, (agent, part) =>
            agent.call('holdSessions', { address: relay.address, count: part }),
          )
          const after = await relay.reading()
          return { ...per(count, before, after), ...(await pairingLatency(pairer, relay, pairings)) }
        }, holders),
    })),
    { rounds, seconds: secondsPerTable },
  )
  report.table({
    title: 'Holding: sessions that wait for a receiver, nobody attached',
    columns: [
      { key: 'heap', head: 'heap B each', digits: 0 },
      { key: 'rss', head: 'RSS B each', digits: 0 },
      { key: 'timers', head: 'timers added', digits: 0 },
      { key: 'p50', head: 'new pairing p50 ms', digits: 2 },
      { key: 'p99', head: 'p99', digits: 2 },
    ],
    rows: outcomes.map(({ name, rounds: each }) => ({
      name,
      cells: {
        heap: spread(each.map((r) => r.heapBytes)),
        rss: spread(each.map((r) => r.rssBytes)),
        timers: spread(each.map((r) => r.timers))?.max,
        p50: spread(each.map((r) => r.pairingP50 ?? Number.NaN)),
        p99: spread(each.map((r) => r.pairingP99 ?? Number.NaN)),
      },
    })),
    notes: [
      'memory after two garbage collections, which a probe in the process asks for; before it there was a warm-up of pairings',
      settingsNote(MANY_SESSIONS),
      ...failureNotes(outcomes),
    ],
  })
  const largest = outcomes.findLast(({ rounds: each }) => each.length > 0)
  const note = quick ? `at ${largest?.name} sessions` : undefined
  report.goal('heapPerSession', spread(largest?.rounds.map((r) => r.heapBytes) ?? [])?.median, note)
  const timers = spread(largest?.rounds.map((r) => r.timers) ?? [])?.max
  const sessionsHeld = Number(largest?.name.replaceAll(',', ''))
  // The process has a few timers of its own, which come and go.
  report.goal('timersPerSession', timers === undefined ? undefined : Math.floor(Math.max(0, timers) / sessionsHeld))
}

async function idleSockets({ plan, report }: SectionContext, pairer: Agent, holders: readonly Agent[]): Promise<void> {
  const { sockets, pairings, rounds, secondsPerTable } = plan.holding
  const room = descriptorLimit() - SPARE_DESCRIPTORS
  const sizes = [...new Set(sockets.map((count) => Math.min(count, room)))]
  const outcomes = await interleave<Held>(
    sizes.flatMap((count) => [
      { name: rowName(RELAY, count), run: () => attached(pairer, holders, count, pairings) },
      { name: rowName(BARE_WS, count), run: () => connected(holders, count) },
    ]),
    { rounds, seconds: secondsPerTable },
  )
  report.table({
    title: 'Holding: sockets that are attached and idle',
    columns: [
      { key: 'rss', head: 'RSS KiB each', digits: 2 },
      { key: 'heap', head: 'heap KiB each', digits: 2 },
      { key: 'external', head: 'external KiB each', digits: 2 },
      { key: 'p50', head: 'new pairing p50 ms', digits: 2 },
      { key: 'p99', head: 'p99', digits: 2 },
    ],
    rows: outcomes.map(({ name, rounds: each }) => ({
      name,
      cells: {
        rss: spread(each.map((r) => r.rssBytes / KIB)),
        heap: spread(each.map((r) => r.heapBytes / KIB)),
        external: spread(each.map((r) => r.externalBytes / KIB)),
        p50: spread(each.flatMap((r) => r.pairingP50 ?? [])),
        p99: spread(each.flatMap((r) => r.pairingP99 ?? [])),
      },
    })),
    notes: [
      'the relay: beside the session itself, which was there before; the kernel has memory of its own for each socket',
      'RSS of a small number drowns in what the process had free before; the largest number is the one to believe',
      ...sockets
        .filter((count) => count > room)
        .map((count) => {
          const instead = `${room.toLocaleString('en-US')} were held instead`
          return `${count.toLocaleString('en-US')} sockets: skipped: a process here may have ${descriptorLimit().toLocaleString('en-US')} descriptors; ${instead}`
        }),
      settingsNote(MANY_SESSIONS),
      ...failureNotes(outcomes),
    ],
  })
  const judged = sizes.at(-1) ?? 0
  const ofRelay = outcomes.find(({ name }) => name === rowName(RELAY, judged))?.rounds ?? []
  report.goal(
    'memoryPerSocket',
    spread(ofRelay.map((r) => r.rssBytes / KIB))?.median,
    `RSS at ${judged.toLocaleString('en-US')} sockets`,
  )
}

function rowName(server: string, count: number): string {
  return `${count.toLocaleString('en-US')} at ${server}`
}

function attached(pairer: Agent, holders: readonly Agent[], count: number, pairings: number): Promise<Held> {
  return withProbedRelay(async (relay) => {
    const { address } = relay
    await warmUp(pairer, relay, pairings)
    await share(holders, count, (agent, part) => agent.call('holdSessions', { address, count: part }))
    const before = await relay.reading()
    await share(holders, count, (agent, part) => agent.call('attachSockets', { address, count: part }))
    const after = await relay.reading()
    return { ...per(count, before, after), ...(await pairingLatency(pairer, relay, pairings)) }
  }, holders)
}

async function connected(holders: readonly Agent[], count: number): Promise<Held> {
  const { child, port } = await startProgram('bare-ws', { probe: true })
  try {
    const address = { host: '127.0.0.1', port }
    // Its first sockets would otherwise pay for what the process loads and compiles.
    await holders[0]?.call('connectSockets', { address, count: 100 })
    await holders[0]?.call('release')
    const before = await readProbe(child)
    await share(holders, count, (agent, part) => agent.call('connectSockets', { address, count: part }))
    const after = await readProbe(child)
    return { ...per(count, before, after), pairingP50: undefined, pairingP99: undefined }
  } finally {
    await Promise.all(holders.map((agent) => agent.call('release')))
    await end(child)
  }
}

type Reading = Awaited<ReturnType<RelayProcess['reading']>>

function per(count: number, before: Reading, after: Reading) {
  return {
    heapBytes: (after.heapUsed - before.heapUsed) / count,
    rssBytes: (after.rss - before.rss) / count,
    externalBytes: (after.external - before.external) / count,
    timers: after.timers - before.timers,
  }
}

async function withProbedRelay<T>(work: (relay: RelayProcess) => Promise<T>, holders: readonly Agent[]): Promise<T> {
  const relay = await RelayProcess.start({ env: MANY_SESSIONS, probe: true })
  try {
    return await work(relay)
  } finally {
    await Promise.all(holders.map((agent) => agent.call('release')))
    await relay.end()
  }
}

/** Gives each holder its part of `count`. */
export async function share(
  holders: readonly Agent[],
  count: number,
  hold: (agent: Agent, part: number) => Promise<unknown>,
): Promise<void> {
  const most = Math.ceil(count / holders.length)
  await Promise.all(holders.map((agent, n) => hold(agent, Math.max(0, Math.min(most, count - n * most)))))
}

function warmUp(pairer: Agent, relay: RelayProcess, count: number): Promise<unknown> {
  return pairer.call('runPairings', { address: relay.address, concurrency: 8, count, seconds: 10, keepAlive: true })
}

async function pairingLatency(pairer: Agent, relay: RelayProcess, count: number) {
  const { wholeMs } = await pairer.call('runPairings', {
    address: relay.address,
    concurrency: 1,
    count,
    seconds: 20,
    keepAlive: true,
  })
  return { pairingP50: percentile(wholeMs, 50), pairingP99: percentile(wholeMs, 99) }
}

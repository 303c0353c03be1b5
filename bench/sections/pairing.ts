import { type Agent, withAgents } from '../harness/agents.ts'
import { end } from '../harness/children.ts'
import { type Contender, interleave, type Outcome } from '../harness/interleave.ts'
import { costOf } from '../harness/process-stats.ts'
import { RelayProcess } from '../harness/relay.ts'
import type { Section, SectionContext } from '../harness/report.ts'
import { MANY_SESSIONS, settingsNote } from '../harness/settings.ts'
import { percentile, spread } from '../harness/stats.ts'
import { startProgram } from '../yardsticks/servers.ts'
import { clientBoundNote, failureNotes, ratioOf } from './contenders.ts'

const AT_ONCE = 32
const SDK_AT_ONCE = 8
const CONNECTIONS = 16
const SECONDS_MAX = 60
const WARM_UP_SECONDS_MAX = 10

export const pairing: Section = {
  name: 'pairing',
  about: 'complete pairings, with and without client cryptography, and the two commands of strangers',
  run: async (context) => {
    await withAgents(1, async ([agent]) => {
      if (!agent) return
      const relay = await RelayProcess.start({ env: MANY_SESSIONS })
      const stub = await startProgram('stub')
      try {
        await pairings(context, agent, relay, stub)
        await commands(context, agent, relay)
      } finally {
        await Promise.all([relay.end(), end(stub.child)])
      }
    })
  },
}

interface Pairings {
  readonly perSecond: number
  readonly wholeP50: number
  readonly wholeP99: number
  readonly deliveryP50: number
  readonly deliveryP99: number
  readonly relayCpuUs: number
  readonly relayShare: number
  readonly clientShare: number
  readonly failed: number
}

/** A server that pairings are made at. */
type Paired = Pick<RelayProcess, 'pid' | 'address'>

const ALONE = 'one after the other'
const TOGETHER = `${AT_ONCE} at once`
const STUB = `a stub, ${AT_ONCE} at once`
const FRESH = `${AT_ONCE} at once, each device on connections of its own`

async function pairings(
  { plan, report }: SectionContext,
  agent: Agent,
  relay: RelayProcess,
  stub: { readonly pid: number; readonly port: number },
): Promise<void> {
  const { alone, together, withSdk, warmUp, rounds, secondsPerTable } = plan.pairing
  const stubbed: Paired = { pid: stub.pid, address: { host: '127.0.0.1', port: stub.port } }
  const raw = (count: number, concurrency: number, keepAlive: boolean, server: Paired = relay) => {
    const load = { address: server.address, concurrency, count, seconds: SECONDS_MAX, keepAlive }
    return () => pairingRound(server.pid, () => agent.call('runPairings', load))
  }
  const sdk = (count: number, concurrency: number) => () =>
    pairingRound(relay.pid, () =>
      agent.call('runSdkPairings', { relay: relay.url, concurrency, count, seconds: SECONDS_MAX }),
    )
  // A few thousand pairings are faster than the first hundred by a factor of four.
  for (const { address } of [relay, stubbed]) {
    const load = { address, concurrency: AT_ONCE, count: warmUp, seconds: WARM_UP_SECONDS_MAX, keepAlive: true }
    await agent.call('runPairings', load)
  }
  const outcomes = await interleave<Pairings>(
    [
      { name: ALONE, run: raw(alone, 1, true) },
      { name: TOGETHER, run: raw(together, AT_ONCE, true) },
      { name: STUB, run: raw(together, AT_ONCE, true, stubbed) },
      { name: FRESH, run: raw(together, AT_ONCE, false) },
      { name: `SDK with cryptography, ${ALONE}`, run: sdk(withSdk, 1) },
      { name: `SDK with cryptography, ${SDK_AT_ONCE} at once`, run: sdk(2 * withSdk, SDK_AT_ONCE) },
    ],
    { rounds, seconds: secondsPerTable },
  )
  const shares = new Map(outcomes.map((each) => [each.name, spread(each.rounds.map((r) => r.clientShare))]))
  report.table({
    title: 'Pairing: create, join, attach twice, handshake, approve, 100 B payload, receipt, clean-up',
    columns: [
      { key: 'perSecond', head: 'pairings/s', digits: 0 },
      { key: 'wholeP50', head: 'whole p50 ms', digits: 2 },
      { key: 'wholeP99', head: 'p99', digits: 2 },
      { key: 'deliveryP50', head: 'code to delivery p50 ms', digits: 2 },
      { key: 'deliveryP99', head: 'p99', digits: 2 },
      { key: 'relayCpuUs', head: 'relay CPU µs each', digits: 0 },
      { key: 'relayShare', head: 'relay CPU %', digits: 0 },
      { key: 'clientShare', head: 'client CPU %', digits: 0 },
    ],
    rows: outcomes.map(({ name, rounds: each }) => {
      const of = (key: keyof Pairings, scale = 1) => spread(each.map((round) => round[key] * scale))
      return {
        name,
        cells: {
          perSecond: of('perSecond'),
          wholeP50: of('wholeP50'),
          wholeP99: of('wholeP99'),
          deliveryP50: of('deliveryP50'),
          deliveryP99: of('deliveryP99'),
          relayCpuUs: of('relayCpuUs'),
          relayShare: of('relayShare', 100)?.median,
          clientShare: of('clientShare', 100)?.median,
        },
      }
    }),
    notes: [
      'without “SDK”: frames of the same sizes by hand, no cryptography, HTTP connections kept alive unless it says otherwise',
      'stub: Fastify and ws that answer the same calls and sockets, and keep nothing; its CPU is in the relay’s columns',
      'code to delivery: from the join, with the code in hand, to the receipt at the sender; nobody has to think',
      settingsNote(MANY_SESSIONS),
      ...failedNote(outcomes),
      ...clientBoundNote(shares),
      ...failureNotes(outcomes),
    ],
  })
  report.goal(
    'pairingVsStub',
    ratioOf(outcomes, TOGETHER, STUB, (round) => round.relayCpuUs),
  )
}

interface PairingTimes {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly failed: number
  readonly firstFailure: string | undefined
  readonly wholeMs: Float64Array
  readonly codeToDeliveryMs: Float64Array
}

async function pairingRound(pid: number, run: () => Promise<PairingTimes>): Promise<Pairings> {
  const { result, serverCpu } = await costOf([pid], run)
  const { wholeMs, codeToDeliveryMs, seconds, cpuSeconds, failed, firstFailure } = result
  if (wholeMs.length === 0) throw new Error(`no pairing came to its end: ${firstFailure}`)
  return {
    perSecond: wholeMs.length / seconds,
    wholeP50: percentile(wholeMs, 50),
    wholeP99: percentile(wholeMs, 99),
    deliveryP50: percentile(codeToDeliveryMs, 50),
    deliveryP99: percentile(codeToDeliveryMs, 99),
    relayCpuUs: (serverCpu * 1e6) / wholeMs.length,
    relayShare: serverCpu / seconds,
    clientShare: cpuSeconds / seconds,
    failed,
  }
}

function failedNote(outcomes: readonly Outcome<Pairings>[]): string[] {
  const failed = outcomes.flatMap(({ rounds }) => rounds.map((round) => round.failed)).reduce((a, b) => a + b, 0)
  return failed === 0 ? [] : [`${failed} pairings failed and are not counted`]
}

interface Commands {
  readonly perSecond: number
  readonly cpuUs: number
  readonly serverShare: number
  readonly clientShare: number
}

async function commands({ plan, report }: SectionContext, agent: Agent, relay: RelayProcess): Promise<void> {
  const { commands: count, rounds, secondsPerTable } = plan.pairing
  const bare = await startProgram('bare-fastify')
  try {
    const server = { relay: { pid: relay.pid, port: relay.address.port }, bare: { pid: bare.pid, port: bare.port } }
    const run =
      (which: 'relay' | 'bare', command: 'create' | 'join', many = count) =>
      () =>
        commandRound(agent, server[which], command, which === 'bare', many)
    const contenders: Contender<Commands>[] = [
      { name: 'POST create, relay', run: run('relay', 'create') },
      { name: 'POST create, bare Fastify', run: run('bare', 'create') },
      { name: 'POST join, relay', run: run('relay', 'join') },
      { name: 'POST join, bare Fastify', run: run('bare', 'join') },
    ]
    for (const which of ['relay', 'bare'] as const) {
      for (const command of ['create', 'join'] as const) await run(which, command, Math.min(count, 3000))()
    }
    const outcomes = await interleave(contenders, { rounds, seconds: secondsPerTable })
    const shares = new Map(outcomes.map((each) => [each.name, spread(each.rounds.map((r) => r.clientShare))]))
    report.table({
      title: `Commands of strangers: ${count.toLocaleString('en-US')} requests over ${CONNECTIONS} kept-alive connections`,
      columns: [
        { key: 'perSecond', head: 'requests/s', digits: 0 },
        { key: 'cpuUs', head: 'server CPU µs each', digits: 1 },
        { key: 'serverShare', head: 'server CPU %', digits: 0 },
        { key: 'clientShare', head: 'client CPU %', digits: 0 },
      ],
      rows: outcomes.map(({ name, rounds: each }) => ({
        name,
        cells: {
          perSecond: spread(each.map((r) => r.perSecond)),
          cpuUs: spread(each.map((r) => r.cpuUs)),
          serverShare: spread(each.map((r) => r.serverShare * 100))?.median,
          clientShare: spread(each.map((r) => r.clientShare * 100))?.median,
        },
      })),
      notes: [
        'bare Fastify: the same bodies, checked by the same schemas, as many random bytes and a digest, and nothing else',
        ...clientBoundNote(shares),
        ...failureNotes(outcomes),
      ],
    })
    for (const [goal, command] of [
      ['createVsFastify', 'create'],
      ['joinVsFastify', 'join'],
    ] as const) {
      const names = [`POST ${command}, relay`, `POST ${command}, bare Fastify`] as const
      const byCpu = ratioOf(outcomes, names[1], names[0], (round) => round.cpuUs)
      report.goal(
        goal,
        ratioOf(outcomes, names[0], names[1], (round) => round.perSecond),
        `by CPU for each request ${byCpu?.toFixed(2)}`,
      )
    }
  } finally {
    await end(bare.child)
  }
}

async function commandRound(
  agent: Agent,
  { pid, port }: { readonly pid: number; readonly port: number },
  command: 'create' | 'join',
  bare: boolean,
  count: number,
): Promise<Commands> {
  const address = { host: '127.0.0.1', port }
  if (!bare && command === 'join') await agent.call('prepareJoins', { address, count, connections: CONNECTIONS })
  const { result, serverCpu } = await costOf([pid], () =>
    agent.call('runCommands', { address, command, connections: CONNECTIONS, count, bare }),
  )
  return {
    perSecond: result.count / result.seconds,
    cpuUs: (serverCpu * 1e6) / result.count,
    serverShare: serverCpu / result.seconds,
    clientShare: result.cpuSeconds / result.seconds,
  }
}

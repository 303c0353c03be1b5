import type { Agent } from '../harness/agents.ts'
import { end } from '../harness/children.ts'
import { interleave } from '../harness/interleave.ts'
import { costOf } from '../harness/process-stats.ts'
import { RelayProcess } from '../harness/relay.ts'
import type { SectionContext } from '../harness/report.ts'
import { spread } from '../harness/stats.ts'
import type { Target } from '../load/links.ts'
import { SDK_FRAME_BYTES } from '../plan.ts'
import { startProgram } from '../yardsticks/servers.ts'
import { BARE_WS, failureNotes, RELAY } from './contenders.ts'

const MB = 1e6
const KIB = 1024
const MIB = 1024 * KIB
/** A session takes eight receivers, so the ninth has a session of its own, beside. */
const RECEIVERS = 8
/** The largest window of a channel, by default. */
const WINDOW_BYTES = 2_098_176
/** Sessions of eight stalled receivers each, when their memory is measured. */
const STALLED_SESSIONS = 3

interface FanOutRound {
  readonly rate: number
  readonly besideRate: number
  readonly peakMib: number
  readonly risenMib: number
}

interface Server {
  readonly name: string
  readonly pid: number
  readonly target: Target
  readonly bare: boolean
}

/** Losses of the others when one of nine receivers stops reading, and the memory it takes. */
export async function slowReceivers(context: SectionContext, agent: Agent, beside: Agent): Promise<void> {
  const { plan, report } = context
  const { fanOutBytes, rounds, secondsPerTable } = plan.misbehaving
  const relay = await RelayProcess.start()
  const bare = await startProgram('bare-ws')
  try {
    const servers: Server[] = [
      { name: RELAY, pid: relay.pid, target: relay.target, bare: false },
      {
        name: `${BARE_WS} that never looks back`,
        pid: bare.pid,
        target: { kind: 'ws', host: '127.0.0.1', port: bare.port },
        bare: true,
      },
    ]
    const frames = Math.ceil(fanOutBytes / RECEIVERS / SDK_FRAME_BYTES)
    const outcomes = await interleave<FanOutRound>(
      servers.flatMap((server) => {
        const allRead = () => fanOut(agent, beside, server, RECEIVERS - 1, 0, frames)
        const oneStalls = () => fanOut(agent, beside, server, RECEIVERS, 1, frames)
        return [
          { name: `${server.name}: all read`, run: allRead, warmUp: allRead },
          { name: `${server.name}: one more, stalled`, run: oneStalls },
        ]
      }),
      { rounds, seconds: secondsPerTable },
    )
    report.table({
      title: `Slow receivers: 7 receivers of one session read, an 8th stalls or is not there; a 9th reads in a session of its own`,
      columns: [
        { key: 'rate', head: 'MB/s of the 7', digits: 0 },
        { key: 'besideRate', head: 'MB/s of the 9th', digits: 0 },
        { key: 'peakMib', head: 'server peak MiB', digits: 0 },
        { key: 'risenMib', head: 'of it new', digits: 0 },
      ],
      rows: outcomes.map(({ name, rounds: each }) => ({
        name,
        cells: {
          rate: spread(each.map((r) => r.rate)),
          besideRate: spread(each.map((r) => r.besideRate)),
          peakMib: spread(each.map((r) => r.peakMib)),
          risenMib: spread(each.map((r) => r.risenMib)),
        },
      })),
      notes: [
        `each of the 7 gets ${Math.round((frames * SDK_FRAME_BYTES) / MIB)} MiB; a session takes at most ${RECEIVERS} receivers`,
        'the bare server sends each message on to all; its client writes each byte once, ours once for every receiver',
        ...failureNotes(outcomes),
      ],
    })
  } finally {
    await Promise.all([relay.end(), end(bare.child)])
  }
  await memoryOfStalled(context, agent)
}

async function fanOut(
  agent: Agent,
  beside: Agent,
  server: Server,
  receivers: number,
  stalled: number,
  frames: number,
): Promise<FanOutRound> {
  const { target, bare, pid } = server
  const size = { messageBytes: SDK_FRAME_BYTES, messages: 1 }
  const ninth = await beside.call('openBulk', { target, pairs: 1, ...size })
  const handle = await agent.call('openFanOut', {
    address: { host: target.host, port: target.port },
    receivers,
    stalled,
    frames,
    frameBytes: SDK_FRAME_BYTES,
    bare,
  })
  try {
    const { result, peakBytes, risenBytes } = await costOf([pid], async () => {
      await beside.call('startBulk', { handle: ninth })
      const mine = await agent.call('runFanOut', { handle })
      return { mine, theirs: await beside.call('stopBulk', { handle: ninth }) }
    })
    return {
      rate: result.mine.bytes / MB / result.mine.seconds,
      besideRate: result.theirs.bytes / MB / result.theirs.seconds,
      peakMib: peakBytes / MIB,
      risenMib: risenBytes / MIB,
    }
  } finally {
    await agent.call('closeFanOut', { handle })
    await beside.call('closeBulk', { handle: ninth })
  }
}

/** Measures the cost of a receiver that has stopped, from many at once: a single one is too little to see. */
async function memoryOfStalled({ plan, report }: SectionContext, agent: Agent): Promise<void> {
  const stalledInAll = STALLED_SESSIONS * RECEIVERS
  const outcomes = await interleave(
    [
      {
        name: `${RELAY}, ${stalledInAll} stalled in ${STALLED_SESSIONS} sessions`,
        run: async () => {
          const relay = await RelayProcess.start({ probe: true })
          const handles: number[] = []
          try {
            for (let n = 0; n < STALLED_SESSIONS; n++) {
              handles.push(
                await agent.call('openFanOut', {
                  address: relay.address,
                  receivers: RECEIVERS,
                  stalled: RECEIVERS,
                  // Twice what any window takes.
                  frames: 16,
                  frameBytes: SDK_FRAME_BYTES,
                  bare: false,
                }),
              )
            }
            const before = await relay.reading()
            await Promise.all(handles.map((handle) => agent.call('runFanOut', { handle })))
            const after = await relay.reading()
            return {
              rss: (after.rss - before.rss) / stalledInAll,
              external: (after.external - before.external) / stalledInAll,
            }
          } finally {
            for (const handle of handles) await agent.call('closeFanOut', { handle })
            await relay.end()
          }
        },
      },
    ],
    { rounds: plan.misbehaving.rounds, seconds: plan.misbehaving.secondsPerTable },
  )
  report.table({
    title: 'Slow receivers: what each holds in the relay when its sender has sent all it may',
    columns: [
      { key: 'rss', head: 'RSS KiB each', digits: 0 },
      { key: 'external', head: 'buffers KiB each', digits: 0 },
      { key: 'window', head: 'window KiB', digits: 0 },
    ],
    rows: outcomes.map(({ name, rounds: each }) => ({
      name,
      cells: {
        rss: spread(each.map((r) => r.rss / KIB)),
        external: spread(each.map((r) => r.external / KIB)),
        window: WINDOW_BYTES / KIB,
      },
    })),
    notes: [
      'after two garbage collections, against the same sessions before their first frame',
      ...failureNotes(outcomes),
    ],
  })
  const rss = spread(outcomes[0]?.rounds.map((r) => r.rss) ?? [])?.median
  report.goal('stalledReceiver', rss === undefined ? undefined : (rss - WINDOW_BYTES) / KIB, 'RSS beyond the window')
}

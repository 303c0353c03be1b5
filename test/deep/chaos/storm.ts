import { setTimeout as delay } from 'node:timers/promises'
import { Sender } from '../../../src/client/index.ts'
import { DeviceWorld } from '../../e2e/world.ts'
import { Random } from '../../support/random.ts'
import { Cluster } from './cluster.ts'
import { tellSession } from './pairing.ts'
import type { Plan } from './plan.ts'
import { sideBySide } from './side-by-side.ts'
import { type Row, Tally } from './tally.ts'

/** All sockets of a node come back at once, because it was killed and started again. */

const TTL_SECONDS = 300
const OPENED_AT_ONCE = 64
/** Within this every socket must be back. */
const BACK_WITHIN_MS = 30_000
/** The first wait is a random part of 250 ms: no window of a tenth of that may have twice its share. */
const WINDOW_MS = 25
const MOST_IN_A_WINDOW = 0.2

interface Waiting {
  readonly sender: Sender
  readonly world: DeviceWorld
  /** The wait it chose before its first attempt, and when it was attached again. */
  waitedMs: number | undefined
  backAt: number | undefined
  ended: string | undefined
}

export async function* storm({ seed, stormSockets }: Plan): AsyncGenerator<Row> {
  const cluster = await Cluster.start({ nodes: 2, redis: true, settings: { MAX_SESSIONS_PER_CLIENT: '100000' } })
  const tally = new Tally(`${stormSockets.toLocaleString('en-US')} sockets reconnect after a restart`, {
    mustSurvive: true,
  })
  try {
    cluster.balancer.rule = 0
    const front = await cluster.balancer.front()
    const waiting = await openAll(cluster, front.url, stormSockets, seed)
    const killedAt = performance.now()
    const restarted = cluster.kill(0).then(() => cluster.startAgain(0))
    await everybodyBack(waiting)
    await restarted
    for (const [i, each] of waiting.entries()) {
      const { backAt, ended } = each
      const why = ended ?? 'not back in time'
      tally.add(`storm/${i}`, backAt === undefined ? { fate: 'lost', why } : { fate: 'survived', why: '' })
    }
    judgeSpread(waiting, killedAt, tally)
    if (cluster.keys) {
      const { fate, why } = await cluster.keys.look()
      if (fate !== 'survived') tally.fault(`keys in Redis: ${why}`)
    }
    await closeAll(waiting)
    for (const failure of cluster.failures) tally.fault(`a node logged ${failure}`)
  } finally {
    await cluster.close()
  }
  yield tally.row
}

/** So many senders that show a code, each with its socket. */
async function openAll(cluster: Cluster, relay: string, count: number, seed: string): Promise<Waiting[]> {
  const waiting: Waiting[] = []
  let opened = 0
  await sideBySide(OPENED_AT_ONCE, () => (opened < count ? open(opened++) : undefined))
  return waiting

  async function open(i: number): Promise<void> {
    waiting.push(await openOne(cluster, relay, new Random(seed, 'storm', i)))
  }
}

async function openOne(cluster: Cluster, relay: string, random: Random): Promise<Waiting> {
  const world = await DeviceWorld.create()
  const { setTimeout: startTimer } = world.environment
  if (!startTimer) throw new Error('a device has no timers')
  world.onFetch = async (send) => {
    const answer = await send()
    await tellSession(answer, cluster.keys?.addSession)
    return answer
  }
  const times: Omit<Waiting, 'sender' | 'world'> = {
    waitedMs: undefined,
    backAt: undefined,
    ended: undefined,
  }
  let [attached, lost] = [false, false]
  let say: () => void = () => {}
  const first = new Promise<void>((resolve) => {
    say = resolve
  })
  const sender = await Sender.open({
    relay,
    ttlSeconds: TTL_SECONDS,
    environment: {
      ...world.environment,
      jitter: () => random.below(1_000_000) / 1_000_000,
      setTimeout: (callback, ms) => {
        // The first wait after the loss is for the next attempt.
        if (lost) times.waitedMs ??= ms
        return startTimer(callback, ms)
      },
    },
    onStatus: (status) => {
      if (status === 'reconnecting') lost = true
      if (status !== 'connected') return
      if (attached) times.backAt ??= performance.now()
      attached = true
      say()
    },
  })
  sender
    .requests()
    .next()
    .catch((error: unknown) => {
      times.ended = String(error)
    })
  await first
  return Object.assign(times, { sender, world })
}

/** Resolves when each is back or has ended, or the time is over. */
async function everybodyBack(waiting: readonly Waiting[]): Promise<void> {
  const deadline = performance.now() + BACK_WITHIN_MS
  while (waiting.some(({ backAt, ended }) => backAt === undefined && ended === undefined)) {
    if (performance.now() > deadline) return
    await delay(20)
  }
}

function judgeSpread(waiting: readonly Waiting[], killedAt: number, tally: Tally): void {
  const sorted = (times: readonly (number | undefined)[]) =>
    times.filter((time) => time !== undefined).sort((a, b) => a - b)
  const waits = sorted(waiting.map(({ waitedMs }) => waitedMs))
  const back = sorted(waiting.map(({ backAt }) => backAt)).map((time) => Math.round(time - killedAt))
  let most = 0
  for (let from = 0, to = 0; to < waits.length; to++) {
    while (waits[to] - waits[from] > WINDOW_MS) from++
    most = Math.max(most, to - from + 1)
  }
  const share = Math.round((100 * most) / waiting.length)
  tally.note(
    `back ${back[0]} to ${back.at(-1)} ms after the kill; at most ${share} % chose a wait within the same ${WINDOW_MS} ms`,
  )
  if (waits.length < waiting.length || most > waiting.length * MOST_IN_A_WINDOW) tally.fault('there is no jitter')
}

async function closeAll(waiting: readonly Waiting[]): Promise<void> {
  const left = [...waiting]
  await sideBySide(OPENED_AT_ONCE, () => left.pop()?.sender.cancel())
}

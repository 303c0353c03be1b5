import { setTimeout as delay } from 'node:timers/promises'
import { Sender } from '../../src/client/index.ts'
import { DeviceWorld } from '../e2e/world.ts'
import { Random } from '../support/random.ts'
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
/** The first wait is a random part of 250 ms: no window of a tenth of that may have more of the attempts than this. */
const WINDOW_MS = 25
const MOST_IN_A_WINDOW = 0.35

interface Waiting {
  readonly sender: Sender
  readonly world: DeviceWorld
  /** When it tried first, and when it was attached again, after the kill. */
  triedAt: number | undefined
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
  const { openWebSocket } = world.environment
  if (!openWebSocket) throw new Error('a device has no sockets')
  world.onFetch = async (send) => {
    const answer = await send()
    await tellSession(answer, cluster.keys?.addSession)
    return answer
  }
  const times: Pick<Waiting, 'triedAt' | 'backAt' | 'ended'> = {
    triedAt: undefined,
    backAt: undefined,
    ended: undefined,
  }
  let attached = false
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
      openWebSocket: (url, protocol) => {
        if (attached) times.triedAt ??= performance.now()
        return openWebSocket(url, protocol)
      },
    },
    onStatus: (status) => {
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
  const after = (times: readonly (number | undefined)[]) =>
    times.flatMap((time) => (time === undefined ? [] : time - killedAt)).sort((a, b) => a - b)
  const tried = after(waiting.map(({ triedAt }) => triedAt))
  const back = after(waiting.map(({ backAt }) => backAt))
  tally.note(`tried for the first time ${spreadOf(tried)} after the kill`)
  tally.note(`back ${spreadOf(back)} after the kill`)
  let most = 0
  for (let from = 0, to = 0; to < tried.length; to++) {
    while (tried[to] - tried[from] > WINDOW_MS) from++
    most = Math.max(most, to - from + 1)
  }
  const share = most / tried.length
  tally.note(`at most ${Math.round(share * 100)} % tried within any ${WINDOW_MS} ms`)
  if (share > MOST_IN_A_WINDOW) tally.fault('the attempts come all at once: there is no jitter')
}

function spreadOf(times: readonly number[]): string {
  const at = (part: number) => Math.round(times[Math.min(times.length - 1, Math.floor(times.length * part))])
  return `${at(0)} ms (first), ${at(0.5)} ms (half), ${at(0.9)} ms (90 %), ${at(1)} ms (last)`
}

async function closeAll(waiting: readonly Waiting[]): Promise<void> {
  const left = [...waiting]
  await sideBySide(OPENED_AT_ONCE, () => left.pop()?.sender.cancel())
}

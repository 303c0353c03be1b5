import { setTimeout as delay } from 'node:timers/promises'
import type { Source } from '../../../src/client/index.ts'
import { bytesOf } from '../../e2e/people.ts'
import { Random } from '../../support/random.ts'
import { Cluster } from './cluster.ts'
import { type Happening, runPairing } from './pairing.ts'
import type { Plan } from './plan.ts'
import { type Row, Tally } from './tally.ts'

/** Both nodes are stopped in order and started again, one after the other, while ten transfers are under way. */

const TRANSFERS = 10
const BYTES = 4 * 1024 * 1024
const PIECE_BYTES = 64 * 1024
/** The payload comes in drops, so that there is always something under way; its end stays back until all is over. */
const PIECE_EVERY_MS = 50
const KEPT_BACK_BYTES = 8 * PIECE_BYTES
const BEGUN_SEQ = 6
const TTL_SECONDS = 120
const LIMIT_MS = 60_000

export async function* rolling({ seed, rollingRestarts }: Plan): AsyncGenerator<Row> {
  const tally = new Tally(`a rolling restart during ${TRANSFERS} transfers`, { mustSurvive: true })
  const cluster = await Cluster.start({ nodes: 2, redis: true })
  const keys = new Tally('the same: keys in Redis')
  try {
    for (let i = 0; i < rollingRestarts; i++) {
      await restartOnce(cluster, `rolling/${i}`, seed, tally)
      if (cluster.keys) keys.add(`rolling/${i}`, await cluster.keys.look())
    }
    for (const failure of cluster.failures) tally.fault(`a node logged ${failure}`)
  } finally {
    await cluster.close()
  }
  yield tally.row
  yield keys.row
}

async function restartOnce(cluster: Cluster, name: string, seed: string, tally: Tally): Promise<void> {
  cluster.balancer.rule = 'in turn'
  let release: () => void = () => {}
  const over = new Promise<void>((resolve) => {
    release = resolve
  })
  let begun = 0
  let allBegun: () => void = () => {}
  const underWay = new Promise<void>((resolve) => {
    allBegun = resolve
  })
  const transfers = Array.from({ length: TRANSFERS }, async (_, i) => {
    const random = new Random(seed, name, i)
    const payload = bytesOf(BYTES, random.below(2 ** 31))
    const fronts = await cluster.balancer.fronts()
    const onHappening = (happening: Happening) => {
      if (happening.what !== 'gets' || happening.side !== 'receiver' || happening.seq !== BEGUN_SEQ) return
      if (++begun === TRANSFERS) allBegun()
    }
    const verdict = await runPairing({
      relays: fronts.relays,
      payload,
      random,
      ttlSeconds: TTL_SECONDS,
      limitMs: LIMIT_MS,
      source: inDrops(payload, over),
      onHappening,
      onSession: cluster.keys?.addSession,
    })
    tally.add(`${name}/${i}`, verdict)
    await fronts.close()
  })
  const all = Promise.all(transfers)
  // A transfer that fails before the middle must not keep this from ending.
  await Promise.race([underWay, all])
  const times: string[] = []
  for (let node = 0; node < cluster.size; node++) {
    const since = performance.now()
    const exitCode = await cluster.stop(node)
    if (exitCode !== 0) tally.fault(`${name}: node ${node} exited with ${exitCode}`)
    times.push(`${Math.round(performance.now() - since)} ms`)
    await cluster.startAgain(node)
  }
  release()
  await all
  tally.note(`the nodes took ${times.join(' and ')} to stop`)
}

/** A payload that comes slowly, and whose end waits. */
function inDrops(payload: Uint8Array, over: Promise<void>): Source {
  let isOver = false
  void over.then(() => {
    isOver = true
  })
  return {
    name: 'payload',
    size: payload.length,
    async *open() {
      for (let offset = 0; offset < payload.length; offset += PIECE_BYTES) {
        if (!isOver) await Promise.race([delay(PIECE_EVERY_MS), over])
        if (offset >= payload.length - KEPT_BACK_BYTES) await over
        yield payload.subarray(offset, offset + PIECE_BYTES)
      }
    },
  }
}

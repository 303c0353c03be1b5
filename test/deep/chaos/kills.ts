import { setTimeout as delay } from 'node:timers/promises'
import { bytesOf } from '../../e2e/people.ts'
import { Random } from '../../support/random.ts'
import type { Rule } from './balancer.ts'
import { Cluster } from './cluster.ts'
import { runPairing, type Side } from './pairing.ts'
import { isSame, PHASES, type Phase } from './phases.ts'
import type { Plan } from './plan.ts'
import { KEYS_OUTLIVE_MS } from './redis-keys.ts'
import { type Row, Tally } from './tally.ts'

/** A node is killed at each phase of a pairing, with SIGKILL, and comes back a moment later as a fresh process. */

const KIB = 1024
/** Three frames at least, so that there is a middle. */
const PAYLOAD_MIN_BYTES = 520 * KIB
const PAYLOAD_MAX_BYTES = 2_000 * KIB
/** The shortest there is: nobody can wait for longer than this for a device that is gone without a word. */
const TTL_SECONDS = 30
const LIMIT_MS = 45_000
/** Between what marks the phase and the kill, and between its end and the next process. */
const KILL_AFTER_MS = [0, 0, 2, 10]
const AWAY_MAX_MS = 300

/** How the devices are spread over the nodes, and whose node is killed. */
const SPREADS: readonly { readonly rule: Rule; readonly victim: Side }[] = [
  { rule: 'by session', victim: 'sender' },
  { rule: 'in turn', victim: 'sender' },
  { rule: 'in turn', victim: 'receiver' },
]

interface Run {
  readonly name: string
  readonly phase: Phase
  readonly spread: (typeof SPREADS)[number]
  readonly tally: Tally
}

/** Two nodes and Redis. */
export async function* kills(plan: Plan): AsyncGenerator<Row> {
  const tallies = new Map(PHASES.map((phase) => [phase, new Tally(`killed: ${phase.name}`, phase)]))
  const keys = new Tally('killed: keys in Redis after each run')
  await killAtEachPhase(plan, { nodes: 2, redis: true, runs: plan.killsPerPhase * PHASES.length, tallies, keys })
  for (const tally of tallies.values()) yield tally.row
  yield keys.row
}

/** A node that holds everything in memory: its sessions are gone, and both sides report that. */
export async function* killsAlone(plan: Plan): AsyncGenerator<Row> {
  const tally = new Tally('alone in memory, killed at any phase')
  const tallies = new Map(PHASES.map((phase) => [phase, tally]))
  await killAtEachPhase(plan, { nodes: 1, redis: false, runs: plan.killsAlone, tallies, keys: tally })
  yield tally.row
}

interface Setting {
  readonly nodes: number
  readonly redis: boolean
  /** Over all phases. */
  readonly runs: number
  readonly tallies: ReadonlyMap<Phase, Tally>
  /** For what concerns no single run. */
  readonly keys: Tally
}

async function killAtEachPhase(plan: Plan, { nodes, redis, runs, tallies, keys }: Setting): Promise<void> {
  const phases = [...tallies]
  const queue = Array.from({ length: runs }, (_, i): Run => {
    // Fewer runs than phases are spread over all of them; the ways to be spread over nodes change with each run.
    const [phase, tally] = phases[runs < phases.length ? Math.floor((i * phases.length) / runs) : i % phases.length]
    return { name: `${phase.name}/${i}`, phase, spread: SPREADS[i % SPREADS.length], tally }
  })
  const clusters = Array.from({ length: Math.min(plan.clusters, queue.length) }, async () => {
    // Nodes of its own: what one run kills is no business of another.
    const cluster = await Cluster.start({ nodes, redis, settings: { MAX_SESSIONS_PER_CLIENT: '100000' } })
    try {
      for (let run = queue.shift(); run && !run.tally.hopeless; run = queue.shift()) {
        await killOnce(cluster, run, plan.seed)
        if (cluster.keys) keys.add(run.name, await cluster.keys.look())
      }
      for (const failure of cluster.failures) keys.fault(`a node logged ${failure}`)
      if (plan.waitForKeys) await untilKeysAreGone(cluster, keys)
    } finally {
      await cluster.close()
    }
  })
  await Promise.all(clusters)
}

/** With no node there to tidy, every key goes by itself. */
async function untilKeysAreGone(cluster: Cluster, tally: Tally): Promise<void> {
  if (!cluster.keys) return
  for (let node = 0; node < cluster.size; node++) await cluster.kill(node)
  const ms = await cluster.keys.lastsMs()
  if (ms > TTL_SECONDS * 1000 + KEYS_OUTLIVE_MS) tally.fault(`a key lasts for ${ms} ms more`)
  else tally.note(`the last goes ${Math.round(ms / 1000)} s after the last run, with no node there to tidy`)
}

async function killOnce(cluster: Cluster, { name, phase, spread, tally }: Run, seed: string): Promise<void> {
  const random = new Random(seed, name)
  const payload = bytesOf(random.between(PAYLOAD_MIN_BYTES, PAYLOAD_MAX_BYTES), random.below(2 ** 31))
  const mark = random.pick(phase.marks(payload))
  const killAfterMs = random.pick(KILL_AFTER_MS)
  const awayMs = random.below(AWAY_MAX_MS)
  cluster.balancer.rule = spread.rule
  const fronts = await cluster.balancer.fronts()
  let killing: Promise<void> | undefined
  const kill = async () => {
    if (killAfterMs > 0) await delay(killAfterMs)
    const node = fronts[spread.victim].node ?? random.below(cluster.size)
    await cluster.kill(node)
    await delay(awayMs)
    await cluster.startAgain(node)
  }
  const verdict = await runPairing({
    relays: fronts.relays,
    payload,
    random,
    ttlSeconds: TTL_SECONDS,
    limitMs: LIMIT_MS,
    onHappening: (happening) => {
      if (isSame(happening, mark)) killing ??= kill()
    },
    onSession: cluster.keys?.addSession,
  })
  tally.add(`${name}, ${spread.rule}, the ${spread.victim}’s node`, verdict)
  if (killing) await killing
  else tally.fault(`${name}: ${JSON.stringify(mark)} did not happen`)
  await fronts.close()
}

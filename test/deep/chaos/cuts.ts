import { bytesOf } from '../../e2e/people.ts'
import { CuttingProxy } from '../../support/cutting-proxy.ts'
import { Random } from '../../support/random.ts'
import { startRelayProcess } from '../../support/relay-process.ts'
import { runPairing, type Side } from './pairing.ts'
import type { Plan } from './plan.ts'
import { sideBySide } from './side-by-side.ts'
import { type Row, Tally } from './tally.ts'

/** Each device has a network of its own, which is cut at random bytes of whatever passes: commands, handshake, data. */

const SIDES: readonly Side[] = ['sender', 'receiver']
const PAYLOAD_MAX_BYTES = 40_000
const CUTS_PER_SIDE_MAX = 3
const TTL_SECONDS = 60
const LIMIT_MS = 30_000
const AT_ONCE = 12

export async function* cuts({ seed, cuts: wanted }: Plan): AsyncGenerator<Row> {
  const node = await startRelayProcess({ MAX_SESSIONS_PER_CLIENT: '100000' })
  const tally = new Tally('connections cut at random bytes', { mustSurvive: true })
  const begun = performance.now()
  let done = 0
  let started = 0
  try {
    const undisturbed = await usualBytes(node.port, seed)
    await sideBySide(AT_ONCE, () => {
      if (done >= wanted || tally.hopeless) return undefined
      const name = `cuts/${started++}`
      return runCut(name, new Random(seed, name), node.port, undisturbed, tally).then((count) => {
        done += count
      })
    })
    for (const failure of node.failures) tally.fault(`the relay logged ${failure}`)
  } finally {
    await node.kill()
  }
  tally.note(`${done} cuts in ${started} pairings, ${seconds(begun)}`)
  yield tally.row
}

/** Runs a pairing and returns the number of cuts. */
async function runCut(
  name: string,
  random: Random,
  port: number,
  undisturbed: Readonly<Record<Side, number>>,
  tally: Tally,
): Promise<number> {
  const payload = bytesOf(random.between(1, PAYLOAD_MAX_BYTES), random.below(2 ** 31))
  const proxies = { sender: await CuttingProxy.start(port), receiver: await CuttingProxy.start(port) }
  for (const side of SIDES) {
    const whole = undisturbed[side] + payload.length
    const times = random.between(1, CUTS_PER_SIDE_MAX)
    const places = Array.from({ length: times }, () => random.below(whole)).sort((a, b) => a - b)
    proxies[side].cutAt(places)
  }
  try {
    const verdict = await runPairing({
      relays: { sender: proxies.sender.url, receiver: proxies.receiver.url },
      payload,
      random,
      ttlSeconds: TTL_SECONDS,
      limitMs: LIMIT_MS,
    })
    tally.add(name, verdict)
    return proxies.sender.cuts + proxies.receiver.cuts
  } finally {
    for (const side of SIDES) await proxies[side].close()
  }
}

/** Returns the bytes of a pairing that nothing disturbs, without the payload. */
async function usualBytes(port: number, seed: string): Promise<Record<Side, number>> {
  const proxies = { sender: await CuttingProxy.start(port), receiver: await CuttingProxy.start(port) }
  const payload = new Uint8Array(1)
  const { fate, why } = await runPairing({
    relays: { sender: proxies.sender.url, receiver: proxies.receiver.url },
    payload,
    random: new Random(seed, 'undisturbed'),
    ttlSeconds: TTL_SECONDS,
    limitMs: LIMIT_MS,
  })
  if (fate !== 'survived') throw new Error(`a pairing fails that nothing disturbs: ${why}`)
  const passed = (side: Side) => proxies[side].passed.sockets + proxies[side].passed.requests
  const usual = { sender: passed('sender'), receiver: passed('receiver') }
  for (const side of SIDES) await proxies[side].close()
  return usual
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`
}

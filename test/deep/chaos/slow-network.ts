import { bytesOf } from '../../e2e/people.ts'
import { Random } from '../../support/random.ts'
import { startRelayProcess } from '../../support/relay-process.ts'
import { type Shape, ShapingProxy } from '../../support/shaping-proxy.ts'
import { runPairing } from './pairing.ts'
import type { Plan } from './plan.ts'
import { type Row, Tally } from './tally.ts'

/** Both devices behind a slow link that loses much. */

const SHAPE: Shape = { bitsPerSecond: 1_000_000, roundTripMs: 200, loss: 0.05, retransmitMs: 400 }
const KIB = 1024
const TTL_SECONDS = 600
/** Patience: a multiple of the link's own time for the payload, and time for commands and the handshake. */
const PATIENCE = 4
const PATIENCE_MS = 30_000

export async function* slowNetwork({ seed, slow }: Plan): AsyncGenerator<Row> {
  const node = await startRelayProcess()
  const tally = new Tally('200 ms, 5 % lost, 1 Mbit/s', { mustSurvive: true })
  const bytes = slow.kib * KIB
  const ideal = (bytes * 8 * 1000) / SHAPE.bitsPerSecond
  let lost = 0
  const times: number[] = []
  const run = async (name: string) => {
    const random = new Random(seed, name)
    const start = () => ShapingProxy.start(node.port, SHAPE, random)
    const links = { sender: await start(), receiver: await start() }
    const begun = performance.now()
    const verdict = await runPairing({
      relays: { sender: links.sender.url, receiver: links.receiver.url },
      payload: bytesOf(bytes, random.below(2 ** 31)),
      random,
      ttlSeconds: TTL_SECONDS,
      limitMs: ideal * PATIENCE + PATIENCE_MS,
    })
    times.push(performance.now() - begun)
    tally.add(name, verdict)
    for (const link of Object.values(links)) {
      lost += link.lost
      await link.close()
    }
  }
  try {
    await Promise.all(Array.from({ length: slow.pairings }, (_, i) => run(`slow/${i}`)))
    for (const failure of node.failures) tally.fault(`the relay logged ${failure}`)
  } finally {
    await node.kill()
  }
  const seconds = (ms: number) => (ms / 1000).toFixed(1)
  tally.note(
    `${slow.kib} KiB each, which the link alone takes ${seconds(ideal)} s for; the pairings took ` +
      `${seconds(Math.min(...times))} to ${seconds(Math.max(...times))} s; ${lost} segments were lost`,
  )
  yield tally.row
}

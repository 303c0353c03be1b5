import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { bytesOf, sha256 } from '../../e2e/people.ts'
import { Random } from '../../support/random.ts'
import { startRelayProcess } from '../../support/relay-process.ts'
import { ShapingProxy } from '../../support/shaping-proxy.ts'
import { JsonProcess } from '../browser/processes.ts'
import { inFolder } from './folders.ts'
import type { Side } from './pairing.ts'
import type { Plan } from './plan.ts'
import { within } from './side-by-side.ts'
import { type Row, Tally, type Verdict } from './tally.ts'

/** A device that does nothing for a while, in the middle of a transfer: its process is stopped, and continues later. */

export interface Nap {
  readonly who: readonly Side[]
  readonly seconds: number
  /** How far the relay's clock is moved on meanwhile, beside the time that passes by itself. */
  readonly relaySeconds: number
}

const BYTES = 6_000_003
/** Slow enough that there is a middle to sleep in. */
const SHAPE = { bitsPerSecond: 32_000_000, roundTripMs: 2, loss: 0, retransmitMs: 0 }
const PATIENCE_MS = 40_000
/** The relay pings every 25 s of its time: in one jump it would do so once. */
const STEP_MS = 30_000

export async function* sleepers({ seed, naps }: Plan): AsyncGenerator<Row> {
  // Side by side: whoever sleeps costs nothing.
  const tallies = naps.map(async (nap) => {
    const name = titleOf(nap)
    const tally = new Tally(name, { mustSurvive: true })
    tally.add(name, await inFolder((folder) => sleepOnce(nap, new Random(seed, name), folder, tally)))
    return tally
  })
  for (const tally of tallies) yield (await tally).row
}

function titleOf({ who, seconds, relaySeconds }: Nap): string {
  const moved = relaySeconds > 0 ? `, the relay’s clock ${relaySeconds} s further` : ''
  return `${who.join(' and ')} asleep for ${seconds} s${moved}`
}

async function sleepOnce(nap: Nap, random: Random, folder: string, tally: Tally): Promise<Verdict> {
  const relay = await startRelayProcess()
  const link = await ShapingProxy.start(relay.port, SHAPE, random)
  const payload = bytesOf(BYTES, random.below(2 ** 31))
  const source = join(folder, 'payload')
  await writeFile(source, payload)
  const target = join(folder, 'saved')
  const devices: JsonProcess[] = []
  try {
    const sender = JsonProcess.cli(link.url, ['send', source])
    devices.push(sender)
    const { code } = await sender.event('code')
    const receiver = JsonProcess.cli(relay.url, ['receive', String(code), '-o', target])
    devices.push(receiver)
    await within(PATIENCE_MS, 'the offer', receiver.event('offer'))
    const before = link.passed
    await reached(() => link.passed > before + BYTES / 4)
    const asleep = nap.who.map((side) => (side === 'sender' ? sender : receiver))
    for (const device of asleep) device.signal('SIGSTOP')
    await delay(nap.seconds * 1000)
    for (let ms = 0; ms < nap.relaySeconds * 1000; ms += STEP_MS) await relay.advance(STEP_MS)
    for (const device of asleep) device.signal('SIGCONT')
    const woke = performance.now()
    const codes = { sender: await endOf(sender), receiver: await endOf(receiver) }
    const again = { sender: count(sender, 'connection'), receiver: count(receiver, 'connection') }
    tally.note(
      `done ${Math.round(performance.now() - woke)} ms after waking; ` +
        `said connected or reconnecting ${again.sender} and ${again.receiver} times`,
    )
    for (const failure of relay.failures) tally.fault(`the relay logged ${failure}`)
    return await judge(codes, { sender, receiver }, target, payload)
  } catch (error) {
    return { fate: 'lost', why: String(error) }
  } finally {
    for (const device of devices) await device.kill()
    await link.close()
    await relay.stop()
  }
}

async function judge(
  codes: Readonly<Record<Side, number | undefined>>,
  devices: Readonly<Record<Side, JsonProcess>>,
  target: string,
  payload: Uint8Array,
): Promise<Verdict> {
  const error = (side: Side) =>
    devices[side].lines.findLast(({ event }) => event === 'error' || event === 'not_delivered')
  const words = (side: Side) => `${side} ${codes[side] ?? 'silent'} ${error(side)?.code ?? ''}`.trim()
  const why = `${words('sender')}, ${words('receiver')}`
  const saved = await readFile(target).catch(() => undefined)
  const parts = (await readdir(join(target, '../..'))).filter((file) => file.includes('.part'))
  if (codes.sender === undefined || codes.receiver === undefined) return { fate: 'lost', why: `silence: ${why}` }
  if (saved && sha256(saved) !== sha256(payload)) return { fate: 'lost', why: `not what was sent: ${why}` }
  if (!saved && (codes.sender === 0 || codes.receiver === 0)) return { fate: 'lost', why: `not there: ${why}` }
  if (parts.length > 0) return { fate: 'lost', why: `left behind ${parts}: ${why}` }
  if (count(devices.receiver, 'offer') > 1) return { fate: 'duplicated', why }
  return { fate: codes.sender === 0 && codes.receiver === 0 ? 'survived' : 'clean error', why }
}

/** The exit code, or undefined when it has not ended within the patience. */
function endOf(device: JsonProcess): Promise<number | undefined> {
  const ended = device.ended.then((code) => code ?? -1)
  return within(PATIENCE_MS, 'the end', ended).catch(() => undefined)
}

function count(device: JsonProcess, name: string): number {
  return device.lines.filter(({ event }) => event === name).length
}

/** Waits for something that bytes on a link bring about. */
async function reached(condition: () => boolean): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; !condition(); ) {
    if (performance.now() > deadline) throw new Error('the transfer does not get on')
    await delay(5)
  }
}

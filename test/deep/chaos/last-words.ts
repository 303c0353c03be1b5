import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bytesOf, sha256 } from '../../e2e/people.ts'
import { FrameProxy, type Passing } from '../../support/frame-proxy.ts'
import { JsonProcess } from '../browser/processes.ts'
import { filesIn, inFolder } from './folders.ts'
import type { Side } from './pairing.ts'
import type { Plan } from './plan.ts'
import { type Relays, startRelays } from './relays.ts'
import { sideBySide, within } from './side-by-side.ts'
import { type Row, Tally, type Verdict } from './tally.ts'

/**
 * The session is lost for good at each message of a transfer: before it leaves its side, and when it has come to the other.
 * Reports of both command lines are held against the table of PROTOCOL.md, section 10.3.
 */

const SIDES: readonly Side[] = ['sender', 'receiver']
/** An empty file has no content to allow more of: each message is the same in every run. */
const SIZES = [0, 600_000]
const AT_ONCE = 3
const LIMIT_MS = 180_000
const HANDSHAKE_FRAMES = 2

/** A message, by its direction and number, and where it is at the loss. */
interface Cut {
  readonly from: Side
  readonly isAck: boolean
  readonly seq: number
  readonly is: 'written' | 'there'
  /** A side that is interrupted at the message, and loses its session at the next one. */
  readonly interrupted?: Side
}

export async function* lastWords(plan: Plan): AsyncGenerator<Row> {
  for (const setting of plan.lastWords) {
    const relays = await startRelays(setting)
    const tally = new Tally(`lost for good at each message: ${setting}`)
    const seen = new Map<string, number>()
    try {
      for (const size of SIZES) {
        const whole = await inFolder((folder) => run(relays, folder, size))
        if (whole.verdict.fate !== 'survived') tally.fault(`uncut: ${whole.verdict.why}`)
        const cuts = cutsOf(whole)
        await sideBySide(AT_ONCE, () => {
          const cut = cuts.shift()
          if (!cut || tally.hopeless) return undefined
          return inFolder((folder) => run(relays, folder, size, cut, whole.last.sender - 1)).then(
            ({ verdict, pair }) => {
              seen.set(pair, (seen.get(pair) ?? 0) + 1)
              tally.add(`${size} bytes, ${JSON.stringify(cut)}`, verdict)
            },
          )
        })
      }
      for (const pair of [
        'not delivered / nothing',
        'unconfirmed / nothing',
        'unconfirmed / received',
        'delivered / received',
      ]) {
        if (!seen.has(pair)) tally.fault(`never seen: ${pair}`)
      }
      for (const failure of relays.failures()) tally.fault(`a relay logged ${failure}`)
    } finally {
      await relays.close()
    }
    tally.note([...seen].map(([pair, count]) => `${count} × ${pair}`).join('; '))
    yield tally.row
  }
}

/** Every message of an undisturbed transfer, and each as the moment of a withdrawal or a stop. */
function cutsOf({ last, size }: { readonly last: Readonly<Record<Side, number>>; readonly size: number }): Cut[] {
  const cuts: Cut[] = []
  for (const from of SIDES) {
    for (let seq = 1; seq <= last[from]; seq++) {
      // With content, what is around it is the same as without.
      if (size > 0 && (from === 'receiver' || seq <= HANDSHAKE_FRAMES + 2)) continue
      for (const is of ['written', 'there'] as const) cuts.push({ from, isAck: false, seq, is })
      if (size === 0) cuts.push({ from, isAck: true, seq, is: 'written' })
      if (seq <= HANDSHAKE_FRAMES + 1) continue
      for (const interrupted of SIDES) cuts.push({ from, isAck: false, seq, is: 'there', interrupted })
    }
  }
  return cuts
}

async function run(relays: Relays, folder: string, size: number, cut?: Cut, sentSeq = Number.POSITIVE_INFINITY) {
  const networks = {
    sender: await FrameProxy.start(relays.ports.sender),
    receiver: await FrameProxy.start(relays.ports.receiver),
  }
  const devices: Partial<Record<Side, JsonProcess>> = {}
  const last = { sender: 0, receiver: 0 }
  let isReached = false
  let isLost = false
  const lose = () => {
    isLost = true
    for (const side of SIDES) networks[side].lose(relays.elsewhere)
  }
  const onFrame = (side: Side) => (passing: Passing, pass: () => void) => {
    const isAtOrigin = passing.way === 'out'
    const from = isAtOrigin ? side : side === 'sender' ? 'receiver' : 'sender'
    if (isAtOrigin && !passing.isAck) last[side] = Math.max(last[side], passing.seq)
    if (isReached && !isLost && cut?.interrupted) return lose()
    const isIt = cut && !isReached && from === cut.from && passing.isAck === cut.isAck && passing.seq >= cut.seq
    if (!isIt || isAtOrigin !== (cut.is === 'written')) return pass()
    isReached = true
    if (!isAtOrigin) pass()
    if (cut.interrupted) devices[cut.interrupted]?.signal('SIGINT')
    else lose()
  }
  try {
    const payload = bytesOf(size)
    await mkdir(join(folder, 'to'))
    await writeFile(join(folder, 'file'), payload)
    for (const side of SIDES) networks[side].refusesSockets = relays.refusesSockets
    for (const side of SIDES) networks[side].onFrame = onFrame(side)
    const env = { XDG_STATE_HOME: join(folder, 'state'), XDG_CONFIG_HOME: join(folder, 'state') }
    const sender = JsonProcess.cli(networks.sender.url, ['send', join(folder, 'file')], { env })
    devices.sender = sender
    const { code } = await sender.event('code')
    const args = ['receive', String(code), '--into', join(folder, 'to')]
    const receiver = JsonProcess.cli(networks.receiver.url, args, { env })
    devices.receiver = receiver
    const ends = await within(LIMIT_MS, 'the end', Promise.all([sender.ended, receiver.ended]))
    const there = await filesIn(join(folder, 'to'))
    const taker = there.get('file') === sha256(payload) ? 'received' : there.size === 0 ? 'nothing' : 'something else'
    const offerer = offererSays(sender)
    // A withdrawal stands in the place of `sent`, or behind it.
    const isSent = cut?.interrupted ? offerer === 'unconfirmed' : last.sender >= sentSeq
    const verdict = judge({
      offerer,
      taker,
      isSent,
      isUncut: !isReached,
      ends,
      receiver,
    })
    return { verdict, pair: `${offerer} / ${taker}`, last, size }
  } catch (error) {
    return { verdict: { fate: 'lost', why: String(error) } as const, pair: 'silence', last, size }
  } finally {
    for (const device of Object.values(devices)) await device.kill()
    for (const side of SIDES) await networks[side].close()
  }
}

function offererSays({ lines }: JsonProcess): 'delivered' | 'unconfirmed' | 'not delivered' {
  if (lines.some(({ event }) => event === 'delivered')) return 'delivered'
  return lines.some(({ code }) => code === 'unconfirmed') ? 'unconfirmed' : 'not delivered'
}

interface Reports {
  readonly offerer: ReturnType<typeof offererSays>
  readonly taker: 'received' | 'nothing' | 'something else'
  /** The offerer's `sent` was on the wire. */
  readonly isSent: boolean
  readonly isUncut: boolean
  readonly ends: readonly (number | null)[]
  readonly receiver: JsonProcess
}

function judge({ offerer, taker, isSent, isUncut, ends, receiver }: Reports): Verdict {
  const why = `${offerer} / ${taker}, ${isSent ? 'all sent' : 'not all sent'}, ${ends}`
  const saysReceived = receiver.lines.some(({ event }) => event === 'received')
  if (taker === 'something else' || saysReceived !== (taker === 'received'))
    return { fate: 'lost', why: `a part; ${why}` }
  if (offerer === 'delivered' && taker !== 'received') return { fate: 'lost', why }
  if (offerer === 'not delivered' && (taker === 'received' || isSent)) return { fate: 'lost', why }
  if (offerer === 'unconfirmed' && !isSent) return { fate: 'lost', why }
  if (isUncut && ends.join() !== '0,0') return { fate: 'lost', why }
  return offerer === 'delivered' ? { fate: 'survived', why } : { fate: 'clean error', why: `${offerer} / ${taker}` }
}

import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { bytesSource, type PairedDevice, Receiver, Sender, type WebSocketLike } from '../../client/index.ts'
import { formatBytes } from '../format.ts'
import type { Finding } from './finding.ts'
import { reasonOf } from './front.ts'

/** How long both ways may take together, in milliseconds. */
const PATIENCE_MS = 60_000

export interface Way {
  readonly relay: string
  readonly accessToken: string | undefined
  /** Bytes to send each way: a few frames of full size. */
  readonly bytes: number
  /** Leaves WebSockets out. */
  readonly overHttp: boolean
  /** How long the pair then says nothing, in milliseconds. */
  readonly idleMs: number
}

/** Pairs with itself through the relay, sends both ways, and is silent for a while. */
export async function* checkTransfer({ relay, accessToken, bytes, overHttp, idleMs }: Way): AsyncGenerator<Finding> {
  const check = overHttp ? 'frames over HTTP' : 'frames'
  let smallest: number | undefined
  let cut: (() => void) | undefined
  const devices = {
    relay,
    takes: { offers: true },
    signal: AbortSignal.timeout(PATIENCE_MS + idleMs),
    onSmallFrames: (maxBytes: number) => {
      smallest = Math.min(maxBytes, smallest ?? maxBytes)
    },
    onStatus: (status: string) => {
      if (status === 'reconnecting') cut?.()
    },
    environment: overHttp ? { openWebSocket: () => new NoWebSocket() } : {},
  }
  const sender = await Sender.open({ ...devices, accessToken })
  try {
    const receiver = await Receiver.join({ ...devices, code: sender.code })
    const own = await pair(sender, receiver)
    const other = await receiver.approved
    await Promise.all([send(own, other, bytes), send(other, own, bytes)])
    const size = formatBytes(bytes)
    if (smallest === undefined) yield { check, says: `${size} passed each way, in frames of full size.` }
    else
      yield {
        check,
        fault: 'small_requests',
        says: `${size} passed each way, but no request above ${formatBytes(smallest)} does.`,
      }
    if (idleMs > 0)
      yield await idle(idleMs, (heard) => {
        cut = heard
      })
    cut = undefined
    await Promise.all([sender.close(), other.close()])
  } finally {
    await sender.cancel()
  }
}

/** Lets the two devices meet as two people would. */
async function pair(sender: Sender, receiver: Receiver): Promise<PairedDevice> {
  for await (const request of sender.requests()) {
    if (request.matchNumber === (await receiver.verified)) return request.approve()
    await request.deny()
  }
  throw new Error('the two sides do not see the same number')
}

async function send(from: PairedDevice, to: PairedDevice, bytes: number): Promise<void> {
  const sent = randomBytes(bytes)
  const sending = from.send([bytesSource(sent, 'doctor')])
  const { value: offer } = await to.offers().next()
  const pieces: Uint8Array[] = []
  for await (const { stream } of offer?.accept() ?? []) for await (const piece of stream) pieces.push(piece)
  await sending
  if (!sent.equals(Buffer.concat(pieces))) throw new Error('what arrived is not what was sent')
}

/** Waits without a word until a connection is cut. `onCut` is given what to call then. */
async function idle(ms: number, onCut: (heard: () => void) => void): Promise<Finding> {
  const check = 'idle'
  const begun = performance.now()
  const over = new AbortController()
  const cutAfter = new Promise<number>((resolve) => onCut(() => resolve(performance.now() - begun)))
  const quiet = delay(ms, undefined, { signal: over.signal }).catch(() => undefined)
  const after = await Promise.race([cutAfter, quiet])
  over.abort()
  if (after === undefined) return { check, says: `a connection stood for ${Math.round(ms / 1000)} s without a word.` }
  const says = `a silent connection was cut after ${Math.ceil(after / 1000)} s. Devices connect again, each time.`
  return { check, fault: 'idle_cut', says }
}

/** Says that a transfer did not come about. */
export function failed(overHttp: boolean, error: unknown): Finding {
  const says = `no transfer came about: ${error instanceof Error && 'code' in error ? error.message : reasonOf(error)}`
  return { check: overHttp ? 'frames over HTTP' : 'frames', fault: 'no_transfer', says }
}

/** A WebSocket where none passes. */
class NoWebSocket implements WebSocketLike {
  binaryType = ''
  readonly bufferedAmount = 0
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number }) => void) | null = null
  onerror: (() => void) | null = null

  constructor() {
    queueMicrotask(() => this.onclose?.({ code: 1006 }))
  }

  send(): void {}

  close(): void {}
}

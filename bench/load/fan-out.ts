import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { HttpWire } from './http.ts'
import {
  AttachedSocket,
  approve,
  costOf,
  createSession,
  freshCode,
  type Joined,
  join,
  RelayFrame,
  remove,
} from './relay-client.ts'
import { type Usage, withTimeout } from './time.ts'
import { BINARY, maskedFrame, WebSocketWire } from './websocket.ts'
import type { Address } from './wire.ts'

/** A sender and several receivers, some of which stop reading. */

/** How long a run lasts that nobody reads: the windows are full long before. */
const ALL_STALLED_MS = 1500

export interface FanOutArgs {
  readonly address: Address
  readonly receivers: number
  /** How many of them, from the last on, stop reading right after the approval. */
  readonly stalled: number
  readonly frameBytes: number
  /** How many frames each reading receiver gets; the stalled ones are offered as many. */
  readonly frames: number
}

export interface FanOutResult extends Usage {
  /** Bytes that all reading receivers got. */
  readonly bytes: number
}

interface FanOut {
  readonly args: FanOutArgs
  run(): Promise<void>
  close(): Promise<void>
}

const open = new Map<number, FanOut>()
let nextHandle = 1

export async function openFanOut(args: FanOutArgs & { bare: boolean }): Promise<number> {
  const handle = nextHandle++
  open.set(handle, args.bare ? await bareFanOut(args) : await relayFanOut(args))
  return handle
}

/** Sends to all; resolves when each receiver that reads has everything. */
export async function runFanOut({ handle }: { handle: number }): Promise<FanOutResult> {
  const entry = open.get(handle)
  if (!entry) throw new Error('no such handle')
  const { receivers, stalled, frames, frameBytes } = entry.args
  const [startedAt, cpuBefore] = [performance.now(), process.cpuUsage()]
  await withTimeout(60_000, entry.run())
  const cpu = process.cpuUsage(cpuBefore)
  return {
    seconds: (performance.now() - startedAt) / 1000,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    bytes: (receivers - stalled) * frames * frameBytes,
  }
}

export async function closeFanOut({ handle }: { handle: number }): Promise<void> {
  await open.get(handle)?.close()
  open.delete(handle)
}

async function relayFanOut(args: FanOutArgs): Promise<FanOut> {
  const { address, receivers, stalled, frameBytes, frames } = args
  const http = await HttpWire.connect(address)
  const senderCode = freshCode()
  const session = await createSession(http, senderCode, freshCode(), receivers)
  const sender = await AttachedSocket.open(address, session)
  const sockets: AttachedSocket[] = []
  for (let n = 0; n < receivers; n++) {
    const receiverCode = freshCode()
    const joined: Joined = await join(http, senderCode, receiverCode)
    const socket = await AttachedSocket.open(address, joined)
    await approve(http, session, receiverCode)
    await socket.until((view) => view.receivers[0]?.state === 'approved')
    sockets.push(socket)
  }
  await sender.until((view) => view.receivers.filter(({ state }) => state === 'approved').length === receivers)
  for (const socket of sockets.slice(receivers - stalled)) {
    socket.acking = false
    socket.socket.wire.stopReading()
  }
  const run = () =>
    new Promise<void>((resolve, reject) => {
      const channels = sockets.map(() => ({
        sent: 0,
        acked: 0,
        free: [] as RelayFrame[],
        underWay: [] as RelayFrame[],
      }))
      const fill = (index: number) => {
        const state = channels[index]
        if (!state) return
        const window = sender.windowOf(index + 1)
        while (state.sent < frames && (state.sent - state.acked + 1) * costOf(frameBytes) <= window) {
          const frame = state.free.pop() ?? new RelayFrame(frameBytes)
          state.underWay.push(frame)
          sender.sendData(index + 1, ++state.sent, frame)
        }
      }
      const fillAll = () => {
        for (const index of channels.keys()) fill(index)
      }
      sender.onView = fillAll
      sender.onAck = (channel, seq) => {
        const state = channels[channel - 1]
        if (!state) return
        for (; state.acked < seq; state.acked++) state.free.push(state.underWay.shift() as RelayFrame)
        fill(channel - 1)
      }
      sender.onEnd = (reason) => reject(new Error(`the sender: ${reason}`))
      let finished = 0
      for (const socket of sockets.slice(0, receivers - stalled)) {
        socket.onData = (_channel, seq) => {
          if (seq === frames && ++finished === receivers - stalled) resolve()
        }
      }
      if (receivers === stalled) setTimeout(resolve, ALL_STALLED_MS)
      fillAll()
    })
  return {
    args,
    run,
    close: async () => {
      for (const { socket } of [sender, ...sockets]) socket.destroy()
      await remove(http, session, '')
      http.close()
    },
  }
}

/** A server that sends every message on to all, and never looks whether they take it. */
async function bareFanOut(args: FanOutArgs): Promise<FanOut> {
  const { address, receivers, stalled, frameBytes, frames } = args
  const path = `/fan/${randomBytes(8).toString('hex')}`
  const sockets: WebSocketWire[] = []
  for (let n = 0; n < receivers; n++) sockets.push(await WebSocketWire.connect(address, `${path}/receiver`))
  const sender = await WebSocketWire.connect(address, `${path}/sender`)
  for (const socket of sockets.slice(receivers - stalled)) socket.wire.stopReading()
  const { bytes } = maskedFrame(BINARY, randomBytes(frameBytes))
  const run = () =>
    new Promise<void>((resolve, reject) => {
      let sent = 0
      const fill = () => {
        while (sent < frames && !sender.wire.congested) {
          sender.wire.write(bytes)
          sent++
        }
      }
      sender.wire.onDrain = fill
      sender.onClose = (code) => reject(new Error(`the sender: closed with ${code}`))
      let finished = 0
      for (const socket of sockets.slice(0, receivers - stalled)) {
        let got = 0
        socket.onBinary = () => {
          if (++got === frames && ++finished === receivers - stalled) resolve()
        }
      }
      fill()
    })
  return {
    args,
    run,
    close: async () => {
      for (const socket of [sender, ...sockets]) socket.destroy()
    },
  }
}

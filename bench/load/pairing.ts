import { performance } from 'node:perf_hooks'
import { HttpWire } from './http.ts'
import {
  AttachedSocket,
  approve,
  createSession,
  freshCode,
  HEADER_BYTES,
  type Joined,
  join,
  RelayFrame,
  remove,
} from './relay-client.ts'
import { measured, type Usage, withTimeout } from './time.ts'
import { type Address, freshSource } from './wire.ts'

/**
 * Whole pairings as the SDK carries them out, frame by frame of the same sizes, with random bytes for ciphertext: what is
 * left is what a pairing costs a relay.
 */

export interface PairingResult extends Usage {
  readonly failed: number
  readonly firstFailure: string | undefined
  /** From the create to the session's end, for each pairing, in milliseconds. */
  readonly wholeMs: Float64Array
  /** From the join, with the code in hand, to the receipt at the sender. */
  readonly codeToDeliveryMs: Float64Array
}

export interface PairingLoad {
  readonly address: Address
  /** The node that receivers go to, where it is another one. */
  readonly far?: Address
  readonly concurrency: number
  /** Whichever is reached first ends it. */
  readonly count: number
  readonly seconds: number
  /** Keeps HTTP connections from one pairing to the next, as behind a proxy. */
  readonly keepAlive: boolean
}

const [m1, m2, m3, m4, approved, transfer, end, receipt] = [1248, 1184, 64, 64, 38, 164, 47, 48].map(
  (ciphertextBytes) => new RelayFrame(HEADER_BYTES + ciphertextBytes),
) as [RelayFrame, RelayFrame, RelayFrame, RelayFrame, RelayFrame, RelayFrame, RelayFrame, RelayFrame]

const PAIRING_TIMEOUT_MS = 30_000

interface PairingTimes {
  readonly wholeMs: number
  readonly codeToDeliveryMs: number
}

/** HTTP connections of the two devices of a lane. */
interface Lane {
  sender: HttpWire
  receiver: HttpWire
}

export async function runPairings(load: PairingLoad): Promise<PairingResult> {
  const wholeMs: number[] = []
  const codeToDeliveryMs: number[] = []
  let failed = 0
  let firstFailure: string | undefined
  let started = 0
  const until = performance.now() + load.seconds * 1000
  const lane = async () => {
    let connections: Lane | undefined
    while (started < load.count && performance.now() < until) {
      started++
      try {
        connections ??= await connect(load)
        const times = await pairOnce(load, connections)
        wholeMs.push(times.wholeMs)
        codeToDeliveryMs.push(times.codeToDeliveryMs)
      } catch (error) {
        failed++
        firstFailure ??= error instanceof Error ? error.message : String(error)
        disconnect(connections)
        connections = undefined
        // A relay that refuses everything must not be asked in a tight loop.
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      if (!load.keepAlive) {
        disconnect(connections)
        connections = undefined
      }
    }
    disconnect(connections)
  }
  const { seconds, cpuSeconds } = await measured(() => Promise.all(Array.from({ length: load.concurrency }, lane)))
  return {
    seconds,
    cpuSeconds,
    failed,
    firstFailure,
    wholeMs: Float64Array.from(wholeMs),
    codeToDeliveryMs: Float64Array.from(codeToDeliveryMs),
  }
}

async function connect({ address, far = address }: PairingLoad): Promise<Lane> {
  return { sender: await HttpWire.connect(address), receiver: await HttpWire.connect(far) }
}

function disconnect(lane: Lane | undefined): void {
  lane?.sender.close()
  lane?.receiver.close()
}

async function pairOnce({ address, far = address }: PairingLoad, http: Lane): Promise<PairingTimes> {
  const sockets: AttachedSocket[] = []
  try {
    return await withTimeout(
      PAIRING_TIMEOUT_MS,
      new Promise<PairingTimes>((resolve, reject) => {
        const attach = async (joined: Joined, role: keyof Lane) => {
          const socket = await AttachedSocket.open(role === 'sender' ? address : far, joined, freshSource())
          sockets.push(socket)
          socket.onEnd = (reason) => reject(new Error(reason))
          return socket
        }
        carryOut(http, attach).then(resolve, reject)
      }),
    )
  } catch (error) {
    for (const { socket } of sockets) socket.destroy()
    throw error
  }
}

/** In the order of the SDK's own calls and frames. */
async function carryOut(
  http: Lane,
  attach: (joined: Joined, role: keyof Lane) => Promise<AttachedSocket>,
): Promise<PairingTimes> {
  const [senderCode, receiverCode] = [freshCode(), freshCode()]
  const startedAt = performance.now()
  const session = await createSession(http.sender, senderCode, freshCode())
  const sender = await attach(session, 'sender')
  const atSender = arrivals(sender)

  const enteredAt = performance.now()
  const joined = await join(http.receiver, senderCode, receiverCode)
  const { channel } = joined
  const receiver = await attach(joined, 'receiver')
  const atReceiver = arrivals(receiver)

  receiver.sendData(channel, 1, m1)
  await atSender.frame(1)
  sender.sendData(channel, 1, m2)
  await atReceiver.frame(1)
  receiver.sendData(channel, 2, m3)
  await atSender.frame(2)
  sender.sendData(channel, 2, m4)
  await atReceiver.frame(2)

  await approve(http.sender, session, receiverCode)
  // The last approval retires the code by itself; the SDK says so as well.
  const retired = remove(http.sender, session, '/code')
  sender.sendData(channel, 3, approved)
  sender.sendData(channel, 4, transfer)
  await atReceiver.frame(4)
  receiver.sendData(channel, 3, receipt)
  await atSender.frame(3)
  sender.flushAcks()
  const deliveredAt = performance.now()
  await Promise.all([atReceiver.ack(3), retired])

  sender.sendData(channel, 5, end)
  await atReceiver.frame(5)
  receiver.flushAcks()
  receiver.socket.close()
  await Promise.all([remove(http.receiver, joined, `/receivers/${receiverCode}`), atSender.ack(5)])
  await sender.until((view) => view.receivers[0]?.state === 'done')
  sender.socket.close()
  await remove(http.sender, session, '')
  return { wholeMs: performance.now() - startedAt, codeToDeliveryMs: deliveredAt - enteredAt }
}

/** Promises for the frames and acks that come to a socket. */
function arrivals(socket: AttachedSocket) {
  const counters = { frame: 0, ack: 0 }
  const waiting = new Set<{ what: 'frame' | 'ack'; seq: number; resolve: () => void }>()
  const take = (what: 'frame' | 'ack', seq: number) => {
    counters[what] = Math.max(counters[what], seq)
    for (const each of waiting) {
      if (each.what !== what || each.seq > seq) continue
      waiting.delete(each)
      each.resolve()
    }
  }
  socket.onData = (_channel, seq) => take('frame', seq)
  socket.onAck = (_channel, seq) => take('ack', seq)
  const until = (what: 'frame' | 'ack', seq: number) =>
    new Promise<void>((resolve) => {
      if (counters[what] >= seq) resolve()
      else waiting.add({ what, seq, resolve })
    })
  return { frame: (seq: number) => until('frame', seq), ack: (seq: number) => until('ack', seq) }
}

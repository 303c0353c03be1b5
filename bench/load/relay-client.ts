import { randomBytes } from 'node:crypto'
import { HttpWire } from './http.ts'
import { BINARY, maskedFrame, putMasked, WebSocketWire } from './websocket.ts'
import type { Address } from './wire.ts'

/** Protocol v1 as PROTOCOL.md has it, with nothing from src: HTTP commands and one attached socket. */

const PROTOCOL = 'pairlay.v1'
export const DATA = 1
export const ACK = 2
export const HEADER_BYTES = 8
/** As the SDK does it: an ack after this much, or after this long. */
const ACK_AFTER_BYTES = 65_536
const ACK_AFTER_MS = 10

export interface Joined {
  readonly sessionId: string
  readonly token: string
  readonly limits: { readonly windowBytes: number; readonly maxFrameBytes: number }
}

export interface ChannelRow {
  readonly channel: number
  readonly received: number
  readonly acked: number
  readonly window: number
}

export interface View {
  readonly state: string
  readonly receivers: readonly { readonly receiverCode: string; readonly channel: number; readonly state: string }[]
  readonly channels: readonly ChannelRow[]
}

export function costOf(frameBytes: number): number {
  return Math.max(256, frameBytes)
}

export function freshCode(): string {
  return randomBytes(9).toString('base64url')
}

export async function createSession(http: HttpWire, senderCode: string, clientId: string, maxReceivers = 1) {
  return must(
    await http.request('POST', '/v1/sessions', { body: { clientId, senderCode, maxReceivers, ttlSeconds: 3600 } }),
  )
}

export async function join(http: HttpWire, senderCode: string, receiverCode: string) {
  const publicKey = randomBytes(32).toString('base64url')
  const answer = await http.request('POST', '/v1/receivers', { body: { senderCode, receiverCode, publicKey } })
  return must(answer) as Joined & { readonly channel: number }
}

export async function approve(http: HttpWire, { sessionId, token }: Joined, receiverCode: string): Promise<void> {
  const path = `/v1/sessions/${sessionId}/receivers/${receiverCode}/decision`
  must(await http.request('PUT', path, { token, body: { decision: 'approved' } }))
}

export async function remove(http: HttpWire, { sessionId, token }: Joined, path: string): Promise<void> {
  must(await http.request('DELETE', `/v1/sessions/${sessionId}${path}`, { token }))
}

function must({ status, body }: { status: number; body: unknown }): Joined {
  if (status >= 200 && status < 300) return body as Joined
  throw new Error(`the relay answered ${status} ${JSON.stringify(body)}`)
}

/** A role's socket. Data frames are counted and acked as the SDK does; their content is not read. */
export class AttachedSocket {
  readonly socket: WebSocketWire
  view: View | undefined
  onView: (view: View) => void = () => {}
  onData: (channel: number, seq: number) => void = () => {}
  onAck: (channel: number, seq: number) => void = () => {}
  onEnd: (reason: string) => void = () => {}
  /** Acks frames that came. A stalled receiver does not. */
  acking = true
  readonly #inbound = new Map<number, { received: number; unackedCost: number }>()
  readonly #ackDue = new Set<number>()
  #ackTimer: NodeJS.Timeout | undefined
  #waiting: { wanted: (view: View) => boolean; resolve: (view: View) => void; reject: (error: Error) => void }[] = []

  private constructor(socket: WebSocketWire) {
    this.socket = socket
    socket.onText = (text) => this.#takeView(JSON.parse(text))
    socket.onBinary = (head, length) => this.#takeFrame(head, length)
    socket.onClose = (code) => {
      clearTimeout(this.#ackTimer)
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(`the relay closed the socket with ${code}`))
      this.onEnd(`closed with ${code}`)
    }
  }

  static async open(address: Address, { sessionId, token }: Joined, source?: string): Promise<AttachedSocket> {
    const options = { protocol: PROTOCOL, ...(source === undefined ? {} : { source }) }
    const socket = await WebSocketWire.connect(address, `/v1/sessions/${sessionId}/socket`, options)
    const attached = new AttachedSocket(socket)
    socket.sendText(JSON.stringify({ type: 'attach', token, channels: [] }))
    await attached.until(() => true)
    return attached
  }

  /** The first view, from the one that is there on, that is as wanted. */
  until(wanted: (view: View) => boolean): Promise<View> {
    if (this.view && wanted(this.view)) return Promise.resolve(this.view)
    return new Promise((resolve, reject) => this.#waiting.push({ wanted, resolve, reject }))
  }

  windowOf(channel: number): number {
    return this.view?.channels.find((row) => row.channel === channel)?.window ?? 0
  }

  sendData(channel: number, seq: number, frame: RelayFrame): void {
    this.socket.wire.write(frame.numbered(channel, seq))
  }

  /** Sends what acks are due, now. */
  flushAcks(): void {
    for (const channel of this.#ackDue) this.#sendAck(channel)
  }

  #takeView(view: View): void {
    this.view = view
    this.onView(view)
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = waiting.filter(({ wanted }) => !wanted(view))
    for (const { wanted, resolve } of waiting) if (wanted(view)) resolve(view)
  }

  #takeFrame(head: Buffer, length: number): void {
    const channel = head.readUInt16BE(2)
    const seq = head.readUInt32BE(4)
    if (head[0] === ACK) return this.onAck(channel, seq)
    const inbound = this.#inbound.get(channel) ?? { received: 0, unackedCost: 0 }
    if (inbound.received === 0) this.#inbound.set(channel, inbound)
    if (seq !== inbound.received + 1) throw new Error(`frame ${seq} came after ${inbound.received}`)
    inbound.received = seq
    inbound.unackedCost += costOf(length)
    if (this.acking) {
      if (inbound.unackedCost >= ACK_AFTER_BYTES) this.#sendAck(channel)
      else {
        this.#ackDue.add(channel)
        this.#ackTimer ??= setTimeout(() => {
          this.#ackTimer = undefined
          this.flushAcks()
        }, ACK_AFTER_MS)
      }
    }
    this.onData(channel, seq)
  }

  #sendAck(channel: number): void {
    const inbound = this.#inbound.get(channel)
    if (!inbound) return
    this.#ackDue.delete(channel)
    inbound.unackedCost = 0
    this.socket.wire.write(Buffer.from(ackFrame.numbered(channel, inbound.received)))
  }
}

/** A masked frame made once and numbered again for each use. */
export class RelayFrame {
  readonly bytes: Buffer
  readonly #payloadAt: number
  readonly #type: number

  /** `frameBytes` with the header of 8. Its content is random, once. */
  constructor(frameBytes: number, type = DATA) {
    const { bytes, payloadAt } = maskedFrame(BINARY, randomBytes(frameBytes))
    this.bytes = bytes
    this.#payloadAt = payloadAt
    this.#type = type
  }

  /** The frame itself, numbered: it must not be numbered again before it was written. */
  numbered(channel: number, seq: number): Buffer {
    this.numberIn(this.bytes, 0, channel, seq)
    return this.bytes
  }

  /** Numbers a copy of the frame that lies at `at` in `target`. */
  numberIn(target: Buffer, at: number, channel: number, seq: number): void {
    putMasked(target, at + this.#payloadAt, 0, this.#type * 0x1000000 + channel)
    putMasked(target, at + this.#payloadAt, 4, seq)
  }
}

const ackFrame = new RelayFrame(HEADER_BYTES, ACK)

/** An attached sender and an attached, approved receiver, which may be at another node, without a handshake. */
export interface OpenPair {
  readonly sender: AttachedSocket
  readonly receiver: AttachedSocket
  readonly channel: number
  close(): Promise<void>
}

export async function openPair(address: Address, far = address): Promise<OpenPair> {
  const http = await HttpWire.connect(address)
  const httpOfReceiver = await HttpWire.connect(far)
  const [senderCode, receiverCode] = [freshCode(), freshCode()]
  const session = await createSession(http, senderCode, freshCode())
  const sender = await AttachedSocket.open(address, session)
  const joined = await join(httpOfReceiver, senderCode, receiverCode)
  const receiver = await AttachedSocket.open(far, joined)
  await approve(http, session, receiverCode)
  for (const side of [sender, receiver]) await side.until((view) => view.receivers[0]?.state === 'approved')
  return {
    sender,
    receiver,
    channel: joined.channel,
    close: async () => {
      receiver.socket.destroy()
      sender.socket.destroy()
      await remove(http, session, '')
      http.close()
      httpOfReceiver.close()
    },
  }
}

import { ciphertextOf, encodeAck, FRAME_DATA, type Frame, writeFrameHeader } from '../protocol/codec.ts'
import type { ChannelRow } from '../protocol/frames.ts'
import { FRAME_HEADER_BYTES, frameCost, HANDSHAKE_WINDOW_BYTES } from '../protocol/limits.ts'
import type { Environment } from './environment.ts'
import { PairingError } from './errors.ts'

/** A quarter of the smallest grant: what may be processed before the peer must hear of it. */
const ACK_AFTER_BYTES = 65_536
/** Smaller amounts are acked together after this long. The protocol allows 100. */
const ACK_AFTER_MS = 10

interface Outgoing {
  readonly bytes: Uint8Array
  readonly cost: number
}

/**
 * One sender–receiver pair, as one of the two sees it: frames in order both ways, over any number of sockets. A frame is
 * kept until the peer's ack and sent again, byte for byte, on the next socket. Everything pending fails with the error
 * given to `fail`.
 */
export class Channel {
  readonly number: number
  readonly #environment: Environment
  readonly #maxInboundCost: number
  /** Sends on the socket, if one is attached. */
  #send: ((bytes: Uint8Array) => void) | undefined

  #acked = 0
  #sentThrough = 0
  /** The last seq that was on any socket: neither the relay nor the peer can know of a later one. */
  #everSent = 0
  #unacked: Outgoing[] = []
  /** What all of #unacked cost, and the part of it that is on the socket. */
  #unackedCost = 0
  #sentCost = 0
  #window = HANDSHAKE_WINDOW_BYTES
  #waitingForRoom: (() => void)[] = []
  #waitingForAcks: { through: number; resolve: () => void }[] = []

  #received = 0
  #handedOut = 0
  #processed = 0
  #ackSent = 0
  #inbox: Uint8Array[] = []
  /** What frames cost that came and are not processed, that were handed out since, that were processed and not acked. */
  #inboxCost = 0
  #handedOutCost = 0
  #processedCost = 0
  #ackTimer: unknown
  #waitingForFrame: (() => void) | undefined
  #failure: PairingError | undefined

  /** Called when the peer acks: every frame ≤ seq has been processed there. */
  onAcked: ((seq: number) => void) | undefined

  constructor(number: number, windowBytes: number, environment: Environment) {
    this.number = number
    this.#environment = environment
    this.#maxInboundCost = windowBytes
  }

  /** What an attach says of this channel. It counts as an ack. */
  resume(): { channel: number; received: number; acked: number } {
    this.#ackSent = this.#processed
    this.#processedCost = 0
    return { channel: this.number, received: this.#processed, acked: this.#acked }
  }

  get isAttached(): boolean {
    return this.#send !== undefined
  }

  /** Frames that came and frames that were acked, so far. */
  get progress(): number {
    return this.#received + this.#acked
  }

  /** The seq of the last frame given to `send`. */
  get lastSeq(): number {
    return this.#acked + this.#unacked.length
  }

  /**
   * Sends a frame that leaves FRAME_HEADER_BYTES free in front of its ciphertext; the bytes belong to the channel from
   * then on. Resolves when the window has room for it, whether a socket is there or not.
   */
  async send(bytes: Uint8Array): Promise<void> {
    if (this.#failure) throw this.#failure
    const seq = this.lastSeq + 1
    writeFrameHeader(bytes, FRAME_DATA, this.number, seq)
    const cost = frameCost(bytes.length - FRAME_HEADER_BYTES)
    this.#unacked.push({ bytes, cost })
    this.#unackedCost += cost
    this.#flush()
    while (this.#sentThrough < seq && this.#unackedCost > this.#window) {
      await new Promise<void>((resolve) => this.#waitingForRoom.push(resolve))
      if (this.#failure) throw this.#failure
    }
  }

  /** Resolves when the peer has acked everything sent so far. */
  async flushed(): Promise<void> {
    const through = this.lastSeq
    while (this.#acked < through) {
      if (this.#failure) throw this.#failure
      await new Promise<void>((resolve) => this.#waitingForAcks.push({ through, resolve }))
    }
  }

  /** The ciphertext of the next frame. It is not acked before `processed`. */
  async receive(): Promise<Uint8Array> {
    for (;;) {
      const frame = this.#inbox.shift()
      if (frame) {
        this.#handedOut++
        this.#handedOutCost += frameCost(frame.length)
        return frame
      }
      if (this.#failure) throw this.#failure
      await new Promise<void>((resolve) => {
        this.#waitingForFrame = resolve
      })
    }
  }

  /** Everything `receive` has given out is dealt with and may be acked. */
  processed(): void {
    if (this.#processed === this.#handedOut) return
    this.#processed = this.#handedOut
    this.#inboxCost -= this.#handedOutCost
    this.#processedCost += this.#handedOutCost
    this.#handedOutCost = 0
    if (this.#failure) return
    if (this.#processedCost >= ACK_AFTER_BYTES) this.sendAck()
    else this.#ackTimer ??= this.#environment.setTimeout(() => this.sendAck(), ACK_AFTER_MS)
  }

  /** Sends the ack that is due, now. */
  sendAck(): void {
    this.#environment.clearTimeout(this.#ackTimer)
    this.#ackTimer = undefined
    if (!this.#send || this.#ackSent === this.#processed) return
    this.#ackSent = this.#processed
    this.#processedCost = 0
    this.#send(encodeAck(this.number, this.#processed))
  }

  /** A socket attached. What the relay does not hold is sent again. Throws `relay_misbehaved` if it lies about that. */
  attach(row: ChannelRow | undefined, send: (bytes: Uint8Array) => void): void {
    // A relay that has no row for a channel of ours says that the channel is over.
    if (!row) return
    const { received, acked, window } = row
    if (received < this.#acked || received > this.#everSent || acked > received)
      throw new PairingError('relay_misbehaved')
    this.#window = window
    this.#sentThrough = received
    this.#sentCost = this.#costOfFirst(received - this.#acked)
    this.takeAck(acked)
    this.#send = send
    this.#flush()
    // What was processed since the attach message was written, which only said what came before.
    this.sendAck()
  }

  detach(): void {
    this.#send = undefined
  }

  grow(window: number): void {
    if (window <= this.#window) return
    this.#window = window
    this.#flush()
  }

  /** The peer's cumulative ack. Throws `relay_misbehaved` for more than was sent. */
  takeAck(seq: number): void {
    if (seq > this.#everSent) throw new PairingError('relay_misbehaved')
    if (seq <= this.#acked) return
    const count = seq - this.#acked
    this.#sentCost -= this.#costOfFirst(Math.min(count, this.#sentThrough - this.#acked))
    this.#unackedCost -= this.#costOfFirst(count)
    this.#unacked.splice(0, count)
    this.#acked = seq
    this.#sentThrough = Math.max(this.#sentThrough, seq)
    this.#flush()
    this.onAcked?.(seq)
    const done = this.#waitingForAcks.filter(({ through }) => through <= seq)
    this.#waitingForAcks = this.#waitingForAcks.filter(({ through }) => through > seq)
    for (const { resolve } of done) resolve()
  }

  /** A data frame came. A duplicate is dropped unread; a gap, or more than the window, is the relay's fault. */
  takeData(frame: Frame): void {
    if (frame.seq <= this.#received) return
    const ciphertext = ciphertextOf(frame)
    this.#inboxCost += frameCost(ciphertext.length)
    if (frame.seq !== this.#received + 1 || this.#inboxCost > this.#maxInboundCost) {
      throw new PairingError('relay_misbehaved')
    }
    this.#received = frame.seq
    this.#inbox.push(ciphertext)
    this.#waitingForFrame?.()
    this.#waitingForFrame = undefined
  }

  /** Ends the channel: whatever waits, or will, throws this. What came before can still be read. */
  fail(error: PairingError): void {
    this.#failure ??= error
    this.#send = undefined
    this.#environment.clearTimeout(this.#ackTimer)
    this.#waitingForFrame?.()
    for (const { resolve } of this.#waitingForAcks) resolve()
    this.#waitingForAcks = []
    this.#releaseWaiting()
  }

  #flush(): void {
    while (this.#send && this.#sentThrough < this.lastSeq) {
      const next = this.#unacked[this.#sentThrough - this.#acked]
      if (!next || this.#sentCost + next.cost > this.#window) break
      this.#sentThrough++
      this.#everSent = Math.max(this.#everSent, this.#sentThrough)
      this.#sentCost += next.cost
      this.#send(next.bytes)
    }
    this.#releaseWaiting()
  }

  #releaseWaiting(): void {
    const waiting = this.#waitingForRoom
    this.#waitingForRoom = []
    for (const resolve of waiting) resolve()
  }

  #costOfFirst(count: number): number {
    let cost = 0
    for (let i = 0; i < count; i++) cost += this.#unacked[i]?.cost ?? 0
    return cost
  }
}

import { splitFrame } from '../../crypto/fragments.ts'
import { ciphertextOf, encodeAck, FRAME_DATA, type Frame, writeFrameHeader } from '../../protocol/frame.ts'
import {
  FRAME_HEADER_BYTES,
  frameCost,
  HANDSHAKE_MAX_CIPHERTEXT_BYTES,
  HANDSHAKE_MAX_SEQ,
  HANDSHAKE_WINDOW_BYTES,
} from '../../protocol/limits.ts'
import type { ChannelRow } from '../../protocol/view.ts'
import type { Environment } from '../environment.ts'
import { PairingError } from '../errors.ts'
import { Signal } from '../signal.ts'
import type { FrameEvents } from './frame-events.ts'

/** A quarter of the smallest grant: what may be processed before the peer must hear of it. */
const ACK_AFTER_BYTES = 65_536
/** Smaller amounts are acked together after this long. The protocol allows 100. */
const ACK_AFTER_MS = 10

interface Outgoing {
  readonly bytes: Uint8Array
  readonly cost: number
  readonly events: FrameEvents
  readonly onAcked: (() => unknown)[]
  /** How often it was given to a socket: one that it was taken from may still hold it. */
  times: number
}

/**
 * A sender–receiver pair, as one of the two sees it: frames in order both ways, over any number of sockets. A frame is
 * kept until the peer's ack and sent again, byte for byte, on the next socket. Everything pending fails with the error
 * given to `fail`. Until the receiver is approved it takes a handshake and nothing else.
 */
export class Channel {
  readonly number: number
  readonly #environment: Environment
  /** The most that either direction may have under way, whatever the relay grants. */
  readonly #windowMax: number
  #stage: 'handshake' | 'verified' | 'approved' = 'handshake'
  /** Sends on the socket, if one is attached. */
  #send: ((bytes: Uint8Array, onLeaving?: () => void) => void) | undefined

  #acked = 0
  #sentThrough = 0
  /** The last seq that was on any socket: neither the relay nor the peer can know of a later one. */
  #everSent = 0
  #unacked: Outgoing[] = []
  /** Costs of all of #unacked, and of the part of it that is on the socket. */
  #unackedCost = 0
  #sentCost = 0
  #window = HANDSHAKE_WINDOW_BYTES
  #frameMax = Number.POSITIVE_INFINITY
  /** Fires when the window may have room, or the peer has acked. */
  readonly #room = new Signal()
  /** Since when the relay has had no window for the next frame, although nothing is under way. */
  starvedSince: number | undefined

  #received = 0
  #handedOut = 0
  #processed = 0
  #ackSent = 0
  #inbox: Uint8Array[] = []
  /** Costs of frames that came and are not processed, that were handed out since, that were processed and not acked. */
  #inboxCost = 0
  #handedOutCost = 0
  #processedCost = 0
  #ackTimer: unknown
  readonly #came = new Signal()
  /** Ends the channel. `lost` tells of frames that no peer has acked. */
  #end: { readonly error: PairingError; readonly lost: boolean } | undefined

  constructor(number: number, windowMax: number, environment: Environment) {
    this.number = number
    this.#environment = environment
    this.#windowMax = windowMax
  }

  /** The peer is verified: as much may wait here as the window allows, and the word of the approval may come. */
  verified(): void {
    if (this.#stage === 'handshake') this.#stage = 'verified'
  }

  /** The receiver is approved: payload may come. */
  approved(): void {
    this.#stage = 'approved'
  }

  /** This channel's place in an attach. It counts as an ack. */
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

  get #lastSeq(): number {
    return this.#acked + this.#unacked.length
  }

  /**
   * Sends a frame that leaves FRAME_HEADER_BYTES free in front of its ciphertext; the bytes belong to the channel from
   * then on. Resolves when the window has room for it, whether a socket is there or not.
   */
  async send(bytes: Uint8Array, events: FrameEvents = {}): Promise<void> {
    this.#requireOpen()
    this.#append(bytes, events, events.onAcked ? [events.onAcked] : [])
    const last = this.#unacked.at(-1)
    this.#flush()
    while (last && this.#unackedCost > this.#window && this.#waits(last)) {
      await this.#room.next()
      this.#requireOpen()
    }
  }

  /** Resolves when the peer has acked everything sent so far. */
  async flushed(): Promise<void> {
    const last = this.#unacked.at(-1)
    let acked = last === undefined && !this.#end?.lost
    last?.onAcked.push(() => (acked = true))
    while (!acked) {
      this.#requireOpen()
      await this.#room.next()
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
      this.#requireOpen()
      await this.#came.next()
    }
  }

  /** Everything `receive` has given out is dealt with and may be acked. */
  processed(): void {
    if (this.#processed === this.#handedOut) return
    this.#processed = this.#handedOut
    this.#inboxCost -= this.#handedOutCost
    this.#processedCost += this.#handedOutCost
    this.#handedOutCost = 0
    if (this.#end) return
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

  /**
   * A socket attached. What the relay does not hold is sent again; `send` calls `onLeaving` when the frame goes. Throws
   * `relay_misbehaved` if the relay lies about that, and `peer_misbehaved` for more than was sent: a peer's ack of it goes
   * through any relay.
   */
  attach(row: ChannelRow | undefined, send: (bytes: Uint8Array, onLeaving?: () => void) => void): void {
    // A relay that has no row for a channel of ours says that the channel is over.
    if (!row) return
    const { received, acked, window } = row
    if (received < this.#acked || acked > received) throw new PairingError('relay_misbehaved')
    if (received > this.#everSent) throw new PairingError('peer_misbehaved')
    this.#window = Math.min(window, this.#windowMax)
    this.#sentThrough = received
    this.#sentCost = this.#costOfFirst(received - this.#acked)
    this.takeAck(acked)
    this.#splitUnsent()
    this.#send = send
    this.#flush()
    // Covers what was processed since the attach message was written.
    this.sendAck()
  }

  detach(): void {
    this.#send = undefined
    this.starvedSince = undefined
  }

  grow(window: number): void {
    const granted = Math.min(window, this.#windowMax)
    if (granted <= this.#window) return
    this.#window = granted
    this.#flush()
  }

  /** From the next attach on, no frame has more ciphertext than this. */
  limitFrames(ciphertextBytes: number): void {
    this.#frameMax = ciphertextBytes
  }

  /** The peer's cumulative ack. Throws `peer_misbehaved` for more than was sent. */
  takeAck(seq: number): void {
    if (seq > this.#everSent || seq > this.#lastSeq) throw new PairingError('peer_misbehaved')
    if (seq <= this.#acked) return
    const count = seq - this.#acked
    this.#sentCost -= this.#costOfFirst(Math.min(count, this.#sentThrough - this.#acked))
    this.#unackedCost -= this.#costOfFirst(count)
    const acked = this.#unacked.splice(0, count)
    this.#acked = seq
    this.#sentThrough = Math.max(this.#sentThrough, seq)
    this.#flush()
    for (const { onAcked } of acked) for (const tell of onAcked) tell()
    for (const { events, times } of acked) if (times === 1) events.onFree?.()
  }

  /** A data frame came. A duplicate is dropped unread. Throws `peer_misbehaved` for a gap, and for more than may come. */
  takeData(frame: Frame): void {
    if (frame.seq <= this.#received) return
    const ciphertext = ciphertextOf(frame)
    this.#inboxCost += frameCost(ciphertext.length)
    const isGap = frame.seq !== this.#received + 1
    // Over HTTP an approval can overtake the view that tells of it.
    const isHandshake = this.#stage === 'handshake'
    const lastSeq = isHandshake ? HANDSHAKE_MAX_SEQ : HANDSHAKE_MAX_SEQ + 1
    const isPayload = frame.seq > lastSeq || ciphertext.length > HANDSHAKE_MAX_CIPHERTEXT_BYTES
    const room = isHandshake ? HANDSHAKE_WINDOW_BYTES : this.#windowMax
    const isEarly = isPayload && this.#stage !== 'approved'
    if (isGap || this.#inboxCost > room || isEarly) throw new PairingError('peer_misbehaved')
    this.#received = frame.seq
    this.#inbox.push(ciphertext)
    this.#came.fire()
  }

  /** Ends the channel: whatever waits, or will, throws this. What came before can still be read. */
  fail(error: PairingError): void {
    this.#end ??= { error, lost: this.#unacked.length > 0 }
    this.#send = undefined
    this.#unacked = []
    this.starvedSince = undefined
    this.#environment.clearTimeout(this.#ackTimer)
    this.#came.fire()
    this.#room.fire()
  }

  #requireOpen(): void {
    if (this.#end) throw this.#end.error
  }

  #append(bytes: Uint8Array, events: FrameEvents, onAcked: (() => unknown)[], times = 0): void {
    const parts = splitFrame(bytes, FRAME_HEADER_BYTES, this.#frameMax)
    for (const [index, part] of parts.entries()) {
      writeFrameHeader(part, FRAME_DATA, this.number, this.#lastSeq + 1)
      const cost = frameCost(part.length - FRAME_HEADER_BYTES)
      const isLast = index === parts.length - 1
      this.#unacked.push({ bytes: part, cost, events: isLast ? events : {}, onAcked: isLast ? onAcked : [], times })
      this.#unackedCost += cost
    }
  }

  /** Frames that the relay has not taken become smaller ones; none is sealed again. */
  #splitUnsent(): void {
    if (this.#frameMax === Number.POSITIVE_INFINITY) return
    const unsent = this.#unacked.splice(this.#sentThrough - this.#acked)
    this.#unackedCost = this.#sentCost
    for (const { bytes, events, onAcked, times } of unsent) this.#append(bytes, events, onAcked, times)
  }

  #flush(): void {
    let next = this.#unacked[this.#sentThrough - this.#acked]
    while (this.#send && next && this.#sentCost + next.cost <= this.#window) {
      this.#sentThrough++
      this.#everSent = Math.max(this.#everSent, this.#sentThrough)
      this.#sentCost += next.cost
      next.times++
      this.#send(next.bytes, next.events.onSent)
      next = this.#unacked[this.#sentThrough - this.#acked]
    }
    if (next && this.#send && this.#sentCost === 0) this.starvedSince ??= this.#environment.now()
    else this.starvedSince = undefined
    this.#room.fire()
  }

  #waits(frame: Outgoing): boolean {
    return this.#unacked.indexOf(frame) >= this.#sentThrough - this.#acked
  }

  #costOfFirst(count: number): number {
    return this.#unacked.slice(0, count).reduce((sum, { cost }) => sum + cost, 0)
  }
}

import type { CloseErrorCode } from '../../protocol/errors.ts'
import { encodeAck } from '../../protocol/frame.ts'
import type { View } from '../../protocol/view.ts'
import { type Awaitable, after } from '../awaitable.ts'
import type { MailboxKey, MailboxStore, PeerSocket, StoredFrame } from '../ports.ts'
import type { Holder, Session } from '../session/session.ts'
import { inbound, mailboxKey, outbound } from '../session/view.ts'

/** What a leg asks for when its socket has room. */
export interface LegSource {
  view(leg: AttachedLeg): Promise<View>
  nextFrame(leg: AttachedLeg, channel: number, after: number): Awaitable<StoredFrame | undefined>
  /** Sending failed for a reason that is not the socket's: closes the leg. */
  failed(leg: Leg, error: unknown): void
  now(): number
}

/** A leg whose role is known. */
export type AttachedLeg = Leg & { readonly attached: Attachment }

export interface Attachment {
  readonly sessionId: string
  readonly holder: Holder
  readonly generation: number
  /** As last seen; a refusal re-reads it first. */
  session: Session
  /** The channels that are open. Made with the first: most sockets wait most of the time. */
  channels: Map<number, OpenChannel> | undefined
  /** Whether its channels are open, so that a view can say where to go on. */
  resumed: boolean
  /** The version of the last view that was asked for. */
  shown: number | undefined
}

/** A channel as a socket has opened it. */
export interface OpenChannel {
  /** Where its frames are. */
  readonly mailboxes: MailboxStore
  /** The last frame of this role that is known to be there. A store in which there are fewer has lost some. */
  received: number
  /** Resolves when the mailboxes are there, as long as they are not. */
  opening?: Promise<void> | undefined
}

/**
 * One client socket and what still has to go out on it. Views and acks are latest-only and go before data; data waits in
 * the mailboxes, not here, until the socket has room. Touched by its own socket's events and by `Attachments` alone.
 */
export class Leg {
  /** The session its path names. */
  readonly sessionId: string
  readonly openedAt: number
  attached: Attachment | undefined
  unansweredPings = 0
  lastPingAt: number
  lastSentAt: number

  readonly #socket: PeerSocket
  readonly #source: LegSource
  /** By channel, and only there once there is something: most sockets wait most of the time. */
  #cursors: Map<number, number> | undefined
  #acks: Map<number, number> | undefined
  #ready: Set<number> | undefined
  #viewDue = false
  /** Whether the first view has gone out: it says where to resume, so nothing goes before it. */
  #greeted = false
  #congested = false
  #closeAfter: CloseErrorCode | undefined
  #closed = false
  #pumping: Promise<void> | undefined

  constructor(sessionId: string, socket: PeerSocket, source: LegSource) {
    this.sessionId = sessionId
    this.#socket = socket
    this.#source = source
    this.openedAt = this.lastPingAt = this.lastSentAt = source.now()
  }

  get closed(): boolean {
    return this.#closed
  }

  isAttached(): this is AttachedLeg {
    return this.attached !== undefined
  }

  /** Says that the session or a window changed. Resolves when nothing more can be sent for now. */
  showView(): Awaitable<void> {
    this.#viewDue = true
    return this.pump()
  }

  /** Passes the peer's cumulative ack on, replacing an older one that has not gone out. */
  passAck(channel: number, seq: number): void {
    this.#acks ??= new Map()
    this.#acks.set(channel, seq)
    void this.pump()
  }

  /** Whether reading an inbound channel has begun. */
  reads(channel: number): boolean {
    return this.#cursors?.has(channel) ?? false
  }

  /** Reading an inbound channel goes on after this seq. */
  startAfter(channel: number, seq: number): void {
    this.#cursors ??= new Map()
    this.#cursors.set(channel, seq)
  }

  /** Says that a channel may have frames past the last one sent. */
  wakeChannel(channel: number): void {
    this.#ready ??= new Set()
    this.#ready.add(channel)
    void this.pump()
  }

  /** The socket has room again. */
  drained(): void {
    this.#congested = false
    void this.pump()
  }

  /** Shows the last view and closes. A socket that takes nothing is closed without it. */
  end(code: CloseErrorCode): Awaitable<void> {
    if (this.#congested) return this.close(code)
    this.#closeAfter = code
    return this.showView()
  }

  /** Closes at once; whatever was not sent is not. */
  close(code: CloseErrorCode): void {
    if (this.#closed) return
    this.#closed = true
    this.#socket.close(code)
  }

  /** The socket is gone: nothing more is sent. */
  markClosed(): void {
    this.#closed = true
  }

  /** Cuts a socket that does not answer. */
  destroy(): void {
    this.#closed = true
    this.#socket.destroy()
  }

  ping(): void {
    this.unansweredPings++
    this.lastPingAt = this.#source.now()
    this.#socket.ping()
  }

  /** Sends what is due, in order view, acks, data, until nothing is or the socket is congested. One run at a time. */
  pump(): Awaitable<void> {
    if (this.#pumping) return this.#pumping
    try {
      while (this.isAttached() && this.#hasWork()) {
        const step = this.#step(this)
        if (step instanceof Promise) return this.#pumpAfter(step)
      }
    } catch (error) {
      this.#source.failed(this, error)
    }
  }

  #pumpAfter(step: Promise<void>): Promise<void> {
    this.#pumping = step
      .catch((error: unknown) => this.#source.failed(this, error))
      .then(() => {
        this.#pumping = undefined
        return this.pump()
      })
    return this.#pumping
  }

  #step(self: AttachedLeg): Awaitable<void> {
    if (this.#viewDue) {
      this.#viewDue = false
      return this.#source.view(self).then((view) => this.#sendView(view))
    }
    for (const [channel, seq] of this.#acks ?? []) {
      this.#acks?.delete(channel)
      return this.#send(encodeAck(channel, seq))
    }
    for (const channel of this.#ready ?? []) return this.#sendNext(self, channel)
  }

  #sendView(view: View): void {
    if (this.#closed) return
    this.#send(JSON.stringify(view))
    this.#greeted = true
    if (this.#closeAfter && !this.#viewDue) this.close(this.#closeAfter)
  }

  #sendNext(self: AttachedLeg, channel: number): Awaitable<void> {
    // Taken out before reading, so that a wake-up meanwhile is not lost; put back last, so that channels take turns.
    this.#ready?.delete(channel)
    return after(this.#source.nextFrame(self, channel, this.#cursors?.get(channel) ?? 0), (frame) => {
      if (!frame || this.#closed) return
      this.startAfter(channel, frame.seq)
      this.#send(frame.bytes)
      this.#ready?.add(channel)
    })
  }

  #hasWork(): boolean {
    if (this.#closed || this.#congested || !this.attached) return false
    return this.#viewDue || (this.#greeted && Boolean(this.#acks?.size || this.#ready?.size))
  }

  #send(data: string | Uint8Array): void {
    this.lastSentAt = this.#source.now()
    if (this.#socket.send(data) === 'sent') return
    this.#congested = true
    if (this.#closeAfter) this.close(this.#closeAfter)
  }
}

/** The mailbox of a channel's direction, as this leg sees it. */
export function keyOf(leg: AttachedLeg, channel: number, way: 'outbound' | 'inbound'): MailboxKey {
  const { sessionId, holder } = leg.attached
  return mailboxKey(sessionId, channel, way === 'outbound' ? outbound(holder) : inbound(holder))
}

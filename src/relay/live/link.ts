import type { CloseErrorCode } from '../../protocol/errors.ts'
import { encodeAck, FRAME_ACK } from '../../protocol/frame.ts'
import { MISSED_PINGS_MAX, SILENCE_MS } from '../../protocol/limits.ts'
import type { View } from '../../protocol/view.ts'
import { type Awaitable, after } from '../awaitable.ts'
import { type ChannelEnd, type Outcome, outcomeWithoutEnd } from '../channel/channel-end.ts'
import type { Channels } from '../channel/channels.ts'
import type { Bytes, PiecedFrame } from '../pieces.ts'
import type { Clock, PeerSocket, StoredFrame } from '../ports.ts'
import { channelState, channelsOf } from '../session/channel-state.ts'
import { type Party, presenceOf, receiverOf, type Session } from '../session/session.ts'

/** The session that a link is of: the source of what it sends when its socket has room. */
export interface LinkSource {
  readonly channels: Channels
  readonly ports: { readonly clock: Clock }
  view(link: Link): Promise<View>
  /** The next frame for an end, if it may be shown. */
  nextFrame(link: Link, end: ChannelEnd): Awaitable<StoredFrame | undefined>
  /** Sending failed for a reason that is not the socket's: closes the link. */
  fail(link: Link, error: unknown): void
}

/** Shared by the links that use no channel: most sockets wait most of the time. */
const NO_ENDS: ReadonlyMap<number, ChannelEnd> = new Map()

/**
 * A role's socket, and what has to go out on it. Views and acks are latest-only and go before data; data waits in the mailboxes
 * until the socket has room.
 */
export class Link {
  readonly party: Party
  /** The generation of its attach: a role's link with a higher one supersedes it. */
  readonly generation: number
  /** By channel. */
  ends: ReadonlyMap<number, ChannelEnd> = NO_ENDS
  /** Set when its channels are open, so that a view can say where to resume. */
  isResumed = false
  unansweredPings = 0
  lastSentAt: number
  #lastPingAt: number
  readonly #socket: PeerSocket
  readonly #source: LinkSource
  /** By channel, and only there once there is something: most sockets wait most of the time. */
  #acks: Map<number, number> | undefined
  #ready: Set<number> | undefined
  /** The version of the session, and of its windows, in the view that was last asked for. Neither ever falls. */
  #shown = -1
  #viewDue = false
  /** Set when the first view has gone out: it says where to resume, and nothing goes before it. */
  #greeted = false
  #congested = false
  #closeAfter: CloseErrorCode | undefined
  #closed = false
  #pumping: Promise<void> | undefined

  constructor(party: Party, generation: number, socket: PeerSocket, source: LinkSource) {
    this.party = party
    this.generation = generation
    this.#socket = socket
    this.#source = source
    this.lastSentAt = this.#lastPingAt = source.ports.clock.now()
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Begins to use a channel, before anything is waited for: what is used is not given up meanwhile. */
  use(session: Session, channel: number): ChannelEnd {
    this.#source.channels.enter(session, channel)
    const end = this.#source.channels.endOf(session, this.party, channel)
    this.ends = new Map(this.ends).set(channel, end)
    return end
  }

  /** The cost of all frames that it may have unacknowledged, in bytes. */
  mayHaveUnacked(session: Session | undefined): number {
    return session ? [...this.ends.values()].reduce((sum, end) => sum + end.windowIn(session), 0) : 0
  }

  /** Takes a frame that came on it, by the session as this node knows it. */
  take(frame: PiecedFrame, session: Session | undefined, now: number): Awaitable<Outcome> {
    const end = this.ends.get(frame.channel)
    if (!session) return outcomeWithoutEnd('invalid')
    if (!end) return outcomeWithoutEnd(channelState(session, this.party, frame.channel, now))
    return frame.type === FRAME_ACK ? end.ackThrough(session, frame.seq, now) : end.put(session, frame, now)
  }

  /** Brings its channels and its view in line with the session. Returns the code that it must be closed with, if so. */
  async align(session: Session): Promise<CloseErrorCode | undefined> {
    const { party } = this
    // A row that made way for others takes its token along.
    if (party.role === 'receiver' && !receiverOf(session, party.channel)) return 'unauthorized'
    if (session.state === 'closed') {
      await this.#closeWithLastView(session.reason === 'shutting_down' ? 'going_away' : 'session_gone')
      return undefined
    }
    if ((presenceOf(session, party)?.generation ?? 0) > this.generation) return 'superseded'
    // Until its channels are open there is no first view: it would say the wrong place to resume at.
    if (!this.isResumed) return undefined
    for (const channel of channelsOf(session, party)) {
      if (this.ends.get(channel)?.isShared === this.#source.channels.isShared(session, channel)) continue
      if (!(await this.#follow(session, channel))) return 'resume_required'
    }
    const news = session.version + this.#source.channels.changes
    if (this.#shown !== news && !this.#closed) {
      this.#shown = news
      await this.showView()
    }
    return undefined
  }

  /** Opens a channel that is new, or has moved before anything was sent on it. False when it has moved after that. */
  async #follow(session: Session, channel: number): Promise<boolean> {
    if (this.ends.has(channel) && !(await this.#source.channels.isBlank(channel))) return false
    const followed = this.ends.get(channel)
    if (followed?.isShared === this.#source.channels.isShared(session, channel)) {
      // Another look at the session was first.
      await followed.opening
      return true
    }
    const end = this.use(session, channel)
    const opening = this.#source.channels.open(end, session, { received: 0, acked: 0 })
    end.opening = opening.then(
      () => {
        end.opening = undefined
      },
      (error) => {
        end.opening = undefined
        throw error
      },
    )
    await end.opening
    this.wakeChannel(channel)
    return true
  }

  /** The rows of its open channels. */
  rows(session: Session): ReturnType<Channels['rows']> {
    const open = channelsOf(session, this.party).flatMap((channel) => this.ends.get(channel) ?? [])
    return this.#source.channels.rows(session, open, false)
  }

  /** Shows that the session or a window changed. Resolves when nothing more can be sent for now. */
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

  /** Reads a channel, which may have frames past the last one sent. */
  wakeChannel(channel: number): void {
    this.#ready ??= new Set()
    this.#ready.add(channel)
    void this.pump()
  }

  /** Sends again after congestion: the socket has room. */
  drained(): void {
    this.#congested = false
    void this.pump()
  }

  /** Shows the last view and closes. A socket that takes nothing is closed without it. */
  #closeWithLastView(code: CloseErrorCode): Awaitable<void> {
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

  /** Sends nothing more: the socket is gone. */
  markClosed(): void {
    this.#closed = true
  }

  /** Pings when it is time to, and cuts a socket that does not answer. */
  checkPing(now: number): void {
    if (now - this.#lastPingAt < SILENCE_MS) return
    if (this.unansweredPings >= MISSED_PINGS_MAX) {
      this.#closed = true
      return this.#socket.destroy()
    }
    this.unansweredPings++
    this.#lastPingAt = now
    this.#socket.ping()
  }

  /** Sends what is due, in order view, acks, data, until nothing is or the socket is congested. One run at a time. */
  pump(): Awaitable<void> {
    if (this.#pumping) return this.#pumping
    try {
      while (this.#hasWork()) {
        const step = this.#step()
        if (step instanceof Promise) return this.#pumpAfter(step)
      }
    } catch (error) {
      this.#source.fail(this, error)
    }
  }

  #pumpAfter(step: Promise<void>): Promise<void> {
    this.#pumping = step
      .catch((error: unknown) => this.#source.fail(this, error))
      .then(() => {
        this.#pumping = undefined
        return this.pump()
      })
    return this.#pumping
  }

  #step(): Awaitable<void> {
    if (this.#viewDue) {
      this.#viewDue = false
      return this.#source.view(this).then((view) => this.#sendView(view))
    }
    for (const [channel, seq] of this.#acks ?? []) {
      this.#acks?.delete(channel)
      return this.#send(encodeAck(channel, seq))
    }
    for (const channel of this.#ready ?? []) return this.#sendNext(channel)
  }

  #sendView(view: View): void {
    if (this.#closed) return
    this.#send(JSON.stringify(view))
    this.#greeted = true
    if (this.#closeAfter && !this.#viewDue) this.close(this.#closeAfter)
  }

  #sendNext(channel: number): Awaitable<void> {
    // Taken out before reading, so that a wake-up meanwhile is not lost; put back last, so that channels take turns.
    this.#ready?.delete(channel)
    const end = this.ends.get(channel)
    if (!end) return
    return after(this.#source.nextFrame(this, end), (frame) => {
      if (!frame || this.#closed) return
      end.readAfter = frame.seq
      this.#send(frame.bytes)
      this.#ready?.add(channel)
    })
  }

  #hasWork(): boolean {
    if (this.#closed || this.#congested) return false
    return this.#viewDue || (this.#greeted && Boolean(this.#acks?.size || this.#ready?.size))
  }

  #send(data: string | Bytes): void {
    this.lastSentAt = this.#source.ports.clock.now()
    if (this.#socket.send(data) === 'sent') return
    this.#congested = true
    if (this.#closeAfter) this.close(this.#closeAfter)
  }
}

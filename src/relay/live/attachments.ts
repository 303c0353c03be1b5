import type { CloseErrorCode } from '../../protocol/errors.ts'
import { decodeFrame } from '../../protocol/frame.ts'
import { ATTACH_TIMEOUT_MS, MISSED_PINGS_MAX, SILENCE_MS } from '../../protocol/limits.ts'
import type { Awaitable } from '../awaitable.ts'
import { closeCodeOf, RelayError } from '../errors.ts'
import type { Bus, Cluster, Direction, PeerSocket, Secrets, Wake } from '../ports.ts'
import { detach } from '../session/presence.ts'
import type { Session } from '../session/session.ts'
import { shutDown } from '../session/transitions.ts'
import { channelsOf } from '../session/view.ts'
import { Attaching } from './attaching.ts'
import { Connection, type ConnectionHandler } from './connection.ts'
import { Feed } from './feed.ts'
import { Intake, type IntakePorts } from './intake.ts'
import { type AttachedLeg, type Attachment, Leg, type LegSource } from './leg.ts'
import { Legs } from './legs.ts'
import { Watchers } from './watchers.ts'

export interface AttachmentsPorts extends IntakePorts {
  readonly bus: Bus
  readonly secrets: Secrets
  readonly cluster: Cluster | undefined
}

/** Where a relay that is alone has its sockets. */
const ONLY_NODE = 'here'

/** The sockets of this node: frames and acks in, views and frames out, and what has to be looked at again. */
export class Attachments {
  /** Who waits without a socket, on this node. */
  readonly watchers = new Watchers()
  readonly attaching: Attaching
  readonly #ports: AttachmentsPorts
  readonly #intake: Intake
  readonly #source: LegSource
  readonly #handler: ConnectionHandler
  readonly #legs = new Legs()
  /** Attaches whose end the store could not take yet. */
  readonly #undetached = new Set<Attachment>()
  #draining = false

  constructor(ports: AttachmentsPorts) {
    this.#ports = ports
    this.attaching = new Attaching({
      ...ports,
      legs: this.#legs,
      place: ports.cluster?.node ?? ONLY_NODE,
      close: (leg, code) => this.#close(leg, code),
      detach: (attachment) => this.#detach(attachment),
      acked: (session, channel, direction, seq) => this.acked(session, channel, direction, seq),
    })
    this.#intake = new Intake(ports, this)
    const feed = new Feed({ ...ports, refresh: (sessionId) => this.refresh(sessionId) })
    this.#source = {
      view: (leg) => feed.view(leg),
      nextFrame: (leg, channel, after) => feed.nextFrame(leg, channel, after),
      failed: (leg, error) => this.#fail(leg, error),
      now: () => ports.clock.now(),
    }
    this.#handler = {
      receive: (leg, data) => this.#receive(leg, data),
      gone: (leg) => this.#remove(leg),
      failed: (leg, error) => this.#fail(leg, error),
      mayHaveUnacked: (leg) => this.#mayHaveUnacked(leg),
    }
    ports.bus.subscribe({
      woken: (sessionId, wake, here) => this.#woken(sessionId, wake, here),
      missed: () => this.lookAtEverything(),
    })
  }

  /** Sockets held, attached or not yet. */
  get sockets(): number {
    return this.#legs.size
  }

  /** Whether this node has an attached socket of a session. */
  hasSocket(sessionId: string): boolean {
    return this.#legs.has(sessionId)
  }

  /** A socket opened for a session. Its first frame must attach it. Feed it to the connection that comes back. */
  connect(sessionId: string, socket: PeerSocket): Connection {
    const leg = new Leg(sessionId, socket, this.#source)
    if (this.#draining) leg.close('going_away')
    else this.#legs.unattached.add(leg)
    return new Connection(leg, this.#handler)
  }

  /**
   * Re-reads a session and brings everything on this node in line with it. `here`: the change was made on this node. Never
   * throws: what fails closes its leg.
   */
  async refresh(sessionId: string, here = false): Promise<void> {
    const legs = [...this.#legs.of(sessionId)]
    try {
      const session = await this.#ports.sessions.get(sessionId)
      if (session && this.#ports.channels.settle(session)) for (const leg of legs) leg.attached.shown = undefined
      // First every socket knows what has ended, then what that had is given up.
      const aligned = legs.map((leg) => this.#align(leg, session))
      if (session) await this.#ports.channels.releaseEnded(session, here)
      else await this.#ports.channels.releaseAll(sessionId)
      await Promise.all(aligned)
    } catch (error) {
      for (const leg of legs) this.#fail(leg, error)
    }
    this.watchers.wake(sessionId)
  }

  /** Looks at a session whose windows have changed, and shows it. */
  showWindows(sessionId: string): void {
    for (const leg of this.#legs.of(sessionId)) leg.attached.shown = undefined
    void this.refresh(sessionId)
  }

  /** Looks again at every session that somebody on this node looks at: something may have happened unheard. */
  lookAtEverything(): void {
    const sessionIds = new Set([...this.#legs.sessionIds, ...this.watchers.sessionIds])
    for (const sessionId of sessionIds) void this.#lookAt(sessionId)
  }

  /** A frame of this direction is there to be read. */
  arrived(session: Session, channel: number, direction: Direction): void {
    this.#legs.find(session.id, channel, direction, 'reads')?.wakeChannel(channel)
    this.watchers.wake(session.id)
    if (this.#ports.channels.isShared(session, channel))
      this.#ports.bus.wake(session.id, { about: 'frames', channel, direction })
  }

  acked(session: Session, channel: number, direction: Direction, seq: number): void {
    this.#legs.find(session.id, channel, direction, 'writes')?.passAck(channel, seq)
    this.watchers.wake(session.id)
    if (this.#ports.channels.isShared(session, channel))
      this.#ports.bus.wake(session.id, { about: 'ack', channel, direction, seq })
  }

  /** Once a second or so: attach time-outs, pings, views after silence, and what the store could not take. */
  tick(): void {
    const now = this.#ports.clock.now()
    const undetached = [...this.#undetached]
    this.#undetached.clear()
    for (const attachment of undetached) void this.#detach(attachment)
    for (const leg of this.#legs.unattached) {
      if (now - leg.openedAt >= ATTACH_TIMEOUT_MS) this.#close(leg, 'attach_timeout')
    }
    for (const leg of this.#legs.all()) {
      if (now - leg.lastSentAt >= SILENCE_MS) void this.#breakSilence(leg)
      if (now - leg.lastPingAt < SILENCE_MS) continue
      if (leg.unansweredPings >= MISSED_PINGS_MAX) leg.destroy()
      else leg.ping()
    }
  }

  /**
   * Ends what dies with this node: all sockets get 1001, and sessions that nobody else knows their last view before. `asked`:
   * sessions that somebody asks for without a socket.
   */
  async drain(asked: Iterable<string>): Promise<void> {
    this.#draining = true
    for (const leg of this.#legs.unattached) this.#close(leg, 'going_away')
    const sessionIds = new Set([...this.#legs.sessionIds, ...this.watchers.sessionIds, ...asked])
    const { cluster } = this.#ports
    await Promise.all([...sessionIds].map((id) => (cluster ? this.#leave(id) : this.#shutDown(id))))
  }

  async #leave(sessionId: string): Promise<void> {
    for (const leg of [...this.#legs.of(sessionId)]) {
      leg.close('going_away')
      await this.#remove(leg)
    }
  }

  async #shutDown(sessionId: string): Promise<void> {
    try {
      await this.#ports.sessions.update(sessionId, shutDown)
    } catch (error) {
      if (!(error instanceof RelayError)) throw error
    }
    await this.refresh(sessionId)
  }

  async #lookAt(sessionId: string): Promise<void> {
    await this.refresh(sessionId)
    for (const leg of this.#legs.of(sessionId)) {
      for (const channel of leg.attached.channels?.keys() ?? []) leg.wakeChannel(channel)
      // The view tells of acks, and of who has come or gone.
      if (leg.attached.resumed) void leg.showView()
    }
  }

  /** What another node changed since without being heard is seen now. */
  async #breakSilence(leg: AttachedLeg): Promise<void> {
    if (this.#ports.cluster) await this.#lookAt(leg.attached.sessionId)
    else await leg.showView()
  }

  #woken(sessionId: string, wake: Wake, here: boolean): void {
    switch (wake.about) {
      case 'session':
        if (here || this.#legs.has(sessionId) || this.watchers.has(sessionId)) void this.refresh(sessionId, here)
        return
      case 'frames':
        this.#legs.find(sessionId, wake.channel, wake.direction, 'reads')?.wakeChannel(wake.channel)
        return this.watchers.wake(sessionId)
      case 'ack':
        this.#legs.find(sessionId, wake.channel, wake.direction, 'writes')?.passAck(wake.channel, wake.seq)
        return this.watchers.wake(sessionId)
      default:
        return wake satisfies never
    }
  }

  #receive(leg: Leg, data: string | Uint8Array): Awaitable<void> {
    if (leg.closed) return
    if (!leg.isAttached()) return this.#attach(leg, data)
    if (typeof data === 'string') throw new RelayError('invalid_frame')
    return this.#intake.take(leg, decodeFrame(data))
  }

  async #attach(leg: Leg, data: string | Uint8Array): Promise<void> {
    const attached = await this.attaching.attach(leg, data)
    if (!attached) return
    if (attached.closed) await this.#abandon(attached.sessionId)
    this.#ports.bus.wake(attached.sessionId, { about: 'session' })
  }

  async #align(leg: AttachedLeg, session: Session | undefined): Promise<void> {
    try {
      await this.attaching.align(leg, session)
    } catch (error) {
      this.#fail(leg, error)
    }
    // It may have gone meanwhile, and after that have been given something.
    if (leg.closed) await this.#abandon(leg.sessionId)
  }

  #mayHaveUnacked(leg: Leg): number {
    const { channels } = this.#ports
    if (!leg.isAttached()) return channels.maxFrameBytes
    const { session, holder } = leg.attached
    return channelsOf(session, holder).reduce((sum, channel) => sum + channels.windowOf(session, holder, channel), 0)
  }

  #close(leg: Leg, code: CloseErrorCode): void {
    leg.close(code)
    void this.#remove(leg)
  }

  #fail(leg: Leg, error: unknown): void {
    const code = closeCodeOf(error)
    if (code === 'internal') this.#ports.metrics.failed(error)
    this.#close(leg, code)
  }

  /** Forgets a socket that is gone, and says so to the session unless a newer one has its place. */
  async #remove(leg: Leg): Promise<void> {
    leg.markClosed()
    if (!this.#legs.delete(leg) || !leg.isAttached()) return
    await this.#abandon(leg.sessionId)
    await this.#detach(leg.attached)
  }

  async #abandon(sessionId: string): Promise<void> {
    await this.#ports.channels.abandon(sessionId, (channel) => this.#legs.isOn(sessionId, channel))
  }

  async #detach(attachment: Attachment): Promise<void> {
    const { sessionId, holder, generation } = attachment
    try {
      await this.#ports.sessions.update(sessionId, (session, now) => detach(session, holder, generation, now))
    } catch (error) {
      if (!(error instanceof RelayError)) this.#ports.metrics.failed(error)
      else if (error.code === 'unavailable') this.#undetached.add(attachment)
      return
    }
    this.#ports.bus.wake(sessionId, { about: 'session' })
  }
}

import { CodecError, decodeFrame, parseJson, utf8Length } from '../protocol/codec.ts'
import { type CloseErrorCode, isCloseErrorCode } from '../protocol/errors.ts'
import { Attach, type ChannelRow, type View } from '../protocol/frames.ts'
import { ATTACH_MAX_BYTES, ATTACH_TIMEOUT_MS, MISSED_PINGS_MAX, SILENCE_MS } from '../protocol/limits.ts'
import type { Awaitable } from './awaitable.ts'
import { Connection, type ConnectionHandler } from './connection.ts'
import { RelayError } from './error.ts'
import { Intake, type IntakePorts } from './intake.ts'
import { type AttachedLeg, type Attachment, keyOf, Leg, type LegSource } from './leg.ts'
import type { Bus, PeerSocket, Secrets, SessionStore } from './ports.ts'
import { attachmentOf, type Holder, holderOf, liveReceiver, type Session } from './session.ts'
import { attach, detach, expireIfDue, shutDown } from './transitions.ts'
import { channelsOf, mailboxKey, outbound, viewOf } from './view.ts'

export interface AttachmentsPorts extends IntakePorts {
  readonly sessions: SessionStore
  readonly bus: Bus
  readonly secrets: Secrets
}

/** The sockets of this node: attach and detach, frames and acks in, views and frames out. */
export class Attachments {
  readonly #ports: AttachmentsPorts
  readonly #intake: Intake
  readonly #source: LegSource
  readonly #handler: ConnectionHandler
  readonly #unattached = new Set<Leg>()
  readonly #legs = new Map<string, Set<AttachedLeg>>()
  readonly #watchers = new Map<string, Set<() => void>>()
  #draining = false

  constructor(ports: AttachmentsPorts) {
    this.#ports = ports
    this.#intake = new Intake(ports, {
      peerOf: (leg, channel) => this.#peerOf(leg, channel),
      refresh: (sessionId) => this.refresh(sessionId),
    })
    this.#source = {
      view: (leg) => this.#viewFor(leg),
      nextFrame: (leg, channel, after) => ports.mailboxes.read(keyOf(leg, channel, 'inbound'), after),
      failed: (leg, error) => this.#fail(leg, error),
      now: () => ports.clock.now(),
    }
    this.#handler = {
      receive: (leg, data) => this.#receive(leg, data),
      gone: (leg) => this.#remove(leg),
      failed: (leg, error) => this.#fail(leg, error),
    }
    ports.bus.subscribe((sessionId) => void this.refresh(sessionId))
  }

  /** Sockets held, attached or not yet. */
  get sockets(): number {
    let sum = this.#unattached.size
    for (const legs of this.#legs.values()) sum += legs.size
    return sum
  }

  /** Long polls held. */
  get watchers(): number {
    return this.#watchers.size
  }

  /** A socket opened for a session. Its first frame must attach it. Feed it to the connection that comes back. */
  connect(sessionId: string, socket: PeerSocket): Connection {
    const leg = new Leg(sessionId, socket, this.#source)
    if (this.#draining) leg.close('going_away')
    else this.#unattached.add(leg)
    return new Connection(leg, this.#handler)
  }

  /** Re-reads a session and brings everything on this node in line with it. Never throws: what fails closes its leg. */
  async refresh(sessionId: string): Promise<void> {
    const legs = [...(this.#legs.get(sessionId) ?? [])]
    try {
      const session = await this.#ports.sessions.get(sessionId)
      if (session) await this.#releaseEnded(session)
      await Promise.all(legs.map((leg) => this.#align(leg, session)))
    } catch (error) {
      for (const leg of legs) this.#fail(leg, error)
    }
    for (const wake of this.#watchers.get(sessionId) ?? []) wake()
  }

  /** Calls `wake` after the next change of a session on this node, until the function that comes back is called. */
  watch(sessionId: string, wake: () => void): () => void {
    const watchers = this.#watchers.get(sessionId) ?? new Set()
    this.#watchers.set(sessionId, watchers.add(wake))
    return () => {
      watchers.delete(wake)
      if (watchers.size === 0) this.#watchers.delete(sessionId)
    }
  }

  /** Once a second or so: attach time-outs, pings and views after silence. */
  tick(): void {
    const now = this.#ports.clock.now()
    for (const leg of this.#unattached) {
      if (now - leg.openedAt >= ATTACH_TIMEOUT_MS) this.#close(leg, 'attach_timeout')
    }
    for (const legs of this.#legs.values()) {
      for (const leg of legs) {
        if (now - leg.lastSentAt >= SILENCE_MS) void leg.showView()
        if (now - leg.lastPingAt < SILENCE_MS) continue
        if (leg.unansweredPings >= MISSED_PINGS_MAX) leg.destroy()
        else leg.ping()
      }
    }
  }

  /** Ends what dies with this node: its sessions get their last view, all sockets 1001. Resolves when all was sent. */
  async drain(): Promise<void> {
    this.#draining = true
    for (const leg of this.#unattached) this.#close(leg, 'going_away')
    const sessionIds = new Set([...this.#legs.keys(), ...this.#watchers.keys()])
    await Promise.all([...sessionIds].map((id) => this.#shutDown(id)))
  }

  async #shutDown(sessionId: string): Promise<void> {
    try {
      await this.#ports.sessions.update(sessionId, shutDown)
    } catch (error) {
      if (!(error instanceof RelayError)) throw error
    }
    await this.refresh(sessionId)
  }

  #receive(leg: Leg, data: string | Uint8Array): Awaitable<void> {
    if (leg.closed) return
    if (!leg.isAttached()) return this.#attach(leg, data)
    if (typeof data === 'string') throw new RelayError('invalid_frame')
    return this.#intake.take(leg, decodeFrame(data))
  }

  async #attach(leg: Leg, data: string | Uint8Array): Promise<void> {
    const { sessionId } = leg
    if ((typeof data === 'string' ? utf8Length(data) : data.length) > ATTACH_MAX_BYTES)
      throw new RelayError('frame_too_large')
    const message = typeof data === 'string' ? Attach.safeParse(parseJson(data)) : undefined
    if (!message?.success) throw new RelayError('invalid_frame')
    const { token, channels } = message.data
    const { sessions, mailboxes } = this.#ports
    const before = await sessions.get(sessionId)
    if (!before) throw new RelayError('session_not_found')
    const holder = holderOf(before, this.#ports.secrets.digest(token))
    if (!holder) throw new RelayError('unauthorized')
    const session = await sessions.update(sessionId, (current, now) => {
      const settled = expireIfDue(current, now)
      return settled.state === 'closed' ? settled : attach(settled, holder, now)
    })
    const attachment = {
      sessionId,
      holder,
      generation: attachmentOf(session, holder),
      session,
      resumed: false,
      shown: undefined,
    }
    if (leg.closed) return this.#detach(attachment)
    this.#supersede(attachment)
    this.#unattached.delete(leg)
    const attached = Object.assign(leg, { attached: attachment })
    this.#legs.set(sessionId, (this.#legs.get(sessionId) ?? new Set<AttachedLeg>()).add(attached))
    const resumed = new Map(channels.map((each) => [each.channel, each]))
    for (const channel of channelsOf(session, holder)) {
      const { received, acked } = resumed.get(channel) ?? { received: 0, acked: 0 }
      const [mine, theirs] = [keyOf(attached, channel, 'outbound'), keyOf(attached, channel, 'inbound')]
      const out = await mailboxes.open(mine, acked)
      const into = await mailboxes.open(theirs, received)
      leg.startAfter(channel, Math.max(received, into.position.acked))
      // The relay had forgotten this channel, so the peer's socket, if it is still there, must resume as well.
      if (out.created || into.created) this.#peerOf(attached, channel)?.close('going_away')
      else this.#peerOf(attached, channel)?.passAck(channel, into.position.acked)
      leg.wakeChannel(channel)
    }
    attachment.resumed = true
    this.#ports.bus.wake(sessionId)
  }

  async #viewFor(leg: AttachedLeg): Promise<View> {
    const { session, holder } = leg.attached
    return viewOf(session, holder, await this.channelRows(session, holder), this.#ports.clock.now())
  }

  /** The rows of a role's outbound directions, as they are now. */
  channelRows(session: Session, holder: Holder): Promise<ChannelRow[]> {
    return Promise.all(
      channelsOf(session, holder).map(async (channel) => {
        const key = mailboxKey(session.id, channel, outbound(holder))
        const { received, acked } = (await this.#ports.mailboxes.position(key)) ?? { received: 0, acked: 0 }
        return { channel, received, acked, window: this.#ports.budget.grantOf(key) }
      }),
    )
  }

  async #releaseEnded(session: Session): Promise<void> {
    for (const { channel } of session.receivers) {
      if (liveReceiver(session, channel)) continue
      for (const direction of ['s2r', 'r2s'] as const) {
        const key = mailboxKey(session.id, channel, direction)
        this.#ports.budget.release(key)
        await this.#ports.mailboxes.drop(key)
      }
    }
  }

  async #align(leg: AttachedLeg, session: Session | undefined): Promise<void> {
    const { attached } = leg
    if (!session) return this.#close(leg, 'session_not_found')
    if (session.version < attached.session.version) return
    attached.session = session
    if (session.state === 'closed') return leg.end(session.reason === 'shutting_down' ? 'going_away' : 'session_gone')
    const current = attachmentOf(session, attached.holder)
    if (current > attached.generation) return this.#close(leg, 'superseded')
    // Until its channels are open there is no first view: it would say the wrong place to resume at.
    if (!attached.resumed || attached.shown === session.version) return
    attached.shown = session.version
    await leg.showView()
  }

  #peerOf(leg: AttachedLeg, channel: number): AttachedLeg | undefined {
    const { sessionId, holder } = leg.attached
    for (const other of this.#legs.get(sessionId) ?? []) {
      const theirs = other.attached.holder
      if (theirs.role === holder.role || other.closed) continue
      if (theirs.role === 'sender' || theirs.channel === channel) return other
    }
    return undefined
  }

  /** Closes the socket that has this role. Throws when that one attached later, though the store answered it earlier. */
  #supersede({ sessionId, holder, generation }: Attachment): void {
    for (const other of this.#legs.get(sessionId) ?? []) {
      const theirs = other.attached.holder
      if (theirs.role !== holder.role) continue
      if (theirs.role === 'receiver' && holder.role === 'receiver' && theirs.channel !== holder.channel) continue
      if (generation > 0 && other.attached.generation > generation) throw new RelayError('superseded')
      this.#close(other, 'superseded')
    }
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
    this.#unattached.delete(leg)
    if (!leg.isAttached()) return
    const { sessionId } = leg.attached
    const legs = this.#legs.get(sessionId)
    if (!legs?.delete(leg)) return
    if (legs.size === 0) this.#legs.delete(sessionId)
    await this.#detach(leg.attached)
  }

  async #detach({ sessionId, holder, generation }: Attachment): Promise<void> {
    try {
      await this.#ports.sessions.update(sessionId, (session, now) => detach(session, holder, generation, now))
    } catch (error) {
      if (!(error instanceof RelayError)) this.#ports.metrics.failed(error)
      return
    }
    this.#ports.bus.wake(sessionId)
  }
}

function closeCodeOf(error: unknown): CloseErrorCode {
  if (error instanceof CodecError) return 'invalid_frame'
  return error instanceof RelayError && isCloseErrorCode(error.code) ? error.code : 'internal'
}

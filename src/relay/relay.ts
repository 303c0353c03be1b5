import { PROFILE_DEFAULT } from '../protocol/limits.ts'
import type { AttachedChannels, CreateSessionRequest, DecisionRequest, JoinRequest } from '../protocol/requests.ts'
import type { CreateSessionResponse, JoinResponse, SessionLimits } from '../protocol/responses.ts'
import type { AttachedView, View } from '../protocol/view.ts'
import { Channels, keysOf } from './channel/channels.ts'
import { Windows } from './channel/windows.ts'
import { RelayError } from './errors.ts'
import { Attachments } from './live/attachments.ts'
import type { Connection } from './live/connection.ts'
import { type FrameCall, HttpFrames } from './live/http-frames.ts'
import { type Poll, Polling } from './live/polling.ts'
import { Sweep } from './live/sweep.ts'
import {
  type Bus,
  type Clock,
  type Cluster,
  livingIn,
  type MailboxPosition,
  type MailboxStore,
  type Metrics,
  type PeerSocket,
  type Secrets,
  type SessionStore,
} from './ports.ts'
import { authorize } from './session/authorize.ts'
import { join } from './session/joining.ts'
import { type OpenSession, payerOf, WITHIN } from './session/session.ts'
import * as transitions from './session/transitions.ts'
import { openSession } from './session/transitions.ts'

/** What an operator decides about the domain. Sizes in bytes. */
export interface RelaySettings {
  readonly sessionTtlSeconds: number
  readonly maxSessionTtlSeconds: number
  readonly maxReceivers: number
  readonly maxSessions: number
  readonly maxSessionsPerClient: number
  readonly maxSessionsPerSource: number
  /** Limits what one client address may wait for, join and hold. */
  readonly limitSources: boolean
  readonly maxFrameBytes: number
  readonly windowBytes: number
  readonly memoryBudgetBytes: number
}

export interface RelayPorts {
  readonly sessions: SessionStore
  readonly mailboxes: MailboxStore
  readonly bus: Bus
  readonly clock: Clock
  readonly secrets: Secrets
  readonly metrics: Metrics
  /** A keyed digest of a client address, which is empty for nobody's. */
  readonly digestSource: (source: string) => string
  /** What a relay of several nodes has; the stores and the bus are then those of all nodes. */
  readonly cluster?: Cluster
}

export type { FrameCall }
export { WITHIN }

const CHANGED = { about: 'session' } as const

/**
 * The use cases behind the HTTP commands. Every refusal is a RelayError, and then nothing has changed. Tokens come in
 * as the client sent them and are compared by digest.
 */
export class Relay {
  readonly #attachments: Attachments
  readonly #windows: Windows
  readonly #polling: Polling
  readonly #frames: HttpFrames
  readonly #sweep: Sweep
  readonly #ports: RelayPorts
  readonly #settings: RelaySettings
  #draining = false
  #ticking = false

  constructor(ports: RelayPorts, settings: RelaySettings) {
    const { cluster } = ports
    const { windowBytes, maxFrameBytes } = settings
    this.#ports = ports
    this.#settings = settings
    this.#windows = new Windows(settings, {
      look: (sessionId) => this.#attachments.showWindows(sessionId),
      forget: (sessionId, channel) => void channels.forget(sessionId, channel).catch((error) => this.#failed(error)),
    })
    const channels = new Channels({ ...ports, windows: this.#windows, cluster, windowBytes, maxFrameBytes })
    this.#attachments = new Attachments({ ...ports, cluster, channels })
    this.#polling = new Polling({ ...ports, cluster, channels, attachments: this.#attachments })
    this.#frames = new HttpFrames({ ...ports, channels, neighbours: this.#attachments })
    this.#sweep = new Sweep(ports)
  }

  /** Why this node should get no new clients, if so. */
  get unready(): 'going_away' | 'unavailable' | undefined {
    if (this.#draining) return 'going_away'
    return this.#ports.cluster?.isReachable === false ? 'unavailable' : undefined
  }

  /** Registers a sender code for a client address, which is empty for one that nothing counts. RelayError `code_in_use`, `too_many_sessions`, `at_capacity`, `going_away`. */
  async createSession(request: CreateSessionRequest, source: string): Promise<CreateSessionResponse> {
    if (this.#draining) throw new RelayError('going_away')
    const { clock, secrets, sessions } = this.#ports
    const settings = this.#settings
    const token = secrets.token()
    const now = clock.now()
    const session = openSession(
      {
        id: secrets.sessionId(),
        clientId: request.clientId,
        source: this.#digestOf(source),
        profile: request.profile ?? PROFILE_DEFAULT,
        senderCode: request.senderCode,
        tokenDigest: secrets.digest(token),
        ttlSeconds: Math.min(request.ttlSeconds ?? settings.sessionTtlSeconds, settings.maxSessionTtlSeconds),
        maxReceivers: Math.min(request.maxReceivers ?? 1, settings.maxReceivers),
      },
      now,
    )
    await sessions.create(session, {
      sessions: settings.maxSessions,
      sessionsPerClient: settings.maxSessionsPerClient,
      sessionsPerSource: settings.maxSessionsPerSource,
    })
    const expiresInMs = session.expiresAt - now
    return { sessionId: session.id, token, expiresInMs, limits: this.#limitsOf(session), features: [] }
  }

  /**
   * Adds a receiver that came from a client address, which is empty for one that nothing counts. RelayError
   * `session_not_found`, `receiver_code_in_use`, `session_full`, `at_capacity`, `going_away`.
   */
  async join(request: JoinRequest, source: string): Promise<JoinResponse> {
    if (this.#draining) throw new RelayError('going_away')
    const { clock, secrets, sessions, mailboxes, bus, cluster } = this.#ports
    const { receiverCode, publicKey, name, profile = PROFILE_DEFAULT } = request
    // The same steps whether there is a session or not, so that the time taken tells nothing about a code.
    const token = secrets.token()
    const receiver = {
      receiverCode,
      publicKey,
      profile,
      name,
      tokenDigest: secrets.digest(token),
      source: this.#digestOf(source),
    }
    const now = clock.now()
    const found = await sessions.findByCode(request.senderCode)
    if (!found) throw new RelayError('session_not_found')
    const rules = { isAlive: livingIn(cluster), limitSources: this.#settings.limitSources }
    join(found, receiver, now, rules)
    // Both directions of the handshake are paid for before the receiver is in.
    const windows = this.#grantsFor(found.id) ? this.#windows.reserve(payerOf(receiver.source)) : 'elsewhere'
    if (!windows) throw new RelayError('at_capacity')
    let session: OpenSession
    try {
      session = (await sessions.update(found.id, (current, now) => join(current, receiver, now, rules))) as OpenSession
    } catch (error) {
      if (windows !== 'elsewhere') this.#windows.cancel(windows)
      throw error
    }
    const channel = session.joins
    const expiresInMs = Math.max(0, Math.ceil(session.expiresAt - clock.now()))
    if (windows !== 'elsewhere') this.#windows.assign(windows, session.id, channel)
    // The last socket here may have gone while the store was asked.
    if (!this.#grantsFor(session.id)) this.#windows.release(session.id, channel)
    if (!cluster) for (const key of keysOf(session.id, channel)) await mailboxes.open(key, 0, expiresInMs)
    bus.wake(session.id, CHANGED)
    const limits = this.#limitsOf(session)
    return { sessionId: session.id, token, channel, expiresInMs, limits, features: [], profile: session.profile }
  }

  /** The sender decides about a receiver, once. RelayError as `decide`. */
  async decide(sessionId: string, token: string, receiverCode: string, request: DecisionRequest): Promise<void> {
    await authorize(this.#ports, sessionId, token, 'sender')
    const decision = request.decision === 'approved' ? request.decision : (request.reason ?? 'rejected')
    await this.#ports.sessions.update(sessionId, (current, now) =>
      transitions.decide(current, receiverCode, decision, now),
    )
    this.#ports.bus.wake(sessionId, CHANGED)
  }

  /** The receiver is done or leaves; the sender revokes. */
  async endReceiver(sessionId: string, token: string, receiverCode: string): Promise<void> {
    const { session, holder } = await authorize(this.#ports, sessionId, token)
    const { sessions } = this.#ports
    if (holder.role === 'sender') {
      await sessions.update(sessionId, (current, now) => transitions.revoke(current, receiverCode, now))
    } else {
      const own = session.receivers.find(({ channel }) => channel === holder.channel)
      if (own?.receiverCode !== receiverCode) throw new RelayError('forbidden')
      await sessions.update(sessionId, (current, now) => transitions.leave(current, holder.channel, now))
    }
    this.#ports.bus.wake(sessionId, CHANGED)
  }

  async retireCode(sessionId: string, token: string): Promise<void> {
    await authorize(this.#ports, sessionId, token, 'sender')
    await this.#ports.sessions.update(sessionId, transitions.retireCode)
    this.#ports.bus.wake(sessionId, CHANGED)
  }

  async closeSession(sessionId: string, token: string): Promise<void> {
    await authorize(this.#ports, sessionId, token, 'sender')
    await this.#ports.sessions.update(sessionId, transitions.closeBySender)
    this.#ports.bus.wake(sessionId, CHANGED)
  }

  /** Looks at a token before more is read of a call. RelayError `session_not_found`, `unauthorized`. */
  async checkToken(sessionId: string, token: string): Promise<void> {
    await authorize(this.#ports, sessionId, token)
  }

  /** Takes a socket that has opened for a session. Its first frame must attach it. */
  connect(sessionId: string, socket: PeerSocket): Connection {
    return this.#attachments.connect(sessionId, socket)
  }

  /** The caller's view, held as the poll says. */
  view(sessionId: string, token: string, poll: Poll): Promise<View> {
    return this.#polling.view(sessionId, token, poll)
  }

  /** Attaches a role that cannot hold a socket. */
  attach(sessionId: string, token: string, claims: AttachedChannels): Promise<AttachedView> {
    return this.#polling.attach(sessionId, token, claims)
  }

  putFrame(call: FrameCall, ciphertext: Uint8Array): Promise<MailboxPosition & { readonly window: number }> {
    return this.#frames.put(call, ciphertext)
  }

  fetchFrame(call: FrameCall): Promise<Uint8Array | undefined> {
    return this.#frames.get(call)
  }

  ackFrames(call: FrameCall): Promise<void> {
    return this.#frames.ackThrough(call)
  }

  /** Reports whether a role that is attached over HTTP may come back to this node, which stops, for its last view. */
  get awaitsPolls(): boolean {
    return this.#polling.sessionIds.length > 0
  }

  /** Counts what this node holds beside sessions. All of it is 0 when nothing is left of any. */
  get held() {
    return {
      grantedBytes: this.#windows.granted,
      grants: 2 * this.#windows.size,
      sockets: this.#attachments.sockets,
      watchers: this.#attachments.watchers.size,
    }
  }

  /** All that happens by time. To be called about once a second; no session, socket or poll has a timer of its own. */
  async tick(): Promise<void> {
    this.#attachments.tick()
    this.#polling.tick()
    this.#windows.tick(this.#ports.clock.now())
    // A store that is slow must not have more and more of this to do.
    if (this.#ticking) return
    this.#ticking = true
    try {
      if (await this.#ports.cluster?.beat()) this.#attachments.lookAtEverything()
      await this.#sweep.run()
    } finally {
      this.#ticking = false
    }
  }

  /** Takes nothing new, ends what dies with this node, releases every long poll. Resolves when the last views are out. */
  async drain(): Promise<void> {
    this.#draining = true
    await this.#attachments.drain(this.#polling.sessionIds)
    this.#polling.drain()
    await this.#ports.cluster?.leave()
  }

  /** Keeps a source as digests: of the wider network, where there is one, and of the source itself. */
  #digestOf(source: string): string {
    return source.split(WITHIN).map(this.#ports.digestSource).join(WITHIN)
  }

  /** Whether this node grants the windows of a session: alone it does, of several each does that has a socket of it. */
  #grantsFor(sessionId: string): boolean {
    return this.#ports.cluster === undefined || this.#attachments.hasSocket(sessionId)
  }

  #failed(error: unknown): void {
    if (!(error instanceof RelayError)) this.#ports.metrics.failed(error)
  }

  #limitsOf({ maxReceivers, ttlSeconds }: OpenSession): SessionLimits {
    const { windowBytes, maxFrameBytes } = this.#settings
    return { windowBytes, maxFrameBytes, maxReceivers, ttlSeconds }
  }
}

import { PROFILE_DEFAULT } from '../protocol/limits.ts'
import type { CreateSessionRequest, DecisionRequest, JoinRequest } from '../protocol/requests.ts'
import type { CreateSessionResponse, JoinResponse, SessionLimits } from '../protocol/responses.ts'
import { Channels, keysOf } from './channel/channels.ts'
import { Windows } from './channel/windows.ts'
import { RelayError } from './errors.ts'
import { Attachments } from './live/attachments.ts'
import { HttpFrames } from './live/http-frames.ts'
import { Polling } from './live/polling.ts'
import {
  type Bus,
  type Clock,
  type Cluster,
  livingIn,
  type MailboxStore,
  type Metrics,
  type Secrets,
  type SessionStore,
} from './ports.ts'
import { type Authorized, authorize } from './session/authorize.ts'
import { join } from './session/joining.ts'
import { sweep } from './session/presence.ts'
import { deadlineOf, type Holder, type OpenSession, payerOf, WITHIN } from './session/session.ts'
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

const CHANGED = { about: 'session' } as const

/**
 * The use cases behind the HTTP commands. Every refusal is a RelayError, and then nothing has changed. Tokens come in
 * as the client sent them and are compared by digest.
 */
export class Relay {
  readonly attachments: Attachments
  readonly windows: Windows
  /** Views over HTTP. */
  readonly polling: Polling
  /** Frames over HTTP. */
  readonly frames: HttpFrames
  readonly #ports: RelayPorts
  readonly #settings: RelaySettings
  #draining = false
  #ticking = false
  /** Sessions that the last sweep failed on. */
  #unsweepable: ReadonlySet<string> = new Set()

  constructor(ports: RelayPorts, settings: RelaySettings) {
    const { cluster } = ports
    const { windowBytes, maxFrameBytes } = settings
    this.#ports = ports
    this.#settings = settings
    this.windows = new Windows(settings, {
      look: (sessionId) => this.attachments.showWindows(sessionId),
      forget: (sessionId, channel) => void channels.forget(sessionId, channel).catch((error) => this.#failed(error)),
    })
    const channels = new Channels({ ...ports, windows: this.windows, cluster, windowBytes, maxFrameBytes })
    this.attachments = new Attachments({ ...ports, cluster, channels })
    this.polling = new Polling({ ...ports, cluster, channels, attachments: this.attachments })
    this.frames = new HttpFrames({ ...ports, channels, neighbours: this.attachments })
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
    const {
      sessionTtlSeconds,
      maxSessionTtlSeconds,
      maxReceivers,
      maxSessions,
      maxSessionsPerClient,
      maxSessionsPerSource,
    } = this.#settings
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
        ttlSeconds: Math.min(request.ttlSeconds ?? sessionTtlSeconds, maxSessionTtlSeconds),
        maxReceivers: Math.min(request.maxReceivers ?? 1, maxReceivers),
      },
      now,
    )
    await sessions.create(session, {
      sessions: maxSessions,
      sessionsPerClient: maxSessionsPerClient,
      sessionsPerSource: maxSessionsPerSource,
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
    const windows = this.#grantsFor(found.id) ? this.windows.reserve(payerOf(receiver.source)) : 'elsewhere'
    if (!windows) throw new RelayError('at_capacity')
    let session: OpenSession
    try {
      session = (await sessions.update(found.id, (current, now) => join(current, receiver, now, rules))) as OpenSession
    } catch (error) {
      if (windows !== 'elsewhere') this.windows.cancel(windows)
      throw error
    }
    const channel = session.joins
    const expiresInMs = Math.max(0, Math.ceil(session.expiresAt - clock.now()))
    if (windows !== 'elsewhere') this.windows.assign(windows, session.id, channel)
    // The last socket here may have gone while the store was asked.
    if (!this.#grantsFor(session.id)) this.windows.release(session.id, channel)
    if (!cluster) for (const key of keysOf(session.id, channel)) await mailboxes.open(key, 0, expiresInMs)
    bus.wake(session.id, CHANGED)
    const { profile: senderProfile } = session
    const limits = this.#limitsOf(session)
    return { sessionId: session.id, token, channel, expiresInMs, limits, features: [], profile: senderProfile }
  }

  /** The sender decides about a receiver, once. RelayError as `decide`. */
  async decide(sessionId: string, token: string, receiverCode: string, request: DecisionRequest): Promise<void> {
    await this.#authorize(sessionId, token, 'sender')
    const decision = request.decision === 'approved' ? request.decision : (request.reason ?? 'rejected')
    await this.#ports.sessions.update(sessionId, (current, now) =>
      transitions.decide(current, receiverCode, decision, now),
    )
    this.#ports.bus.wake(sessionId, CHANGED)
  }

  /** The receiver is done or leaves; the sender revokes. */
  async endReceiver(sessionId: string, token: string, receiverCode: string): Promise<void> {
    const { session, holder } = await this.#authorize(sessionId, token)
    const { sessions, bus } = this.#ports
    if (holder.role === 'sender') {
      await sessions.update(sessionId, (current, now) => transitions.revoke(current, receiverCode, now))
    } else {
      const own = session.receivers.find(({ channel }) => channel === holder.channel)
      if (own?.receiverCode !== receiverCode) throw new RelayError('forbidden')
      await sessions.update(sessionId, (current, now) => transitions.leave(current, holder.channel, now))
    }
    bus.wake(sessionId, CHANGED)
  }

  async retireCode(sessionId: string, token: string): Promise<void> {
    await this.#authorize(sessionId, token, 'sender')
    await this.#ports.sessions.update(sessionId, transitions.retireCode)
    this.#ports.bus.wake(sessionId, CHANGED)
  }

  async closeSession(sessionId: string, token: string): Promise<void> {
    await this.#authorize(sessionId, token, 'sender')
    await this.#ports.sessions.update(sessionId, transitions.closeBySender)
    this.#ports.bus.wake(sessionId, CHANGED)
  }

  /** Looks at a token before more is read of a call. RelayError `session_not_found`, `unauthorized`. */
  async checkToken(sessionId: string, token: string): Promise<void> {
    await this.#authorize(sessionId, token)
  }

  /** All that happens by time. To be called about once a second; no session, socket or poll has a timer of its own. */
  async tick(): Promise<void> {
    this.attachments.tick()
    this.polling.tick()
    this.windows.tick(this.#ports.clock.now())
    // A store that is slow must not have more and more of this to do.
    if (this.#ticking) return
    this.#ticking = true
    try {
      if (await this.#ports.cluster?.beat()) this.attachments.lookAtEverything()
      await this.#sweep()
    } finally {
      this.#ticking = false
    }
  }

  async #sweep(): Promise<void> {
    const { sessions, metrics } = this.#ports
    const due = await sessions.due()
    const failed = new Set<string>()
    for (const id of due) {
      try {
        await this.#sweepOne(id)
      } catch (error) {
        if (error instanceof RelayError) throw error
        // The sweep comes again each second, and this is said once.
        if (!this.#unsweepable.has(id)) metrics.failed(error)
        failed.add(id)
      }
    }
    this.#unsweepable = failed
  }

  async #sweepOne(id: string): Promise<void> {
    const { clock, sessions, bus, cluster } = this.#ports
    const session = await sessions.get(id)
    if (session && deadlineOf(session) > clock.now()) return
    if (session?.state !== 'open') return sessions.delete(id)
    const isAlive = livingIn(cluster)
    const { version } = await sessions.update(id, (current, now) => sweep(current, now, isAlive))
    if (version !== session.version) bus.wake(id, CHANGED)
  }

  /** Takes nothing new, ends what dies with this node, releases every long poll. Resolves when the last views are out. */
  async drain(): Promise<void> {
    this.#draining = true
    await this.attachments.drain(this.polling.sessionIds)
    this.polling.drain()
    await this.#ports.cluster?.leave()
  }

  /** Keeps a source as digests: of the wider network, where there is one, and of the source itself. */
  #digestOf(source: string): string {
    return source.split(WITHIN).map(this.#ports.digestSource).join(WITHIN)
  }

  /** Whether this node grants the windows of a session: alone it does, of several each does that has a socket of it. */
  #grantsFor(sessionId: string): boolean {
    return this.#ports.cluster === undefined || this.attachments.hasSocket(sessionId)
  }

  #authorize(sessionId: string, token: string, role?: Holder['role']): Promise<Authorized> {
    return authorize(this.#ports, sessionId, token, role)
  }

  #failed(error: unknown): void {
    if (!(error instanceof RelayError)) this.#ports.metrics.failed(error)
  }

  #limitsOf({ maxReceivers, ttlSeconds }: OpenSession): SessionLimits {
    const { windowBytes, maxFrameBytes } = this.#settings
    return { windowBytes, maxFrameBytes, maxReceivers, ttlSeconds }
  }
}

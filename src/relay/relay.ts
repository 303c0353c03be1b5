import type { View } from '../protocol/frames.ts'
import type {
  CreateSessionRequest,
  CreateSessionResponse,
  DecisionRequest,
  JoinRequest,
  JoinResponse,
  SessionLimits,
} from '../protocol/http.ts'
import { HANDSHAKE_WINDOW_BYTES, LONG_POLL_MAX_MS } from '../protocol/limits.ts'
import { Attachments } from './attachments.ts'
import { Budget } from './budget.ts'
import { RelayError } from './error.ts'
import type { Bus, Clock, MailboxStore, Metrics, Secrets, SessionStore } from './ports.ts'
import { deadlineOf, type Holder, holderOf, type OpenSession, type Session } from './session.ts'
import * as transitions from './transitions.ts'
import { openSession } from './transitions.ts'
import { mailboxKey, viewOf } from './view.ts'

/** What an operator decides about the domain. Sizes in bytes. */
export interface RelaySettings {
  readonly sessionTtlSeconds: number
  readonly maxSessionTtlSeconds: number
  readonly maxReceivers: number
  readonly maxSessions: number
  readonly maxSessionsPerClient: number
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
}

interface LongPoll {
  /** The version the caller has. */
  readonly version: string | undefined
  readonly waitMs: number
}

/**
 * The use cases behind the HTTP commands. Every refusal is a RelayError, and then nothing has changed. Tokens come in
 * as the client sent them and are compared by digest.
 */
export class Relay {
  readonly attachments: Attachments
  readonly budget: Budget
  readonly #ports: RelayPorts
  readonly #settings: RelaySettings
  readonly #polls = new Set<{ readonly until: number; readonly release: () => void }>()
  #draining = false

  constructor(ports: RelayPorts, settings: RelaySettings) {
    this.#ports = ports
    this.#settings = settings
    this.budget = new Budget(settings.memoryBudgetBytes)
    const { windowBytes, maxFrameBytes } = settings
    this.attachments = new Attachments({ ...ports, budget: this.budget, windowBytes, maxFrameBytes })
  }

  get draining(): boolean {
    return this.#draining
  }

  /** Registers a sender code. RelayError `code_in_use`, `too_many_sessions`, `at_capacity`, `going_away`. */
  async createSession(request: CreateSessionRequest): Promise<CreateSessionResponse> {
    if (this.#draining) throw new RelayError('going_away')
    const { clock, secrets, sessions } = this.#ports
    const { sessionTtlSeconds, maxSessionTtlSeconds, maxReceivers, maxSessions, maxSessionsPerClient } = this.#settings
    const token = secrets.token()
    const now = clock.now()
    const session = openSession(
      {
        id: secrets.sessionId(),
        clientId: request.clientId,
        senderCode: request.senderCode,
        tokenDigest: secrets.digest(token),
        ttlSeconds: Math.min(request.ttlSeconds ?? sessionTtlSeconds, maxSessionTtlSeconds),
        maxReceivers: Math.min(request.maxReceivers ?? maxReceivers, maxReceivers),
      },
      now,
    )
    await sessions.create(session, { sessions: maxSessions, sessionsPerClient: maxSessionsPerClient })
    return { sessionId: session.id, token, expiresInMs: session.expiresAt - now, limits: this.#limitsOf(session) }
  }

  /** Adds a receiver. RelayError `session_not_found`, `receiver_code_in_use`, `session_full`, `at_capacity`, `going_away`. */
  async join(request: JoinRequest): Promise<JoinResponse> {
    if (this.#draining) throw new RelayError('going_away')
    const { clock, secrets, sessions, mailboxes, bus } = this.#ports
    const { receiverCode, publicKey, name } = request
    // The same steps whether there is a session or not, so that the time taken tells nothing about a code.
    const token = secrets.token()
    const receiver = { receiverCode, publicKey, name, tokenDigest: secrets.digest(token) }
    const now = clock.now()
    const found = await sessions.findByCode(request.senderCode)
    if (!found) throw new RelayError('session_not_found')
    transitions.join(found, receiver, now)
    // Both directions of the handshake are paid for before the receiver is in.
    if (!this.budget.reserve(2 * HANDSHAKE_WINDOW_BYTES)) throw new RelayError('at_capacity')
    let session: OpenSession | undefined
    try {
      await sessions.update(found.id, (current, now) => {
        session = transitions.join(current, receiver, now)
        return session
      })
    } finally {
      this.budget.unreserve(2 * HANDSHAKE_WINDOW_BYTES)
    }
    if (!session) throw new RelayError('internal')
    const channel = session.receivers.length
    const keys = [mailboxKey(session.id, channel, 's2r'), mailboxKey(session.id, channel, 'r2s')]
    this.budget.raise(keys, HANDSHAKE_WINDOW_BYTES)
    for (const key of keys) await mailboxes.open(key, 0)
    bus.wake(session.id)
    const expiresInMs = Math.max(0, Math.ceil(session.expiresAt - clock.now()))
    return { sessionId: session.id, token, channel, expiresInMs, limits: this.#limitsOf(session) }
  }

  /** The caller's view, held while `version` is current, at most `waitMs`, then the same view again. */
  async view(sessionId: string, token: string, poll: LongPoll): Promise<View> {
    const until = this.#ports.clock.now() + Math.min(poll.waitMs, LONG_POLL_MAX_MS)
    for (;;) {
      const { session, holder } = await this.#authorize(sessionId, token)
      const now = this.#ports.clock.now()
      const settled = transitions.expireIfDue(session, now)
      const held =
        String(settled.version) === poll.version && settled.state === 'open' && now < until && !this.#draining
      if (!held) return viewOf(settled, holder, await this.attachments.channelRows(settled, holder), now)
      await this.#change(sessionId, until)
    }
  }

  /** The sender decides about a receiver, once. RelayError as `decide`, or `at_capacity` when no window can be granted. */
  async decide(sessionId: string, token: string, receiverCode: string, request: DecisionRequest): Promise<void> {
    const { session } = await this.#authorize(sessionId, token, 'sender')
    const { clock, sessions, bus } = this.#ports
    const decision = request.decision === 'approved' ? request.decision : (request.reason ?? 'rejected')
    // Tried on a copy first, so that nothing is granted for a decision that cannot be.
    const decided = transitions.decide(session, receiverCode, decision, clock.now())
    const receiver = decided.receivers.find((each) => each.receiverCode === receiverCode)
    const keys =
      receiver?.state === 'approved'
        ? (['s2r', 'r2s'] as const).map((direction) => mailboxKey(sessionId, receiver.channel, direction))
        : []
    const { maxFrameBytes } = this.#settings
    const more = this.budget.missing(keys, maxFrameBytes)
    if (!this.budget.reserve(more)) throw new RelayError('at_capacity')
    let granted: typeof keys = []
    try {
      await sessions.update(sessionId, (current, now) => transitions.decide(current, receiverCode, decision, now))
      granted = keys
    } finally {
      this.budget.unreserve(more)
      this.budget.raise(granted, maxFrameBytes)
      // Also when the receiver or the session has just ended: then what was granted is given back.
      bus.wake(sessionId)
    }
  }

  /** The receiver is done or leaves; the sender revokes. */
  async endReceiver(sessionId: string, token: string, receiverCode: string): Promise<void> {
    const { session, holder } = await this.#authorize(sessionId, token)
    const { sessions, bus } = this.#ports
    if (holder.role === 'sender') {
      await sessions.update(sessionId, (current, now) => transitions.revoke(current, receiverCode, now))
    } else {
      const own = session.receivers[holder.channel - 1]
      if (own?.receiverCode !== receiverCode) throw new RelayError('forbidden')
      await sessions.update(sessionId, (current, now) => transitions.leave(current, holder.channel, now))
    }
    bus.wake(sessionId)
  }

  async retireCode(sessionId: string, token: string): Promise<void> {
    await this.#authorize(sessionId, token, 'sender')
    await this.#ports.sessions.update(sessionId, transitions.retireCode)
    this.#ports.bus.wake(sessionId)
  }

  async closeSession(sessionId: string, token: string): Promise<void> {
    await this.#authorize(sessionId, token, 'sender')
    await this.#ports.sessions.update(sessionId, transitions.closeBySender)
    this.#ports.bus.wake(sessionId)
  }

  /** All that happens by time. To be called about once a second; no session, socket or poll has a timer of its own. */
  async tick(): Promise<void> {
    const { clock, sessions, bus } = this.#ports
    for (const id of await sessions.due()) {
      const session = await sessions.get(id)
      if (!session || deadlineOf(session) > clock.now()) continue
      if (session.state === 'closed') {
        await sessions.delete(id)
      } else {
        await sessions.update(id, transitions.expireIfDue)
        bus.wake(id)
      }
    }
    this.attachments.tick()
    for (const poll of this.#polls) if (poll.until <= clock.now()) poll.release()
  }

  /** Takes nothing new, ends what dies with this node, releases every long poll. Resolves when the last views are out. */
  async drain(): Promise<void> {
    this.#draining = true
    await this.attachments.drain()
    for (const poll of this.#polls) poll.release()
  }

  /** Resolves with the session's next change, or at `until`. */
  #change(sessionId: string, until: number): Promise<void> {
    return new Promise((resolve) => {
      const release = () => {
        unwatch()
        this.#polls.delete(poll)
        resolve()
      }
      const poll = { until, release }
      const unwatch = this.attachments.watch(sessionId, release)
      this.#polls.add(poll)
    })
  }

  async #authorize(
    sessionId: string,
    token: string,
    role?: Holder['role'],
  ): Promise<{ session: Session; holder: Holder }> {
    const session = await this.#ports.sessions.get(sessionId)
    if (!session) throw new RelayError('session_not_found')
    const holder = holderOf(session, this.#ports.secrets.digest(token))
    if (!holder) throw new RelayError('unauthorized')
    if (role && holder.role !== role) throw new RelayError('forbidden')
    return { session, holder }
  }

  #limitsOf({ maxReceivers, ttlSeconds }: OpenSession): SessionLimits {
    const { windowBytes, maxFrameBytes } = this.#settings
    return { windowBytes, maxFrameBytes, maxReceivers, ttlSeconds }
  }
}

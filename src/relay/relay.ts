import { PROFILE_DEFAULT } from '../protocol/limits.ts'
import type { AttachedChannels, CreateSessionRequest, DecisionRequest, JoinRequest } from '../protocol/requests.ts'
import type { CreateSessionResponse, JoinResponse, SessionLimits } from '../protocol/responses.ts'
import type { AttachedView, View } from '../protocol/view.ts'
import { mailboxKeys } from './channel/direction.ts'
import type { WindowsSettings } from './channel/windows.ts'
import { RelayError } from './errors.ts'
import { Attaching } from './live/attach.ts'
import type { Connection } from './live/connection.ts'
import { type FrameCall, HttpFrames } from './live/http-frames.ts'
import { RelayNode } from './live/node.ts'
import { type Poll, poll } from './live/poll.ts'
import { Sweep } from './live/sweep.ts'
import { livingIn, type MailboxPosition, type PeerSocket, type RelayPorts } from './ports.ts'
import { join } from './session/joining.ts'
import { type OpenSession, payerOf, receiverOf, type Session, WIDER_FACTOR, WITHIN } from './session/session.ts'
import * as transitions from './session/transitions.ts'

/** Settings of the domain that an operator decides. Sizes in bytes. */
export interface RelaySettings extends WindowsSettings {
  readonly sessionTtlSeconds: number
  readonly maxSessionTtlSeconds: number
  readonly maxReceivers: number
  readonly maxSessions: number
  readonly maxSessionsPerClient: number
  readonly maxSessionsPerSource: number
}

/** Sessions that a node has somebody of, and what they hold. */
export interface Figures {
  readonly sessions: number
  readonly pending: number
  readonly approved: number
  readonly sockets: number
  readonly polls: number
  readonly grantedBytes: number
}

export type { FrameCall, RelayPorts }
export { WIDER_FACTOR, WITHIN }

type Change = (session: Session, now: number) => Session

/**
 * The door of the domain: all that the edge may ask of it. Every refusal is a RelayError, and then nothing has changed.
 * Tokens come in as the client sent them and are compared by digest.
 */
export class Relay {
  readonly #node: RelayNode
  readonly #attaching: Attaching
  readonly #http: HttpFrames
  readonly #sweep: Sweep
  readonly #ports: RelayPorts
  readonly #settings: RelaySettings
  #ticking = false
  #takesNoSessions = false

  constructor(ports: RelayPorts, settings: RelaySettings) {
    this.#ports = ports
    this.#settings = settings
    this.#node = new RelayNode(ports, settings)
    this.#attaching = new Attaching(this.#node)
    this.#http = new HttpFrames(this.#node)
    this.#sweep = new Sweep(ports)
  }

  /** Why this node should get no new clients, if so. */
  get unready(): 'going_away' | 'unavailable' | undefined {
    if (this.#takesNoSessions || this.#node.isDraining) return 'going_away'
    return this.#ports.cluster?.isReachable === false ? 'unavailable' : undefined
  }

  /**
   * Registers a sender code for a client address, which is empty for one that nothing counts. RelayError `code_in_use`,
   * `too_many_sessions`, `at_capacity`, `going_away`.
   */
  async createSession(request: CreateSessionRequest, clientAddress: string): Promise<CreateSessionResponse> {
    if (this.unready === 'going_away') throw new RelayError('going_away')
    const { clock, secrets, sessions } = this.#ports
    const settings = this.#settings
    const token = secrets.token()
    const now = clock.now()
    const session = transitions.openSession(
      {
        id: secrets.sessionId(),
        clientId: request.clientId,
        addressDigest: this.#digestOf(clientAddress),
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
      sessionsPerAddress: settings.maxSessionsPerSource,
    })
    const expiresInMs = session.expiresAt - now
    return { sessionId: session.id, token, expiresInMs, limits: this.#limitsOf(session), features: [] }
  }

  /**
   * Adds a receiver that came from a client address, which is empty for one that nothing counts. RelayError
   * `session_not_found`, `receiver_code_in_use`, `session_full`, `at_capacity`, `going_away`.
   */
  async join(request: JoinRequest, clientAddress: string): Promise<JoinResponse> {
    if (this.#node.isDraining) throw new RelayError('going_away')
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
      addressDigest: this.#digestOf(clientAddress),
    }
    const now = clock.now()
    const found = await sessions.findByCode(request.senderCode)
    if (!found) throw new RelayError('session_not_found')
    const rules = { isAlive: livingIn(cluster), limitAddresses: this.#settings.limitAddresses }
    join(found, receiver, now, rules)
    // Both directions of the handshake are paid for before the receiver is in.
    const { windows } = this.#node
    const isGranting = this.#node.grantsFor(found.id)
    const grant = isGranting ? windows.reserve(payerOf(receiver.addressDigest)) : undefined
    if (isGranting && !grant) throw new RelayError('at_capacity')
    let session: OpenSession
    try {
      session = (await sessions.update(found.id, (current, now) => join(current, receiver, now, rules))) as OpenSession
    } catch (error) {
      if (grant) windows.release(grant)
      throw error
    }
    const channel = session.joins
    const expiresInMs = Math.max(0, Math.ceil(session.expiresAt - clock.now()))
    const { channels } = this.#node.keep(session.id)
    if (grant) channels.assign(grant, channel)
    // The last link here may have gone while the store was asked.
    if (!this.#node.grantsFor(session.id)) await channels.release([channel])
    if (!cluster) for (const key of mailboxKeys(session.id, channel)) await mailboxes.open(key, 0, expiresInMs)
    bus.wake(session.id, { about: 'session' })
    const limits = this.#limitsOf(session)
    return { sessionId: session.id, token, channel, expiresInMs, limits, features: [], profile: session.profile }
  }

  /** The sender decides about a receiver, once. RelayError `decision_made`, `receiver_gone`, `session_full`. */
  decide(sessionId: string, token: string, receiverCode: string, request: DecisionRequest): Promise<void> {
    const decision = request.decision === 'approved' ? request.decision : (request.reason ?? 'rejected')
    return this.#changeAsSender(sessionId, token, (current, now) =>
      transitions.decide(current, receiverCode, decision, now),
    )
  }

  /** The receiver is done or leaves; the sender revokes. */
  async endReceiver(sessionId: string, token: string, receiverCode: string): Promise<void> {
    const { session, party } = await this.#node.authorize(sessionId, token)
    if (party.role === 'sender')
      return this.#change(sessionId, (current, now) => transitions.revoke(current, receiverCode, now))
    const own = receiverOf(session, party.channel)
    if (own?.receiverCode !== receiverCode) throw new RelayError('forbidden')
    return this.#change(sessionId, (current, now) => transitions.leave(current, party.channel, now))
  }

  retireCode(sessionId: string, token: string): Promise<void> {
    return this.#changeAsSender(sessionId, token, transitions.retireCode)
  }

  closeSession(sessionId: string, token: string): Promise<void> {
    return this.#changeAsSender(sessionId, token, transitions.closeBySender)
  }

  /** Looks at a token before more is read of a call. RelayError `session_not_found`, `unauthorized`. */
  async checkToken(sessionId: string, token: string): Promise<void> {
    await this.#node.authorize(sessionId, token)
  }

  /** Takes a socket that has opened for a session. Its first frame must attach it. */
  connect(sessionId: string, socket: PeerSocket): Connection {
    return this.#attaching.connect(sessionId, socket)
  }

  /** The caller's view, held as the poll says. */
  view(sessionId: string, token: string, asked: Poll): Promise<View> {
    return poll(this.#node, sessionId, token, asked)
  }

  /** Attaches a role that cannot hold a socket. */
  attach(sessionId: string, token: string, claims: AttachedChannels): Promise<AttachedView> {
    return this.#attaching.overHttp(sessionId, token, claims)
  }

  putFrame(call: FrameCall, ciphertext: Uint8Array): Promise<MailboxPosition & { readonly window: number }> {
    return this.#http.put(call, ciphertext)
  }

  fetchFrame(call: FrameCall): Promise<Uint8Array | undefined> {
    return this.#http.get(call)
  }

  ackFrames(call: FrameCall): Promise<void> {
    return this.#http.ackThrough(call)
  }

  /** Reports whether a role that is attached over HTTP may come back to this node, which stops, for its last view. */
  get awaitsPolls(): boolean {
    return this.#node.isAsked
  }

  /** Counts what this node holds beside sessions. All of it is 0 when nothing is left of any. */
  get counts() {
    const { windows, counts } = this.#node
    const { links, watchers } = counts
    const sockets = this.#attaching.size + links
    return { grantedBytes: windows.granted, grants: 2 * windows.size, sockets, watchers }
  }

  /** Figures of this node for its operator. */
  get figures(): Figures {
    const { sockets, watchers, grantedBytes } = this.counts
    return { ...this.#node.known, sockets, polls: watchers, grantedBytes }
  }

  /** Bytes of the frames of a session that this node took, as long as it has somebody of it. */
  bytesOf(sessionId: string): number {
    return this.#node.bytesOf(sessionId)
  }

  /** All that happens by time. To be called about once a second; no session, socket or poll has a timer of its own. */
  async tick(): Promise<void> {
    this.#attaching.tick(this.#ports.clock.now())
    this.#node.tick()
    // A store that is slow must not have more and more of this to do.
    if (this.#ticking) return
    this.#ticking = true
    try {
      if (await this.#ports.cluster?.beat()) this.#node.look()
      await this.#sweep.run()
    } finally {
      this.#ticking = false
    }
  }

  /** Takes no new sessions. What runs goes on, and `figures.approved` says whether something may. */
  takeNoSessions(): void {
    this.#takesNoSessions = true
  }

  /** Takes nothing new, ends what dies with this node, releases every long poll. Resolves when the last views are out. */
  async drain(): Promise<void> {
    this.#node.isDraining = true
    this.#attaching.drain()
    await this.#node.drain()
    await this.#ports.cluster?.leave()
  }

  async #changeAsSender(sessionId: string, token: string, change: Change): Promise<void> {
    await this.#node.authorize(sessionId, token, 'sender')
    return this.#change(sessionId, change)
  }

  /** Changes a session, and wakes whoever looks at it. */
  async #change(sessionId: string, change: Change): Promise<void> {
    await this.#ports.sessions.update(sessionId, change)
    this.#ports.bus.wake(sessionId, { about: 'session' })
  }

  /** Keeps a client address as digests: of the wider network, where there is one, and of the address itself. */
  #digestOf(clientAddress: string): string {
    return clientAddress.split(WITHIN).map(this.#ports.digestAddress).join(WITHIN)
  }

  #limitsOf({ maxReceivers, ttlSeconds }: OpenSession): SessionLimits {
    const { windowBytes, maxFrameBytes } = this.#settings
    return { windowBytes, maxFrameBytes, maxReceivers, ttlSeconds }
  }
}

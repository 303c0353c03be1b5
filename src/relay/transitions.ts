import type { CloseReason } from '../protocol/frames.ts'
import type { DenialReason } from '../protocol/http.ts'
import { EPITAPH_MS, JOINS_MAX, PENDING_MAX, POLL_LEASE_MS, SOURCE_FAILURES_MAX } from '../protocol/limits.ts'
import { RelayError } from './error.ts'
import {
  type Attached,
  attachedOf,
  type ClosedSession,
  type EndedReceiver,
  type Holder,
  isLive,
  type LiveReceiver,
  type OpenSession,
  OVER_HTTP,
  type Receiver,
  type Session,
} from './session.ts'

/**
 * A transition takes a session and gives the next, or throws RelayError, or gives the very same value when there is nothing
 * to change (every command may be repeated). What is not written here is illegal.
 */

export interface NewSession {
  readonly id: string
  readonly clientId: string
  readonly senderCode: string
  readonly tokenDigest: string
  readonly ttlSeconds: number
  readonly maxReceivers: number
}

export function openSession(input: NewSession, now: number): OpenSession {
  return {
    state: 'open',
    ...input,
    version: 1,
    expiresAt: now + input.ttlSeconds * 1000,
    joinable: true,
    attached: undefined,
    attaches: 0,
    receivers: [],
  }
}

export interface NewReceiver {
  readonly receiverCode: string
  readonly tokenDigest: string
  readonly publicKey: string
  readonly name: string | undefined
  readonly source: string
}

/** A receiver enters the code. Its channel is the number of joins so far plus one, never used again. */
export function join(session: Session, input: NewReceiver, now: number): OpenSession {
  // One answer for every code that does not work, so that nobody learns which codes once did.
  if (session.state === 'closed' || now >= session.expiresAt || !session.joinable || isBanned(session, input.source))
    throw new RelayError('session_not_found')
  if (session.receivers.some((receiver) => receiver.receiverCode === input.receiverCode)) {
    throw new RelayError('receiver_code_in_use')
  }
  if (session.receivers.filter((receiver) => receiver.state === 'pending').length >= PENDING_MAX) {
    throw new RelayError('session_full')
  }
  const channel = session.receivers.length + 1
  const receivers = [
    ...session.receivers,
    { state: 'pending' as const, ...input, channel, attached: undefined, attaches: 0, shared: false },
  ]
  return changed(session, { receivers, joinable: channel < JOINS_MAX })
}

/** The sender decides about a receiver, once. `bound` retires the code with the last approval it allows. */
export function decide(
  session: Session,
  receiverCode: string,
  decision: 'approved' | DenialReason,
  now: number,
): OpenSession {
  const open = requireOpen(session, now)
  const receiver = requireReceiver(open, receiverCode)
  switch (receiver.state) {
    case 'pending':
      return decision === 'approved' ? approve(open, receiver) : end(open, receiver, 'denied', decision)
    case 'approved':
    case 'done':
    case 'revoked':
      if (decision === 'approved') return open
      throw new RelayError('decision_made')
    case 'denied':
      if (decision === receiver.reason) return open
      throw new RelayError('decision_made')
    case 'left':
      throw new RelayError('receiver_gone')
    default:
      return receiver satisfies never
  }
}

function approve(session: OpenSession, receiver: LiveReceiver): OpenSession {
  const approvals = countApprovals(session)
  if (approvals >= session.maxReceivers) throw new RelayError('session_full')
  return changed(session, {
    receivers: replace(session, { ...receiver, state: 'approved' }),
    joinable: session.joinable && approvals + 1 < session.maxReceivers,
  })
}

/** The receiver says it is done (when it was approved) or leaves (when it was not). */
export function leave(session: Session, channel: number, now: number): OpenSession {
  const open = requireOpen(session, now)
  const receiver = receiverOfChannel(open, channel)
  switch (receiver.state) {
    case 'pending':
      return end(open, receiver, 'left')
    case 'approved':
      return end(open, receiver, 'done')
    case 'denied':
    case 'done':
    case 'left':
    case 'revoked':
      return open
    default:
      return receiver satisfies never
  }
}

/** The sender takes an approval back. */
export function revoke(session: Session, receiverCode: string, now: number): OpenSession {
  const open = requireOpen(session, now)
  const receiver = requireReceiver(open, receiverCode)
  switch (receiver.state) {
    case 'pending':
      throw new RelayError('not_approved')
    case 'approved':
      return end(open, receiver, 'revoked')
    case 'denied':
    case 'done':
    case 'left':
    case 'revoked':
      return open
    default:
      return receiver satisfies never
  }
}

/** No more joins. Who has joined stays. */
export function retireCode(session: Session, now: number): OpenSession {
  const open = requireOpen(session, now)
  return open.joinable ? changed(open, { joinable: false }) : open
}

/** Ends the session by its sender's word. Repeating it is no error, as long as the epitaph stands. */
export function closeBySender(session: Session, now: number): ClosedSession {
  const settled = expireIfDue(session, now)
  if (settled.state === 'closed') return settled
  const approved = settled.receivers.filter((receiver) => receiver.state === 'approved' || receiver.state === 'revoked')
  const done = settled.receivers.some((receiver) => receiver.state === 'done')
  return closed(settled, done && approved.length === 0 ? 'completed' : 'closed_by_sender', now)
}

/** Ends the session because the node that alone knows it stops. */
export function shutDown(session: Session, now: number): ClosedSession {
  const settled = expireIfDue(session, now)
  return settled.state === 'closed' ? settled : closed(settled, 'shutting_down', now)
}

/** Ends a session whose time is up; any other stays as it is. */
export function expireIfDue(session: Session, now: number): Session {
  if (session.state === 'closed' || now < session.expiresAt) return session
  return closed(session, 'expired', session.expiresAt)
}

/**
 * Records that a role attached at a place. The new generation is in `attached`; an older one of this role is superseded.
 * A channel whose two ends are at different places is shared from then on, for good: going back would cost both ends
 * a reconnect each time, and where a balancer spreads sockets by turns they would meet and part without end.
 */
export function attach(session: Session, holder: Holder, at: Omit<Attached, 'generation'>, now: number): OpenSession {
  const open = requireOpen(session, now)
  const generation = open.attaches + 1
  const attached = { ...at, generation }
  if (holder.role === 'sender') {
    const receivers = open.receivers.map((each) => (isLive(each) ? placed(each, attached, each.attached) : each))
    return changed(open, { attached, attaches: generation, receivers })
  }
  const receiver = receiverOfChannel(open, holder.channel)
  if (!isLive(receiver)) return open
  const joined = placed({ ...receiver, attached, attaches: receiver.attaches + 1 }, attached, open.attached)
  return changed(open, { attaches: generation, receivers: replace(open, joined) })
}

function placed(receiver: LiveReceiver, here: Attached, peer: Attached | undefined): LiveReceiver {
  const apart = here.place === OVER_HTTP || (peer !== undefined && peer.place !== here.place)
  return apart && !receiver.shared ? { ...receiver, shared: true } : receiver
}

/** Records that a role attached over HTTP has asked again, if it is time to. */
export function stayAttached(session: Session, holder: Holder, now: number): Session {
  const settled = expireIfDue(session, now)
  const attached = attachedOf(settled, holder)
  if (settled.state === 'closed' || attached?.until === undefined) return settled
  if (attached.until - now > POLL_LEASE_MS / 2) return settled
  const renewed = withAttached(settled, holder, { ...attached, until: now + POLL_LEASE_MS })
  // Nobody sees a difference, unless it had counted as gone.
  return attached.until > now ? { ...renewed, version: settled.version } : renewed
}

/** Records that a role's socket is gone, unless a newer one has taken over. */
export function detach(session: Session, holder: Holder, generation: number, now: number): Session {
  const settled = expireIfDue(session, now)
  if (settled.state === 'closed' || attachedOf(settled, holder)?.generation !== generation) return settled
  return withAttached(settled, holder, undefined)
}

function withAttached(session: OpenSession, holder: Holder, attached: Attached | undefined): OpenSession {
  if (holder.role === 'sender') return changed(session, { attached })
  const receiver = receiverOfChannel(session, holder.channel)
  return isLive(receiver) ? changed(session, { receivers: replace(session, { ...receiver, attached }) }) : session
}

/** Whether so many handshakes with receivers of a source have failed that the code is no code to it any more. */
function isBanned({ receivers }: OpenSession, source: string): boolean {
  const failed = receivers.filter(
    (receiver) => receiver.state === 'denied' && receiver.reason !== 'rejected' && receiver.source === source,
  )
  return failed.length >= SOURCE_FAILURES_MAX
}

function countApprovals(session: OpenSession): number {
  return session.receivers.filter((receiver) => receiver.state === 'approved' || receiver.state === 'done').length
}

function requireOpen(session: Session, now: number): OpenSession {
  if (session.state === 'closed' || now >= session.expiresAt) throw new RelayError('session_gone')
  return session
}

function requireReceiver(session: OpenSession, receiverCode: string): Receiver {
  const receiver = session.receivers.find((each) => each.receiverCode === receiverCode)
  if (!receiver) throw new RelayError('receiver_not_found')
  return receiver
}

function receiverOfChannel(session: OpenSession, channel: number): Receiver {
  const receiver = session.receivers[channel - 1]
  if (!receiver) throw new RelayError('receiver_not_found')
  return receiver
}

function end(session: OpenSession, receiver: LiveReceiver, state: 'denied', reason: DenialReason): OpenSession
function end(session: OpenSession, receiver: LiveReceiver, state: 'done' | 'left' | 'revoked'): OpenSession
function end(
  session: OpenSession,
  { receiverCode, channel, tokenDigest, source }: LiveReceiver,
  state: EndedReceiver['state'],
  reason: DenialReason = 'rejected',
): OpenSession {
  const base = { receiverCode, channel, tokenDigest }
  const ended: EndedReceiver = state === 'denied' ? { ...base, state, reason, source } : { ...base, state }
  return changed(session, { receivers: replace(session, ended) })
}

function replace(session: OpenSession, receiver: Receiver): readonly Receiver[] {
  return session.receivers.with(receiver.channel - 1, receiver)
}

function changed(session: OpenSession, change: Partial<OpenSession>): OpenSession {
  return { ...session, ...change, version: session.version + 1 }
}

function closed(session: OpenSession, reason: CloseReason, at: number): ClosedSession {
  const { id, clientId, senderCode, tokenDigest, version } = session
  const receivers = session.receivers.map((receiver) => {
    if (!isLive(receiver)) return receiver
    return {
      receiverCode: receiver.receiverCode,
      channel: receiver.channel,
      tokenDigest: receiver.tokenDigest,
      state: receiver.state,
    }
  })
  return {
    state: 'closed',
    id,
    clientId,
    senderCode,
    tokenDigest,
    version: version + 1,
    reason,
    forgetAt: at + EPITAPH_MS,
    receivers,
  }
}

import type { DenialReason } from '../../protocol/fields.ts'
import { RelayError } from '../errors.ts'
import { changed, closed, endReceiver, expireIfDue, receiverOfChannel, replace, requireOpen } from './changes.ts'
import {
  type ClosedSession,
  isLive,
  type LiveReceiver,
  type OpenSession,
  type Receiver,
  type Session,
} from './session.ts'

/**
 * A transition takes a session and gives the next, or throws RelayError, or gives the very same value when there is nothing
 * to change (every command may be repeated). What is neither here nor in `joining.ts` and `presence.ts` is illegal.
 */

export type NewSession = Pick<
  OpenSession,
  'id' | 'clientId' | 'addressDigest' | 'senderCode' | 'tokenDigest' | 'profile' | 'ttlSeconds' | 'maxReceivers'
>

/** Shared by the sessions that nobody has joined. */
const NO_RECEIVERS: readonly Receiver[] = []
const NONE_FORGOTTEN: OpenSession['forgottenJoins'] = {}

export function openSession(
  { id, clientId, addressDigest, profile, senderCode, tokenDigest, ttlSeconds, maxReceivers }: NewSession,
  now: number,
): OpenSession {
  // Member by member: V8 keeps what comes after a spread outside of the object, and most sessions only wait.
  return {
    state: 'open',
    id,
    clientId,
    addressDigest,
    profile,
    senderCode,
    tokenDigest,
    ttlSeconds,
    maxReceivers,
    version: 1,
    expiresAt: now + ttlSeconds * 1000,
    joins: 0,
    retired: false,
    presence: undefined,
    attaches: 0,
    receivers: NO_RECEIVERS,
    forgottenJoins: NONE_FORGOTTEN,
  }
}

/** The sender decides about a receiver, once. The last approval that the session has room for retires the code. */
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
      if (decision === 'approved') return approve(open, receiver)
      return endReceiver(open, receiver, { state: 'denied', reason: decision })
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
    retired: session.retired || approvals + 1 >= session.maxReceivers,
  })
}

/** The receiver says it is done (when it was approved) or leaves (when it was not). */
export function leave(session: Session, channel: number, now: number): OpenSession {
  const open = requireOpen(session, now)
  const receiver = receiverOfChannel(open, channel)
  if (!isLive(receiver)) return open
  return endReceiver(open, receiver, { state: receiver.state === 'approved' ? 'done' : 'left' })
}

/** The sender takes an approval back. */
export function revoke(session: Session, receiverCode: string, now: number): OpenSession {
  const open = requireOpen(session, now)
  const receiver = requireReceiver(open, receiverCode)
  if (receiver.state === 'pending') throw new RelayError('not_approved')
  return isLive(receiver) ? endReceiver(open, receiver, { state: 'revoked' }) : open
}

/** No more joins. Receivers that have joined stay. */
export function retireCode(session: Session, now: number): OpenSession {
  const open = requireOpen(session, now)
  return open.retired ? open : changed(open, { retired: true })
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

function countApprovals(session: OpenSession): number {
  return session.receivers.filter((receiver) => receiver.state === 'approved' || receiver.state === 'done').length
}

function requireReceiver(session: OpenSession, receiverCode: string): Receiver {
  const receiver = session.receivers.find((each) => each.receiverCode === receiverCode)
  if (!receiver) throw new RelayError('receiver_not_found')
  return receiver
}

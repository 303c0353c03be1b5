import { EPITAPH_MS } from '../../protocol/limits.ts'
import type { CloseReason } from '../../protocol/view.ts'
import { RelayError } from '../errors.ts'
import {
  type ClosedSession,
  type Ending,
  isLive,
  type LiveReceiver,
  type OpenSession,
  type Receiver,
  receiverOf,
  type Session,
} from './session.ts'

/** Parts that the transitions of a session are made of. */

/** Ends a session whose time is up; any other stays as it is. */
export function expireIfDue(session: Session, now: number): Session {
  if (session.state === 'closed' || now < session.expiresAt) return session
  return closed(session, 'expired', session.expiresAt)
}

export function requireOpen(session: Session, now: number): OpenSession {
  if (session.state === 'closed' || now >= session.expiresAt) throw new RelayError('session_gone')
  return session
}

export function receiverOfChannel(session: OpenSession, channel: number): Receiver {
  const receiver = receiverOf(session, channel)
  if (!receiver) throw new RelayError('receiver_not_found')
  return receiver
}

export function endReceiver(
  session: OpenSession,
  { receiverCode, channel, tokenDigest, addressDigest }: LiveReceiver,
  ending: Ending,
): OpenSession {
  const ended = { receiverCode, channel, tokenDigest, addressDigest, ...ending }
  return changed(session, { receivers: replace(session, ended) })
}

export function replace(session: OpenSession, receiver: Receiver): readonly Receiver[] {
  return session.receivers.map((each) => (each.channel === receiver.channel ? receiver : each))
}

export function changed(session: OpenSession, change: Partial<OpenSession>): OpenSession {
  return Object.assign({ ...session }, change, { version: session.version + 1 })
}

export function closed(session: OpenSession, reason: CloseReason, at: number): ClosedSession {
  const { id, clientId, addressDigest, senderCode, tokenDigest, joins } = session
  const base = { id, clientId, addressDigest, senderCode, tokenDigest, joins, version: session.version + 1 }
  const receivers = session.receivers.map((receiver) => {
    if (!isLive(receiver)) return receiver
    const { receiverCode, channel, tokenDigest, state } = receiver
    return { receiverCode, channel, tokenDigest, state }
  })
  return { state: 'closed', ...base, reason, forgetAt: at + EPITAPH_MS, receivers }
}

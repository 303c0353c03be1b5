import { POLL_LEASE_MS } from '../../protocol/limits.ts'
import { changed, endReceiver, expireIfDue, receiverOfChannel, replace, requireOpen } from './changes.ts'
import {
  type Arrival,
  absenceDeadline,
  isLive,
  type LiveReceiver,
  liveReceiver,
  type OpenSession,
  type Party,
  type Presence,
  type Present,
  presenceOf,
  type Session,
} from './session.ts'

/** Transitions by which roles come and go, and what time does to those who stay away. */

/**
 * Records that a role attached. The new generation is in its presence; an older one of this role is superseded.
 * A channel whose two ends are not at one node is shared from then on, for good: going back would cost both ends a reconnect
 * each time, and where a balancer spreads sockets by turns they would meet and part without end.
 */
export function attach(session: Session, party: Party, arrival: Arrival, now: number): OpenSession {
  const open = requireOpen(session, now)
  const generation = open.attaches + 1
  const presence = { ...arrival, generation }
  if (party.role === 'sender') {
    const receivers = open.receivers.map((each) => (isLive(each) ? shared(each, presence, each.presence) : each))
    return changed(open, { presence, attaches: generation, receivers })
  }
  const receiver = receiverOfChannel(open, party.channel)
  if (!isLive(receiver)) return open
  const attaching = { ...receiver, presence, seenAt: now, attaches: receiver.attaches + 1 }
  const joined = shared(attaching, presence, open.presence)
  return changed(open, { attaches: generation, receivers: replace(open, joined) })
}

/** Shares a channel whose ends are not at one node. */
function shared(receiver: LiveReceiver, own: Presence, peer: Presence | undefined): LiveReceiver {
  const apart = own.via === 'http' || (peer !== undefined && (peer.via === 'http' || peer.node !== own.node))
  return apart && !receiver.shared ? { ...receiver, shared: true } : receiver
}

/** Records that a role attached over HTTP has asked again, if it is time to. */
export function stayAttached(session: Session, party: Party, now: number): Session {
  const settled = expireIfDue(session, now)
  const presence = presenceOf(settled, party)
  if (settled.state === 'closed' || presence?.via !== 'http') return settled
  if (presence.until - now > POLL_LEASE_MS / 2) return settled
  const renewed = withPresence(settled, party, { ...presence, until: now + POLL_LEASE_MS }, now)
  // Nobody sees a difference, unless it had counted as gone.
  return presence.until > now ? { ...renewed, version: settled.version } : renewed
}

/** Records that a role's socket is gone, unless a newer one has taken over. */
export function detach(session: Session, party: Party, generation: number, now: number): Session {
  const settled = expireIfDue(session, now)
  if (settled.state === 'closed' || presenceOf(settled, party)?.generation !== generation) return settled
  return withPresence(settled, party, undefined, now)
}

function withPresence(session: OpenSession, party: Party, presence: Presence | undefined, seenAt: number): OpenSession {
  if (party.role === 'sender') return changed(session, { presence })
  const receiver = receiverOfChannel(session, party.channel)
  return isLive(receiver)
    ? changed(session, { receivers: replace(session, { ...receiver, presence, seenAt }) })
    : session
}

/** Records that the sender has answered a pending receiver. Nobody sees a difference. */
export function answer(session: Session, channel: number): Session {
  const receiver = liveReceiver(session, channel)
  if (session.state === 'closed' || receiver?.state !== 'pending' || receiver.answered) return session
  return { ...session, receivers: replace(session, { ...receiver, answered: true }) }
}

/** Does what time alone does: ends what is over, and pending receivers that nobody answered and that stayed away. */
export function sweep(session: Session, now: number, isAlive: Present['isAlive'] = () => true): Session {
  let swept = expireIfDue(session, now)
  if (swept.state === 'closed') return swept
  for (const receiver of swept.receivers) {
    if (isLive(receiver) && now >= absenceDeadline(receiver)) swept = endAbsent(swept, receiver, { now, isAlive })
  }
  return swept
}

function endAbsent(session: OpenSession, receiver: LiveReceiver, { now, isAlive }: Present): OpenSession {
  const { presence, channel } = receiver
  if (presence?.via !== 'socket') return endReceiver(session, receiver, { state: 'left' })
  // A node that has died cannot say that its sockets are gone. Since when they are is not known.
  if (!isAlive(presence.node)) return withPresence(session, { role: 'receiver', channel }, undefined, now)
  return { ...session, receivers: replace(session, { ...receiver, seenAt: now }) }
}

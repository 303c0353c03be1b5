import { POLL_LEASE_MS } from '../../protocol/limits.ts'
import { changed, end, expireIfDue, receiverOfChannel, replace, requireOpen } from './changes.ts'
import {
  type Attached,
  absenceDeadline,
  attachedOf,
  type Holder,
  isLive,
  type LiveReceiver,
  liveReceiver,
  type OpenSession,
  OVER_HTTP,
  type Present,
  type Session,
} from './session.ts'

/** Transitions by which roles come and go, and what time does to those who stay away. */

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
  const attaching = { ...receiver, attached, seenAt: now, attaches: receiver.attaches + 1 }
  const joined = placed(attaching, attached, open.attached)
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
  const renewed = withAttached(settled, holder, { ...attached, until: now + POLL_LEASE_MS }, now)
  // Nobody sees a difference, unless it had counted as gone.
  return attached.until > now ? { ...renewed, version: settled.version } : renewed
}

/** Records that a role's socket is gone, unless a newer one has taken over. */
export function detach(session: Session, holder: Holder, generation: number, now: number): Session {
  const settled = expireIfDue(session, now)
  if (settled.state === 'closed' || attachedOf(settled, holder)?.generation !== generation) return settled
  return withAttached(settled, holder, undefined, now)
}

function withAttached(
  session: OpenSession,
  holder: Holder,
  attached: Attached | undefined,
  seenAt: number,
): OpenSession {
  if (holder.role === 'sender') return changed(session, { attached })
  const receiver = receiverOfChannel(session, holder.channel)
  return isLive(receiver)
    ? changed(session, { receivers: replace(session, { ...receiver, attached, seenAt }) })
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
  const { attached, channel } = receiver
  if (!attached || attached.until !== undefined) return end(session, receiver, 'left')
  // A node that has died cannot say that its sockets are gone. Since when they are is not known.
  if (!isAlive(attached.place)) return withAttached(session, { role: 'receiver', channel }, undefined, now)
  return { ...session, receivers: replace(session, { ...receiver, seenAt: now }) }
}

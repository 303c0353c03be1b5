import type { CloseReason } from '../protocol/view.ts'
import type { SessionStore } from '../relay/ports.ts'
import {
  type Arrival,
  type ClosedSession,
  isLive,
  type OpenSession,
  type Receiver,
  type Session,
} from '../relay/session/session.ts'

/** How a receiver's wait for the sender's decision ended, or what followed an approval. */
export type ReceiverOutcome =
  | 'approved'
  | 'rejected'
  | 'handshake_failed'
  | 'handshake_timeout'
  | 'handshake_invalid'
  | 'unsupported'
  | 'left'
  | 'done'
  | 'revoked'
  | 'session_ended'

/** The end of a session, without content, names or addresses. */
export interface SessionEnd {
  readonly sessionId: string
  readonly outcome: CloseReason
  readonly ms: number
  /** Receivers that were approved, and those of them that said that they are done. */
  readonly approved: number
  readonly done: number
  /** All joins. */
  readonly joins: number
}

/** Hears what happens to sessions, each once: at the node that made the change. Times in milliseconds. */
export interface SessionObserver {
  created(): void
  joined(): void
  /** `again`: the role had been attached before. */
  attached(via: Arrival['via'], again: boolean): void
  /** `ms`: since the receiver joined. */
  ended(outcome: ReceiverOutcome, ms: number): void
  closed(end: SessionEnd): void
}

/** A store that does what another does, and tells an observer of each change. */
export function observeSessions(store: SessionStore, observer: SessionObserver): SessionStore {
  return {
    findByCode: (code) => store.findByCode(code),
    get: (id) => store.get(id),
    delete: (id) => store.delete(id),
    due: () => store.due(),
    create: async (session, caps) => {
      await store.create(session, caps)
      observer.created()
    },
    update: async (id, change) => {
      let before: Session | undefined
      let at = 0
      const after = await store.update(id, (session, now) => {
        before = session
        at = now
        return change(session, now)
      })
      if (before !== undefined && before !== after) tell(observer, before, after, at)
      return after
    },
  }
}

function tell(observer: SessionObserver, before: Session, after: Session, now: number): void {
  if (before.state === 'closed') return
  for (let joins = before.joins; joins < after.joins; joins++) observer.joined()
  for (const receiver of before.receivers) {
    if (!isLive(receiver)) continue
    const next = after.receivers.find(({ channel }) => channel === receiver.channel)
    const outcome = outcomeOf(receiver.state, next, after)
    if (outcome) observer.ended(outcome, now - receiver.joinedAt)
  }
  if (after.state === 'closed') observer.closed(endOf(before, after, now))
  else if (after.attaches > before.attaches) tellAttach(observer, before, after)
}

function tellAttach(
  observer: SessionObserver,
  before: OpenSession,
  { attaches, presence, receivers }: OpenSession,
): void {
  if (presence?.generation === attaches) {
    // All attaches that were no receiver's were the sender's.
    const others = before.receivers.map((each) => (isLive(each) ? each.attaches : 0))
    return observer.attached(presence.via, before.attaches > others.reduce((sum, each) => sum + each, 0))
  }
  const receiver = receivers.filter(isLive).find((each) => each.presence?.generation === attaches)
  if (receiver?.presence) observer.attached(receiver.presence.via, receiver.attaches > 1)
}

/** A row that is gone was one that left. */
function outcomeOf(
  state: 'pending' | 'approved',
  next: Receiver | ClosedSession['receivers'][number] | undefined,
  after: Session,
): ReceiverOutcome | undefined {
  if (next === undefined) return 'left'
  if (next.state === 'denied') return next.reason
  if (next.state !== state) return next.state === 'pending' ? undefined : next.state
  return after.state === 'closed' ? 'session_ended' : undefined
}

function endOf(
  { id, expiresAt, ttlSeconds }: OpenSession,
  { reason, joins, receivers }: ClosedSession,
  now: number,
): SessionEnd {
  const count = (...states: string[]) => receivers.filter(({ state }) => states.includes(state)).length
  return {
    sessionId: id,
    outcome: reason,
    ms: Math.min(now, expiresAt) - (expiresAt - ttlSeconds * 1000),
    approved: count('approved', 'done', 'revoked'),
    done: count('done'),
    joins,
  }
}

import {
  ADDRESS_FAILURES_MAX,
  ADDRESS_JOINS_MAX,
  ADDRESS_PENDING_MAX,
  JOINS_EVER_MAX,
  PENDING_MAX,
  RECEIVER_ROWS_MAX,
} from '../../protocol/limits.ts'
import { CodeUsedUp, RelayError } from '../errors.ts'
import { changed, endReceiver } from './changes.ts'
import {
  countedOf,
  countsAsJoin,
  isJoinable,
  isLive,
  isPresent,
  type LiveReceiver,
  type OpenSession,
  type Present,
  payerOf,
  type Receiver,
  type Session,
} from './session.ts'

export type NewReceiver = Pick<
  LiveReceiver,
  'receiverCode' | 'tokenDigest' | 'publicKey' | 'profile' | 'name' | 'addressDigest'
>

/** Rules for a join beside the session itself. */
export interface JoinRules extends Pick<Present, 'isAlive'> {
  /** Limits how often one client address may wait and join. */
  readonly limitAddresses: boolean
}

/**
 * A receiver enters the code. Its channel is the number of joins so far plus one, never used again. Where PENDING_MAX wait, it
 * displaces one that nobody answered, if that one is away, or comes from a client address that joined no less often.
 */
export function join(
  session: Session,
  input: NewReceiver,
  now: number,
  rules: JoinRules = { isAlive: () => true, limitAddresses: true },
): OpenSession {
  // Answer alike for every code that does not work: nobody learns which codes once did.
  if (session.state === 'closed' || now >= session.expiresAt || !isJoinable(session))
    throw new RelayError('session_not_found')
  if (isBanned(session, input.addressDigest) || (rules.limitAddresses && hasHadEnough(session, input.addressDigest)))
    throw new CodeUsedUp()
  if (session.receivers.some((receiver) => receiver.receiverCode === input.receiverCode)) {
    throw new RelayError('receiver_code_in_use')
  }
  const open = makeRoom(session, input.addressDigest, { ...rules, now })
  const channel = open.joins + 1
  const { receiverCode, tokenDigest, publicKey, profile, name, addressDigest } = input
  const joined: LiveReceiver = {
    state: 'pending',
    receiverCode,
    tokenDigest,
    publicKey,
    profile,
    name,
    addressDigest,
    channel,
    answered: false,
    presence: undefined,
    attaches: 0,
    joinedAt: now,
    seenAt: now,
    shared: false,
  }
  const retired = open.retired || channel >= JOINS_EVER_MAX
  return forgetRow(changed(open, { joins: channel, retired, receivers: [...open.receivers, joined] }))
}

/** Reports whether a client address has spent its guesses: the code is then no code to it any more. */
function isBanned(session: OpenSession, addressDigest: string): boolean {
  const failed = receiversFrom(session, addressDigest).filter(
    (receiver) => receiver.state === 'denied' && receiver.reason === 'handshake_failed',
  )
  return failed.length >= ADDRESS_FAILURES_MAX
}

/** Reports whether a client address waits, unanswered, or has joined, as often as it may. */
function hasHadEnough(session: OpenSession, addressDigest: string): boolean {
  const waiting = receiversFrom(session, addressDigest)
    .filter(isLive)
    .filter(({ state, answered }) => state === 'pending' && !answered)
  const hasJoined = ([digest, factor]: readonly [string, number]) =>
    joinsFrom(session, digest) >= ADDRESS_JOINS_MAX * factor
  return waiting.length >= ADDRESS_PENDING_MAX || countedOf(addressDigest).some(hasJoined)
}

/** Receivers of one client address. Nobody's address is no address. */
function receiversFrom({ receivers }: OpenSession, addressDigest: string): readonly Receiver[] {
  return addressDigest === '' ? [] : receivers.filter((receiver) => receiver.addressDigest === addressDigest)
}

/** Joins of a client address, or of all of a wider network. */
function joinsFrom({ receivers, forgottenJoins }: OpenSession, counted: string): number {
  const isOf = (digest: string) => digest !== '' && (digest === counted || payerOf(digest) === counted)
  const forgotten = Object.entries(forgottenJoins).map(([digest, joins]) => (isOf(digest) ? joins : 0))
  return forgotten.reduce((sum, joins) => sum + joins, receivers.filter((each) => isOf(each.addressDigest)).length)
}

/** Ends a pending receiver where there are PENDING_MAX. RelayError `session_full` when none has to make way. */
function makeRoom(session: OpenSession, addressDigest: string, present: Present): OpenSession {
  const pending = session.receivers.filter(isLive).filter(({ state }) => state === 'pending')
  if (pending.length < PENDING_MAX) return session
  const unanswered = pending.filter(({ answered }) => !answered)
  const absent = unanswered.find(({ presence }) => !isPresent(presence, present))
  if (absent) return endReceiver(session, absent, { state: 'left' })
  const joins = unanswered.map((receiver) => joinsFrom(session, payerOf(receiver.addressDigest)))
  const most = Math.max(...joins)
  const displaced = unanswered[joins.indexOf(most)]
  if (!displaced || most < joinsFrom(session, payerOf(addressDigest))) throw new RelayError('session_full')
  return endReceiver(session, displaced, { state: 'left' })
}

/** Keeps the rows within a view: the oldest that does not count as a join goes. Its join still counts for its client address. */
function forgetRow(session: OpenSession): OpenSession {
  const { receivers, forgottenJoins } = session
  if (receivers.length <= RECEIVER_ROWS_MAX) return session
  const gone = receivers.find((receiver) => !countsAsJoin(receiver))
  if (!gone) return session
  const joins = (forgottenJoins[gone.addressDigest] ?? 0) + 1
  return {
    ...session,
    receivers: receivers.filter((receiver) => receiver !== gone),
    forgottenJoins: { ...forgottenJoins, [gone.addressDigest]: joins },
  }
}

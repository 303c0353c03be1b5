import { RelayError } from '../errors.ts'
import { attachNameOf, isLiveIn, type Party, partyOf, type Session } from './session.ts'

export interface Authorized {
  readonly session: Session
  readonly party: Party
}

/**
 * Finds the party whose token has this digest. RelayError `session_not_found`, `unauthorized`, or `forbidden` when another
 * role is asked for.
 */
export function authorize(session: Session | undefined, tokenDigest: string, role?: Party['role']): Authorized {
  if (!session) throw new RelayError('session_not_found')
  const party = partyOf(session, tokenDigest)
  if (!party) throw new RelayError('unauthorized')
  if (role && party.role !== role) throw new RelayError('forbidden')
  return { session, party }
}

/**
 * Refuses a call of an attach over HTTP that is not its role's present one, with `superseded`. A role that has ended is told that
 * instead.
 */
export function requireCurrent({ session, party }: Authorized, attachment: string | undefined): void {
  if (attachment === undefined || !isLiveIn(session, party)) return
  if (attachNameOf(session, party) !== attachment) throw new RelayError('superseded')
}

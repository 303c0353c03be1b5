import { RelayError } from '../errors.ts'
import type { Secrets, SessionStore } from '../ports.ts'
import { attachmentOf, type Holder, holderOf, isLiveIn, type Session } from './session.ts'

export interface Authorized {
  readonly session: Session
  readonly holder: Holder
}

/** Whose token this is. RelayError `session_not_found`, `unauthorized`, or `forbidden` when another role is asked for. */
export async function authorize(
  ports: { readonly sessions: SessionStore; readonly secrets: Secrets },
  sessionId: string,
  token: string,
  role?: Holder['role'],
): Promise<Authorized> {
  const session = await ports.sessions.get(sessionId)
  if (!session) throw new RelayError('session_not_found')
  const holder = holderOf(session, ports.secrets.digest(token))
  if (!holder) throw new RelayError('unauthorized')
  if (role && holder.role !== role) throw new RelayError('forbidden')
  return { session, holder }
}

/**
 * Refuses a call of an attach over HTTP that is not its role's present one, with `superseded`. Who has ended is told that
 * instead.
 */
export function requireCurrent({ session, holder }: Authorized, attachment: string | undefined): void {
  if (attachment === undefined || !isLiveIn(session, holder)) return
  if (attachmentOf(session, holder) !== attachment) throw new RelayError('superseded')
}

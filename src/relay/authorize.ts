import { RelayError } from './error.ts'
import type { Secrets, SessionStore } from './ports.ts'
import { type Holder, holderOf, type Session } from './session.ts'

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

import type { ChannelRow, ReceiverRow, View } from '../../protocol/view.ts'
import { isJoinable, isLive, isPresent, type Party, type Present, type Session } from './session.ts'

/** Parts of a view that its session does not have: the caller's channels, and the present. */
export interface ViewContext extends Present {
  readonly channels: readonly ChannelRow[]
  /** Counts changes of its windows that no change of the session has brought. */
  readonly windowsVersion: number
}

/** The view of a session that a role gets, ≤ VIEW_MAX_BYTES by the limits on its parts. */
export function viewOf(session: Session, party: Party, context: ViewContext): View {
  const { channels, now } = context
  const open = session.state === 'open'
  const mine = session.receivers.filter((each) => party.role === 'sender' || each.channel === party.channel)
  return {
    type: 'session',
    version: versionOf(session, context.windowsVersion),
    role: party.role,
    state: session.state,
    ...(open ? {} : { reason: session.reason }),
    expiresInMs: open ? Math.max(0, Math.ceil(session.expiresAt - now)) : 0,
    joinable: isJoinable(session),
    ...(party.role === 'receiver' ? { senderPresent: open && isPresent(session.presence, context) } : {}),
    receivers: mine.map((receiver) => rowOf(receiver, context)),
    channels: [...channels],
  }
}

/** The version of a view: equal for equal views of a session. */
export function versionOf({ state, version }: Session, windowsVersion: number): string {
  return state === 'open' && windowsVersion > 0 ? `${version}.${windowsVersion}` : String(version)
}

function rowOf(receiver: Session['receivers'][number], context: ViewContext): ReceiverRow {
  const { receiverCode, channel, state } = receiver
  const row = { receiverCode, channel, state, ...('reason' in receiver ? { reason: receiver.reason } : {}) }
  if (!isLive(receiver)) return row
  const { publicKey, profile, name } = receiver
  return {
    ...row,
    publicKey,
    profile,
    ...(name === undefined ? {} : { name }),
    present: isPresent(receiver.presence, context),
  }
}

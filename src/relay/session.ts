import type { CloseReason } from '../protocol/frames.ts'
import type { DenialReason } from '../protocol/http.ts'

/** A session is a value; `transitions.ts` has what can happen to it. Times are the store's monotonic milliseconds. */
export type Session = OpenSession | ClosedSession

interface SessionBase {
  readonly id: string
  readonly clientId: string
  readonly senderCode: string
  /** SHA-256 of the sender's token. */
  readonly tokenDigest: string
  /** Counts changes. */
  readonly version: number
}

export interface OpenSession extends SessionBase {
  readonly state: 'open'
  readonly maxReceivers: number
  readonly ttlSeconds: number
  readonly expiresAt: number
  /** Whether the code still takes joins. A code is used up by removal; there is no way back. */
  readonly joinable: boolean
  /** The generation of the sender's attached socket, 0 when there is none. */
  readonly attachment: number
  /** Attaches of any role so far: the source of generations. */
  readonly attaches: number
  /** In order of their channels: the receiver of channel n is number n − 1, for ever. */
  readonly receivers: readonly Receiver[]
}

/** What the epitaph says, for one minute after the end. */
export interface ClosedSession extends SessionBase {
  readonly state: 'closed'
  readonly reason: CloseReason
  readonly forgetAt: number
  readonly receivers: readonly (EndedReceiver | ClosedReceiver)[]
}

interface ReceiverBase {
  readonly receiverCode: string
  readonly channel: number
  readonly tokenDigest: string
}

/** A receiver with a channel that carries frames. */
export interface LiveReceiver extends ReceiverBase {
  readonly state: 'pending' | 'approved'
  readonly publicKey: string
  readonly name: string | undefined
  readonly attachment: number
}

/** A row without key and name. */
export type EndedReceiver =
  | (ReceiverBase & { readonly state: 'denied'; readonly reason: DenialReason })
  | (ReceiverBase & { readonly state: 'done' | 'left' | 'revoked' })

/** A receiver that was live when its session ended. */
export interface ClosedReceiver extends ReceiverBase {
  readonly state: 'pending' | 'approved'
}

export type Receiver = LiveReceiver | EndedReceiver

/** Who a token belongs to. */
export type Holder = { readonly role: 'sender' } | { readonly role: 'receiver'; readonly channel: number }

/** The generation of the socket a role has attached, 0 for none. */
export function attachmentOf(session: Session, holder: Holder): number {
  if (session.state === 'closed') return 0
  if (holder.role === 'sender') return session.attachment
  const receiver = session.receivers[holder.channel - 1]
  return receiver && isLive(receiver) ? receiver.attachment : 0
}

/** Whose token has this digest. */
export function holderOf(session: Session, tokenDigest: string): Holder | undefined {
  if (session.tokenDigest === tokenDigest) return { role: 'sender' }
  const receiver = session.receivers.find((each) => each.tokenDigest === tokenDigest)
  return receiver && { role: 'receiver', channel: receiver.channel }
}

export function isLive(receiver: Receiver | ClosedReceiver): receiver is LiveReceiver {
  return 'publicKey' in receiver
}

/** The receiver of a channel if the channel carries frames: the session is open and the receiver pending or approved. */
export function liveReceiver(session: Session, channel: number): LiveReceiver | undefined {
  if (session.state === 'closed') return undefined
  const receiver = session.receivers[channel - 1]
  return receiver && isLive(receiver) ? receiver : undefined
}

/** When something must happen to this session by itself. */
export function deadlineOf(session: Session): number {
  return session.state === 'open' ? session.expiresAt : session.forgetAt
}

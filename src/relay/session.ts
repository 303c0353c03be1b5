import type { CloseReason } from '../protocol/frames.ts'
import type { DenialReason } from '../protocol/http.ts'

/** A session is a value; `transitions.ts` has what can happen to it. Times are the store's monotonic milliseconds. */
export type Session = OpenSession | ClosedSession

/** The place of a role that asks over HTTP instead of holding a socket: any node may be asked. */
export const OVER_HTTP = 'http'

/** How a role is attached. */
export interface Attached {
  /** Higher than any before in this session. */
  readonly generation: number
  /** The id of the node that has its socket, or OVER_HTTP. */
  readonly place: string
  /** Over HTTP alone: when it counts as gone, unless it asks again. */
  readonly until?: number
}

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
  /** Where the sender is reached, if it is. */
  readonly attached: Attached | undefined
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
  /** Whom it came from: equal for what came from one source, and nothing that can be read. */
  readonly source: string
  readonly attached: Attached | undefined
  /** How often it has attached. */
  readonly attaches: number
  /** Whether its frames go where every node reaches them. Once they do, they always do: see `transitions.attach`. */
  readonly shared: boolean
}

/** A row without key and name. */
export type EndedReceiver =
  | (ReceiverBase & { readonly state: 'denied'; readonly reason: DenialReason; readonly source: string })
  | (ReceiverBase & { readonly state: 'done' | 'left' | 'revoked' })

/** A receiver that was live when its session ended. */
export interface ClosedReceiver extends ReceiverBase {
  readonly state: 'pending' | 'approved'
}

export type Receiver = LiveReceiver | EndedReceiver

/** Who a token belongs to. */
export type Holder = { readonly role: 'sender' } | { readonly role: 'receiver'; readonly channel: number }

export function isSameHolder(one: Holder, other: Holder): boolean {
  if (one.role === 'sender' || other.role === 'sender') return one.role === other.role
  return one.channel === other.channel
}

/** How a role is attached now, if it is. */
export function attachedOf(session: Session, holder: Holder): Attached | undefined {
  if (session.state === 'closed') return undefined
  if (holder.role === 'sender') return session.attached
  const receiver = session.receivers[holder.channel - 1]
  return receiver && isLive(receiver) ? receiver.attached : undefined
}

/** The name of a role's present attach. */
export function attachmentOf(session: Session, holder: Holder): string {
  return String(attachedOf(session, holder)?.generation ?? 0)
}

/** Whose token has this digest. */
export function holderOf(session: Session, tokenDigest: string): Holder | undefined {
  if (session.tokenDigest === tokenDigest) return { role: 'sender' }
  const receiver = session.receivers.find((each) => each.tokenDigest === tokenDigest)
  return receiver && { role: 'receiver', channel: receiver.channel }
}

/** Whether a role attaches for the first time: nothing of its own can have been acked. Of the sender that is not kept. */
export function isFirstAttach(session: Session, holder: Holder): boolean {
  return holder.role === 'receiver' && liveReceiver(session, holder.channel)?.attaches === 1
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

/** Whether a role can still attach to something: the session is open, and a receiver has not ended. */
export function isLiveIn(session: Session, holder: Holder): boolean {
  return session.state === 'open' && (holder.role === 'sender' || liveReceiver(session, holder.channel) !== undefined)
}

/** When something must happen to this session by itself. */
export function deadlineOf(session: Session): number {
  return session.state === 'open' ? session.expiresAt : session.forgetAt
}

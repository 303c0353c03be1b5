import type { DenialReason } from '../../protocol/fields.ts'
import { JOINS_MAX, PENDING_ABSENT_MS } from '../../protocol/limits.ts'
import type { CloseReason } from '../../protocol/view.ts'

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
  /** A keyed digest of the client address that created it. */
  readonly source: string
  readonly senderCode: string
  /** SHA-256 of the sender's token. */
  readonly tokenDigest: string
  /** Counts changes that somebody can see. */
  readonly version: number
  /** Joins so far: the highest number of a channel. */
  readonly joins: number
}

export interface OpenSession extends SessionBase {
  readonly state: 'open'
  readonly profile: string
  readonly maxReceivers: number
  readonly ttlSeconds: number
  readonly expiresAt: number
  /** Set when the code is retired, by its sender, the last approval or the last join of all. There is no way back. */
  readonly retired: boolean
  /** Where the sender is reached, if it is. */
  readonly attached: Attached | undefined
  /** Attaches of any role so far: the source of generations. */
  readonly attaches: number
  /** In order of their channels. */
  readonly receivers: readonly Receiver[]
  /** Joins by source of receivers whose rows are gone. */
  readonly forgottenJoins: Readonly<Record<string, number>>
}

/** The content of an epitaph. */
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
  /** A keyed digest of the client address that it came from. Empty for one that nothing counts. */
  readonly source: string
}

/** A receiver with a channel that carries frames. */
export interface LiveReceiver extends ReceiverBase {
  readonly state: 'pending' | 'approved'
  readonly publicKey: string
  readonly profile: string
  readonly name: string | undefined
  /** Set when the sender's last frame of a handshake is there: this receiver makes way for nobody any more. */
  readonly answered: boolean
  readonly attached: Attached | undefined
  /** When it joined, or was last seen to come, to go, or to hold a socket. */
  readonly seenAt: number
  /** How often it has attached. */
  readonly attaches: number
  /** Whether its frames go where every node reaches them. Once they do, they always do: see `transitions.attach`. */
  readonly shared: boolean
}

/** A row without key and name. */
export type EndedReceiver =
  | (ReceiverBase & { readonly state: 'denied'; readonly reason: DenialReason })
  | (ReceiverBase & { readonly state: 'done' | 'left' | 'revoked' })

/** A receiver that was live when its session ended. */
export interface ClosedReceiver extends Omit<ReceiverBase, 'source'> {
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
  return liveReceiver(session, holder.channel)?.attached
}

/** The present: a time in milliseconds, and the nodes that live. */
export interface Present {
  readonly now: number
  readonly isAlive: (node: string) => boolean
}

/** Reports whether a role that attached like this is there. */
export function isPresent(attached: Attached | undefined, { now, isAlive }: Present): boolean {
  if (!attached) return false
  return attached.place === OVER_HTTP ? now < (attached.until ?? now) : isAlive(attached.place)
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

/** Reports whether a receiver is attached for the first time: nothing of its own can have been acked. */
export function isFirstAttach(session: Session, holder: Holder): boolean {
  return holder.role === 'receiver' && liveReceiver(session, holder.channel)?.attaches === 1
}

export function isLive(receiver: Receiver | ClosedReceiver): receiver is LiveReceiver {
  return 'publicKey' in receiver
}

/** The receiver of a channel if the channel carries frames: the session is open and the receiver pending or approved. */
export function liveReceiver(session: Session, channel: number): LiveReceiver | undefined {
  if (session.state === 'closed') return undefined
  const receiver = receiverOf(session, channel)
  return receiver && isLive(receiver) ? receiver : undefined
}

/** The row of a channel, unless it is gone. Until one has gone, the row of channel n is number n − 1. */
export function receiverOf<T extends { readonly channel: number }>(
  { receivers }: { readonly receivers: readonly T[] },
  channel: number,
): T | undefined {
  const expected = receivers[channel - 1]
  return expected?.channel === channel ? expected : receivers.find((receiver) => receiver.channel === channel)
}

/** Reports whether a receiver has a row: without a place it makes way for others at some time. */
export function hasRow({ receivers }: Session, channel: number): boolean {
  return receivers.some((receiver) => receiver.channel === channel)
}

/** Reports whether a receiver holds a place of JOINS_MAX: it waits, was approved, or spent a guess or a person's attention. */
export function holdsPlace(receiver: Receiver): boolean {
  if (receiver.state === 'denied') return receiver.reason === 'rejected' || receiver.reason === 'handshake_failed'
  return receiver.state !== 'left'
}

/** Reports whether the code takes joins. */
export function isJoinable(session: Session): boolean {
  return session.state === 'open' && !session.retired && session.receivers.filter(holdsPlace).length < JOINS_MAX
}

/** When a receiver has to be looked at: it may have been away for too long, or its node may have died. */
export function absenceDeadline(receiver: Receiver): number {
  if (receiver.state !== 'pending' || receiver.answered) return Number.POSITIVE_INFINITY
  return (receiver.attached?.until ?? receiver.seenAt) + PENDING_ABSENT_MS
}

/** Reports whether a role can still attach to something: the session is open, and a receiver has not ended. */
export function isLiveIn(session: Session, holder: Holder): boolean {
  return session.state === 'open' && (holder.role === 'sender' || liveReceiver(session, holder.channel) !== undefined)
}

/** When something must happen to this session by itself. */
export function deadlineOf(session: Session): number {
  if (session.state === 'closed') return session.forgetAt
  return Math.min(session.expiresAt, ...session.receivers.map(absenceDeadline))
}

/** Stands in a source between a wider network and the part of it that is counted. */
export const WITHIN = '|'

/** Who pays for the memory of a source: the wider network that it is part of, if it is of one. */
export function payerOf(source: string): string {
  const [payer = ''] = source.split(WITHIN)
  return payer
}

import type { DenialReason } from '../../protocol/fields.ts'
import { JOINS_MAX, PENDING_ABSENT_MS } from '../../protocol/limits.ts'
import type { CloseReason } from '../../protocol/view.ts'

/** A session is a value; the transitions beside it are what can happen to it. Times are the store's monotonic milliseconds. */
export type Session = OpenSession | ClosedSession

/** A role that attaches: with a socket, which one node has, or over HTTP, where any node may be asked. */
export type Arrival =
  | { readonly via: 'socket'; readonly node: string }
  /** `until`: when it counts as gone, unless it asks again. */
  | { readonly via: 'http'; readonly until: number }

/** How a role is attached. Its generation is higher than any before in this session. */
export type Presence = Arrival & { readonly generation: number }

interface SessionBase {
  readonly id: string
  readonly clientId: string
  /** A keyed digest of the client address that created it. */
  readonly addressDigest: string
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
  /** How the sender is attached, if it is. */
  readonly presence: Presence | undefined
  /** Attaches of any role, counted: each is a generation. */
  readonly attaches: number
  /** In order of their channels. */
  readonly receivers: readonly Receiver[]
  /** Joins by client address of receivers whose rows are gone. */
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
  readonly addressDigest: string
}

/** A receiver with a channel that carries frames. */
export interface LiveReceiver extends ReceiverBase {
  readonly state: 'pending' | 'approved'
  readonly publicKey: string
  readonly profile: string
  readonly name: string | undefined
  /** Set when the sender's last frame of a handshake is there: this receiver makes way for nobody any more. */
  readonly answered: boolean
  readonly presence: Presence | undefined
  readonly joinedAt: number
  /** When it joined, or was last seen to come, to go, or to hold a socket. */
  readonly seenAt: number
  /** How often it has attached. */
  readonly attaches: number
  /** Set once its frames go where every node reaches them, and never unset: see `attach`. */
  readonly shared: boolean
}

/** How a receiver has ended. */
export type Ending =
  | { readonly state: 'denied'; readonly reason: DenialReason }
  | { readonly state: 'done' | 'left' | 'revoked' }

/** A row without key and name. */
export type EndedReceiver = ReceiverBase & Ending

/** A receiver that was live when its session ended. */
export interface ClosedReceiver extends Omit<ReceiverBase, 'addressDigest'> {
  readonly state: 'pending' | 'approved'
}

export type Receiver = LiveReceiver | EndedReceiver

/** A role of a session, as its token names it. */
export type Party = { readonly role: 'sender' } | { readonly role: 'receiver'; readonly channel: number }

export const SENDER: Party = { role: 'sender' }

export function isSameParty(one: Party, other: Party): boolean {
  if (one.role === 'sender' || other.role === 'sender') return one.role === other.role
  return one.channel === other.channel
}

/** How a role is attached now, if it is. */
export function presenceOf(session: Session, party: Party): Presence | undefined {
  if (session.state === 'closed') return undefined
  if (party.role === 'sender') return session.presence
  return liveReceiver(session, party.channel)?.presence
}

/** The present: a time in milliseconds, and the nodes that live. */
export interface Present {
  readonly now: number
  readonly isAlive: (node: string) => boolean
}

/** Reports whether a role that attached like this is there. */
export function isPresent(presence: Presence | undefined, { now, isAlive }: Present): boolean {
  if (!presence) return false
  return presence.via === 'http' ? now < presence.until : isAlive(presence.node)
}

/** The name of a role's present attach. */
export function attachNameOf(session: Session, party: Party): string {
  return String(presenceOf(session, party)?.generation ?? 0)
}

/** Finds the party whose token has this digest. */
export function partyOf(session: Session, tokenDigest: string): Party | undefined {
  if (session.tokenDigest === tokenDigest) return SENDER
  const receiver = session.receivers.find((each) => each.tokenDigest === tokenDigest)
  return receiver && { role: 'receiver', channel: receiver.channel }
}

/** Reports whether a receiver is attached for the first time: nothing of its own can have been acked. */
export function isFirstAttach(session: Session, party: Party): boolean {
  return party.role === 'receiver' && liveReceiver(session, party.channel)?.attaches === 1
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

/** The row of a channel. Until one that does not count as a join has made room, that of channel n is number n − 1. */
export function receiverOf<T extends { readonly channel: number }>(
  { receivers }: { readonly receivers: readonly T[] },
  channel: number,
): T | undefined {
  const expected = receivers[channel - 1]
  return expected?.channel === channel ? expected : receivers.find((receiver) => receiver.channel === channel)
}

/** Reports whether a receiver counts against JOINS_MAX: it waits, was approved, or spent a guess or a person's attention. */
export function countsAsJoin(receiver: Receiver): boolean {
  if (receiver.state === 'denied') return receiver.reason === 'rejected' || receiver.reason === 'handshake_failed'
  return receiver.state !== 'left'
}

/** Reports whether the code takes joins. */
export function isJoinable(session: Session): boolean {
  return session.state === 'open' && !session.retired && session.receivers.filter(countsAsJoin).length < JOINS_MAX
}

/** When a receiver has to be looked at: it may have been away for too long, or its node may have died. */
export function absenceDeadline(receiver: Receiver): number {
  if (receiver.state !== 'pending' || receiver.answered) return Number.POSITIVE_INFINITY
  const { presence, seenAt } = receiver
  return (presence?.via === 'http' ? presence.until : seenAt) + PENDING_ABSENT_MS
}

/** Reports whether a role can still attach to something: the session is open, and a receiver has not ended. */
export function isLiveIn(session: Session, party: Party): boolean {
  return session.state === 'open' && (party.role === 'sender' || liveReceiver(session, party.channel) !== undefined)
}

/** When something must happen to this session by itself. */
export function deadlineOf(session: Session): number {
  if (session.state === 'closed') return session.forgetAt
  return Math.min(session.expiresAt, ...session.receivers.map(absenceDeadline))
}

/** Stands in a client address, and in its digest, between a wider network and the part of it that is counted. */
export const WITHIN = '|'

/** A wider network, such as an IPv6 /48, may have so many times as much as a client address of it. */
export const WIDER_FACTOR = 8

/** Digests that limits count for an address digest, each with a factor of its limits: itself, and the wider network. */
export function countedOf(addressDigest: string): readonly (readonly [digest: string, factor: number])[] {
  if (addressDigest === '') return []
  const payer = payerOf(addressDigest)
  const own = [addressDigest, 1] as const
  return payer === addressDigest ? [own] : [own, [payer, WIDER_FACTOR]]
}

/** The part of an address digest that pays for memory: the wider network, where the address is of one. */
export function payerOf(addressDigest: string): string {
  const [payer = ''] = addressDigest.split(WITHIN)
  return payer
}

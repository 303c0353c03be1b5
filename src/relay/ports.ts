import type { CloseErrorCode } from '../protocol/errors.ts'
import type { Awaitable } from './awaitable.ts'
import type { Bytes } from './pieces.ts'
import type { OpenSession, Session } from './session/session.ts'

/** Ports of the domain to the world. Small on purpose; every store passes one contract suite. */

/** A monotonic clock in whole milliseconds, so that sums are exact. Its zero means nothing; it never reaches the wire. */
export interface Clock {
  now(): number
}

/** Everything random or hashed. Digests are what the relay keeps of a token. */
export interface Secrets {
  /** A fresh session id: 16 random bytes as 22 base64url characters. */
  sessionId(): string
  /** A fresh bearer token (256 bits, base64url). */
  token(): string
  /** SHA-256 of a token. Equal tokens, and only those, have equal digests. */
  digest(token: string): string
}

export interface SessionCaps {
  /** All sessions held, epitaphs included. */
  readonly sessions: number
  /** Open sessions of one client id. */
  readonly sessionsPerClient: number
  /** Open sessions that one client address created. Nobody's are not counted. */
  readonly sessionsPerAddress: number
}

export interface SessionStore {
  /** Adds a session. RelayError `code_in_use`, `too_many_sessions` or `at_capacity`, and then nothing has changed. */
  create(session: OpenSession, caps: SessionCaps): Promise<void>
  /** The session whose sender code this is, open or in its epitaph. */
  findByCode(senderCode: string): Promise<Session | undefined>
  get(sessionId: string): Promise<Session | undefined>
  /**
   * Replaces a session by `change(session, now)`. `change` is synchronous and pure: a store may run it more than once,
   * each time with a fresh `now`. What it throws is thrown on, and nothing has changed. RelayError `session_not_found`
   * when there is no such session.
   */
  update(sessionId: string, change: (session: Session, now: number) => Session): Promise<Session>
  delete(sessionId: string): Promise<void>
  /** Ids of the sessions whose next deadline (end, or end of the epitaph) has passed. */
  due(): Promise<readonly string[]>
}

/** A direction of a channel. */
export type Direction = 's2r' | 'r2s'
export type MailboxKey = `${string}/${number}/${Direction}`

/** Positions of a mailbox: every frame ≤ `received` arrived here, every frame ≤ `acked` was processed by the reader. */
export interface MailboxPosition {
  readonly received: number
  readonly acked: number
}

export interface StoredFrame {
  readonly seq: number
  /** The whole frame as it arrived, header included: it is relayed as it is. */
  readonly bytes: Bytes
}

export type AppendOutcome =
  | {
      readonly kind: 'stored' | 'duplicate' | 'gap' | 'full'
      readonly position: MailboxPosition
      readonly unackedCost: number
    }
  | { readonly kind: 'unknown' }

export type AckOutcome =
  | { readonly kind: 'raised' | 'unchanged'; readonly position: MailboxPosition }
  | { readonly kind: 'unknown' }

/**
 * Unacknowledged frames. A cache: the truth is in the SDKs, so a store may forget a mailbox at any time and answers
 * `unknown` from then on, until an attach opens it again.
 */
export interface MailboxStore {
  /**
   * Opens the mailbox after `floor` where it is not, and says so in `created`. One that is there changes nothing: a floor is a
   * claim, and no ack. It may be forgotten after `keepMs` milliseconds, and a store that outlives this process then does so by
   * itself.
   */
  open(
    key: MailboxKey,
    floor: number,
    keepMs: number,
  ): Awaitable<{ readonly created: boolean; readonly position: MailboxPosition }>
  /** Keeps the next frame, if its seq is next and its cost fits `window`; otherwise says why not and changes nothing. */
  append(key: MailboxKey, frame: StoredFrame, window: number): Awaitable<AppendOutcome>
  /** Forgets the frames ≤ seq. A seq above what was received raises both; a lower one changes nothing. */
  ackThrough(key: MailboxKey, seq: number): Awaitable<AckOutcome>
  /** The first frame held with a seq above `after`. */
  read(key: MailboxKey, after: number): Awaitable<StoredFrame | undefined>
  position(key: MailboxKey): Awaitable<MailboxPosition | undefined>
  drop(keys: readonly MailboxKey[]): Awaitable<void>
}

/** News of a session: where to look. */
export type Wake =
  | { readonly about: 'session' }
  /** Frames came in on this direction of a shared channel. */
  | { readonly about: 'frames'; readonly channel: number; readonly direction: Direction }
  /** Frames of this direction of a shared channel were acked. */
  | { readonly about: 'ack'; readonly channel: number; readonly direction: Direction; readonly seq: number }

export interface BusListener {
  /** `here`: this node said it, which is heard in the turn it is said, and for `session` alone. */
  woken(sessionId: string, wake: Wake, here: boolean): void
  /** Wakes may have been missed: everything has to be looked at. */
  missed(): void
}

/** Wakes whoever looks at a session, on every node. A lost message costs latency, never data. */
export interface Bus {
  wake(sessionId: string, wake: Wake): void
  subscribe(listener: BusListener): void
}

/** Ports of a relay of several nodes. A relay that is alone has no such thing. */
export interface Cluster {
  /** This node's id, new with each start of its process. */
  readonly node: string
  /** Where frames go when the two ends of a channel are not at one node. */
  readonly mailboxes: MailboxStore
  /** Reports whether a node has said in the last few seconds that it lives. */
  isAlive(node: string): boolean
  /** Set while the store answers. */
  readonly isReachable: boolean
  /** Once a second: says that this node lives, and learns which others do. Resolves with whether that has changed. */
  beat(): Promise<boolean>
  /** Says that this node is about to end. */
  leave(): Promise<void>
}

/** Tells which nodes live. A relay that is alone has no dead ones. */
export function livingIn(cluster: Cluster | undefined): (node: string) => boolean {
  return (node) => cluster?.isAlive(node) ?? true
}

/** The transport as the domain sees it. */
export interface PeerSocket {
  /** Sends text or bytes, in order. `congested`: it was taken, but nothing more should be sent before the drain. */
  send(data: string | Bytes): 'sent' | 'congested'
  ping(): void
  /** Closes with the code and reason of the error table. Frames sent before go out first. */
  close(code: CloseErrorCode): void
  /** Cuts the connection, with nothing more said. */
  destroy(): void
}

/** Reasons to discard a frame. */
export type Discard = 'channel_ended' | 'duplicate'
export interface Diagnostics {
  discarded(reason: Discard): void
  /** A data frame of so many bytes was taken. */
  relayed(bytes: number): void
  /** Something failed that no client caused. */
  failed(error: unknown): void
}

/** All ports of the domain. */
export interface RelayPorts {
  readonly sessions: SessionStore
  readonly mailboxes: MailboxStore
  readonly bus: Bus
  readonly clock: Clock
  readonly secrets: Secrets
  readonly diagnostics: Diagnostics
  /** A keyed digest of a client address, which is empty for nobody's. */
  readonly digestAddress: (clientAddress: string) => string
  /** Present in a relay of several nodes; the stores and the bus are then those of all nodes. */
  readonly cluster?: Cluster | undefined
}

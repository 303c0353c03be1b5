import { HANDSHAKE_WINDOW_BYTES } from '../../protocol/limits.ts'
import type { ChannelRow } from '../../protocol/view.ts'
import { type Awaitable, after } from '../awaitable.ts'
import type { Attachment } from '../live/leg.ts'
import {
  type Clock,
  type Cluster,
  type Direction,
  livingIn,
  type MailboxKey,
  type MailboxPosition,
  type MailboxStore,
} from '../ports.ts'
import { attachedOf, type Holder, liveReceiver, OVER_HTTP, type Present, type Session } from '../session/session.ts'
import { channelsOf, inbound, mailboxKey, outbound } from '../session/view.ts'
import type { Windows } from './windows.ts'

export interface ChannelsPorts {
  readonly mailboxes: MailboxStore
  readonly windows: Windows
  readonly clock: Clock
  readonly cluster: Cluster | undefined
  /** The largest a window grows, in bytes of frame cost. */
  readonly windowBytes: number
  /** The largest frame, header included. */
  readonly maxFrameBytes: number
}

/** Where a direction is that nobody has used. */
const NOWHERE: MailboxPosition = { received: 0, acked: 0 }
const DIRECTIONS = ['s2r', 'r2s'] as const satisfies readonly Direction[]
/** The window of a writer over HTTP where any node may be asked: this many full frames. It does not grow. */
const HTTP_WINDOW_FRAMES = 4

/**
 * The mailboxes of a node's channels: in its own memory, or where every node reaches them when the two ends are at
 * different places; and the windows that this node grants them.
 */
export class Channels {
  readonly #ports: ChannelsPorts
  /** Channels that were opened in this node's memory, by session: also those that have been given up while they were being opened. */
  readonly #opened = new Map<string, Set<number>>()

  constructor(ports: ChannelsPorts) {
    this.#ports = ports
  }

  get maxFrameBytes(): number {
    return this.#ports.maxFrameBytes
  }

  /** Whether this channel's frames are where other nodes reach them. */
  isShared(session: Session, channel: number): boolean {
    return this.#ports.cluster !== undefined && liveReceiver(session, channel)?.shared === true
  }

  storeOf(session: Session, channel: number): MailboxStore {
    const { cluster, mailboxes } = this.#ports
    return cluster && this.isShared(session, channel) ? cluster.mailboxes : mailboxes
  }

  /**
   * Opens both directions of a role's channel. Where one was not there (`forgotten`) it begins where the client says that it is;
   * in one that is there, the client's word counts for what it has read alone: as a writer it would ack its own frames.
   */
  async open(
    session: Session,
    holder: Holder,
    channel: number,
    { received, acked }: { readonly received: number; readonly acked: number },
  ): Promise<{ readonly forgotten: boolean; readonly into: MailboxPosition; readonly out: MailboxPosition }> {
    const mailboxes = this.storeOf(session, channel)
    // Not to the absence deadline of a receiver that waits: a transfer outlives that.
    const end = session.state === 'open' ? session.expiresAt : session.forgetAt
    const keepMs = Math.max(1, end - this.#ports.clock.now())
    const out = await mailboxes.open(mailboxKey(session.id, channel, outbound(holder)), acked, keepMs)
    const inboundKey = mailboxKey(session.id, channel, inbound(holder))
    const into = await mailboxes.open(inboundKey, received, keepMs)
    const read = into.position.acked < received ? await mailboxes.ackThrough(inboundKey, received) : undefined
    if (mailboxes === this.#ports.mailboxes) {
      this.#opened.set(session.id, (this.#opened.get(session.id) ?? new Set()).add(channel))
    }
    const position = read && read.kind !== 'unknown' ? read.position : into.position
    return { forgotten: out.created || into.created, into: position, out: out.position }
  }

  /** Begins to grant windows to a channel, if this node does not yet. */
  enter(session: Session, channel: number): void {
    this.#ports.windows.enter(session, channel, this.#present)
  }

  /** Brings the windows of a session in line with who is there. Says whether one changed. */
  settle(session: Session): boolean {
    return this.#ports.windows.settle(session, this.#present)
  }

  /** Doubles a role's outbound window that the next full frame would not fit into, as long as there is room. Says whether it did. */
  grow(session: Session, holder: Holder, channel: number, unackedCost: number): boolean {
    if (this.#mayWriteAnywhere(session, holder)) return false
    return this.#ports.windows.grow(session.id, channel, outbound(holder), unackedCost)
  }

  /** The cost that may be unacknowledged on a role's outbound direction. */
  windowOf(session: Session, holder: Holder, channel: number): number {
    const { windows, cluster, windowBytes, maxFrameBytes } = this.#ports
    const granted = windows.windowOf(session.id, channel, outbound(holder))
    if (!cluster) return granted ?? 0
    const overHttp = this.#mayWriteAnywhere(session, holder)
    if (granted !== undefined && !overHttp) return granted
    if (liveReceiver(session, channel)?.state !== 'approved') return HANDSHAKE_WINDOW_BYTES
    return overHttp ? Math.min(windowBytes, HTTP_WINDOW_FRAMES * maxFrameBytes) : maxFrameBytes
  }

  /** Counts the changes of a session's windows for the version of its views. Several nodes would count differently: there it stays 0. */
  windowsVersionOf(session: Session): number {
    return this.#ports.cluster ? 0 : this.#ports.windows.changesOf(session.id)
  }

  get #present(): Present {
    return { now: this.#ports.clock.now(), isAlive: livingIn(this.#ports.cluster) }
  }

  /** Whether each node must promise a role the same, whatever it has granted for the other end's socket. */
  #mayWriteAnywhere(session: Session, holder: Holder): boolean {
    return this.#ports.cluster !== undefined && attachedOf(session, holder)?.place === OVER_HTTP
  }

  /**
   * The rows of a socket's outbound directions that are open, as they are now. Undefined when a store does not have what it
   * had: the channel has ended, or the client has to resume.
   */
  async openRows(attached: Attachment): Promise<ChannelRow[] | undefined> {
    const { session, holder } = attached
    const rows = await Promise.all(
      channelsOf(session, holder).map(async (channel) => {
        const open = attached.channels?.get(channel)
        if (!open) return []
        const known = open.received
        const position = await open.mailboxes.position(mailboxKey(session.id, channel, outbound(holder)))
        // It may have ended meanwhile.
        if (!liveReceiver(attached.session, channel)) return []
        if (!position || position.received < known) return undefined
        return [{ channel, ...position, window: this.windowOf(session, holder, channel) }]
      }),
    )
    return rows.includes(undefined) ? undefined : rows.flatMap((row) => row ?? [])
  }

  /**
   * The rows of a role that asks; `fetching` for one that fetches what came for it. `isWhole` is false when a direction was
   * not there: either nobody has used it, or its channel has ended since the session was read.
   */
  async rows(
    session: Session,
    holder: Holder,
    fetching: boolean,
  ): Promise<{ readonly rows: ChannelRow[]; readonly isWhole: boolean }> {
    let isWhole = true
    const rows = await Promise.all(
      channelsOf(session, holder).map(async (channel) => {
        const mailboxes = this.storeOf(session, channel)
        const at = async (direction: Direction) => {
          const position = await mailboxes.position(mailboxKey(session.id, channel, direction))
          isWhole &&= position !== undefined
          return position ?? NOWHERE
        }
        const row = { channel, ...(await at(outbound(holder))), window: this.windowOf(session, holder, channel) }
        return fetching ? { ...row, available: (await at(inbound(holder))).received } : row
      }),
    )
    return { rows, isWhole }
  }

  /** Whether nothing was sent on a channel yet, as far as this node's memory knows. */
  isBlank(sessionId: string, channel: number): Awaitable<boolean> {
    const [s2r, r2s] = keysOf(sessionId, channel)
    const blank = (position: MailboxPosition | undefined) => (position?.received ?? 0) === 0
    return after(this.#ports.mailboxes.position(s2r), (first) =>
      after(this.#ports.mailboxes.position(r2s), (second) => blank(first) && blank(second)),
    )
  }

  /** Forgets what this node holds of channels that have ended. The node that knows first forgets what all can reach, too. */
  async releaseEnded(session: Session, everywhere: boolean): Promise<void> {
    // Also those whose rows are gone already.
    const known = new Set([...session.receivers.map(({ channel }) => channel), ...this.#channelsOf(session.id)])
    const ended = [...known].filter((channel) => !liveReceiver(session, channel))
    const keys = ended.flatMap((channel) => keysOf(session.id, channel))
    await this.#release(session.id, ended)
    if (everywhere && keys.length > 0) await this.#ports.cluster?.mailboxes.drop(keys)
  }

  /** Forgets what this node holds of a session that is no more. */
  releaseAll(sessionId: string): Awaitable<void> {
    return this.#release(sessionId, this.#channelsOf(sessionId))
  }

  /**
   * Gives up the channels of a session that no socket of this node is on any more, also those that this node has granted
   * and not yet seen. A node that is alone keeps them: there is nowhere else to resume.
   */
  abandon(sessionId: string, isUsed: (channel: number) => boolean): Awaitable<void> {
    if (!this.#ports.cluster) return
    return this.#release(
      sessionId,
      this.#channelsOf(sessionId).filter((channel) => !isUsed(channel)),
    )
  }

  /** Forgets the frames of a channel, wherever they are: its ends have to resume. */
  async forget(sessionId: string, channel: number): Promise<void> {
    const keys = keysOf(sessionId, channel)
    await this.#ports.mailboxes.drop(keys)
    await this.#ports.cluster?.mailboxes.drop(keys)
  }

  #channelsOf(sessionId: string): number[] {
    return [...new Set([...this.#ports.windows.channelsOf(sessionId), ...(this.#opened.get(sessionId) ?? [])])]
  }

  #release(sessionId: string, channels: readonly number[]): Awaitable<void> {
    const opened = this.#opened.get(sessionId)
    for (const channel of channels) {
      this.#ports.windows.release(sessionId, channel)
      opened?.delete(channel)
    }
    if (opened?.size === 0) this.#opened.delete(sessionId)
    return this.#ports.mailboxes.drop(channels.flatMap((channel) => keysOf(sessionId, channel)))
  }
}

/** The mailboxes of a channel, in the order of DIRECTIONS. */
export function keysOf(sessionId: string, channel: number): readonly [MailboxKey, MailboxKey] {
  const [s2r, r2s] = DIRECTIONS
  return [mailboxKey(sessionId, channel, s2r), mailboxKey(sessionId, channel, r2s)]
}

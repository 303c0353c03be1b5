import type { ChannelRow } from '../../protocol/view.ts'
import { type Awaitable, after } from '../awaitable.ts'
import { livingIn, type MailboxPosition, type RelayPorts } from '../ports.ts'
import { channelsOf } from '../session/channel-state.ts'
import { liveReceiver, type Party, type Present, receiverOf, type Session } from '../session/session.ts'
import { ChannelEnd, type EndRules, type Kept } from './channel-end.ts'
import { mailboxKeys } from './direction.ts'
import type { Grant } from './grant.ts'

export type ChannelsPorts = EndRules & Pick<RelayPorts, 'mailboxes' | 'clock' | 'cluster' | 'diagnostics'>

/**
 * The channels of one session on this node: their mailboxes, in its own memory or where every node reaches them when the two
 * ends are not at one node, and the windows that it grants them.
 */
export class Channels {
  /** Counts the changes of windows that no change of the session has brought. */
  changes = 0
  /** Bytes of the frames that came on this node. */
  bytes = 0
  readonly #sessionId: string
  readonly #ports: ChannelsPorts
  /** Undefined until there is one: most sessions wait most of the time. */
  #grants: Map<number, Grant> | undefined
  /** Channels that were opened in this node's memory: also those that have been given up while they were being opened. */
  #opened: Set<number> | undefined
  /** Resolves when the frames are gone whose windows were given back, as long as they are not. */
  #forgetting: Promise<unknown> | undefined

  constructor(sessionId: string, ports: ChannelsPorts) {
    this.#sessionId = sessionId
    this.#ports = ports
  }

  /** Counts a frame that came, or came again. */
  count(kind: Kept['kind'], bytes: number): void {
    const { diagnostics } = this.#ports
    if (kind === 'duplicate') return diagnostics.discarded('duplicate')
    this.bytes += bytes
    diagnostics.relayed(bytes)
  }

  get isEmpty(): boolean {
    return !this.#grants?.size && !this.#opened?.size
  }

  /** Counts the changes of windows for the version of views. Several nodes would count differently: there it stays 0. */
  get version(): number {
    return this.#ports.cluster ? 0 : this.changes
  }

  /** Reports whether a channel's frames are where other nodes reach them. */
  isShared(session: Session, channel: number): boolean {
    return this.#ports.cluster !== undefined && liveReceiver(session, channel)?.shared === true
  }

  /** A role's end of a channel, at the mailboxes where it is now. Each is a new one. */
  endOf(session: Session, party: Party, channel: number): ChannelEnd {
    const { cluster, mailboxes } = this.#ports
    const isShared = this.isShared(session, channel)
    const grant = this.#grants?.get(channel)
    return new ChannelEnd(this.#ports, {
      sessionId: this.#sessionId,
      party,
      channel,
      mailboxes: isShared && cluster ? cluster.mailboxes : mailboxes,
      isShared,
      grant,
    })
  }

  /** Opens an end's mailboxes where its client says that it is. */
  async open(end: ChannelEnd, session: Session, claim: { readonly received: number; readonly acked: number }) {
    // Not to the absence deadline of a receiver that waits: a transfer outlives that.
    const until = session.state === 'open' ? session.expiresAt : session.forgetAt
    const opened = await end.open(claim, Math.max(1, until - this.#ports.clock.now()))
    if (!end.isShared) {
      this.#opened ??= new Set()
      this.#opened.add(end.channel)
    }
    return opened
  }

  /** The rows of a role's ends. `isWhole` is false where one is unused, has ended, or was lost by a store. */
  async rows(
    session: Session,
    ends: readonly ChannelEnd[],
    isFetching: boolean,
  ): Promise<{ readonly rows: readonly ChannelRow[]; readonly isWhole: boolean }> {
    await this.#forgetting
    const rows = await Promise.all(ends.map((end) => end.row(session, isFetching)))
    return { rows: rows.map(({ row }) => row), isWhole: rows.every(({ isWhole }) => isWhole) }
  }

  /** A role's ends of all its channels, of no link. */
  endsOf(session: Session, party: Party): readonly ChannelEnd[] {
    return channelsOf(session, party).map((channel) => this.endOf(session, party, channel))
  }

  /** Gives a channel the windows that were reserved for it. They are released when the channel was entered meanwhile. */
  assign(grant: Grant, channel: number): void {
    const { windows } = this.#ports
    if (this.#grants?.has(channel)) return windows.release(grant)
    windows.assign(grant, this.#sessionId, channel)
    this.#grants ??= new Map()
    this.#grants.set(channel, grant)
  }

  /** Begins to grant windows to a channel, if this node does not yet. */
  enter(session: Session, channel: number): void {
    const receiver = liveReceiver(session, channel)
    if (session.state === 'closed' || !receiver || this.#grants?.has(channel)) return
    const grant = this.#ports.windows.enter(this.#sessionId, channel)
    this.#grants ??= new Map()
    this.#grants.set(channel, grant)
    if (this.#ports.windows.settle(grant, session, receiver, this.#present) !== 'same') this.changes++
  }

  /** Brings the windows in line with the roles that are there. Frames go first where a window was given back. */
  settle(session: Session): Awaitable<void> {
    const present = this.#present
    // End a session that is over with its view, not with a new attach.
    if (session.state === 'closed' || present.now >= session.expiresAt) return
    const lost: number[] = []
    for (const grant of this.#grants?.values() ?? []) {
      const receiver = liveReceiver(session, grant.channel)
      const outcome = receiver ? this.#ports.windows.settle(grant, session, receiver, present) : 'same'
      if (outcome !== 'same') this.changes++
      if (outcome === 'lost') lost.push(grant.channel)
    }
    if (lost.length > 0) return this.forget(lost)
  }

  /** Reports whether an end may have been away for long. */
  isDue(now: number): boolean {
    for (const { lookAt } of this.#grants?.values() ?? []) if (lookAt <= now) return true
    return false
  }

  /** Reports whether nothing was sent on a channel yet, as far as this node's memory knows. */
  isBlank(channel: number): Awaitable<boolean> {
    const [s2r, r2s] = mailboxKeys(this.#sessionId, channel)
    const blank = (position: MailboxPosition | undefined) => (position?.received ?? 0) === 0
    return after(this.#ports.mailboxes.position(s2r), (first) =>
      after(this.#ports.mailboxes.position(r2s), (second) => blank(first) && blank(second)),
    )
  }

  /** Forgets the frames of channels, wherever they are: their ends have to resume. No view shows their windows before. */
  forget(channels: readonly number[]): Awaitable<void> {
    const keys = channels.flatMap((channel) => mailboxKeys(this.#sessionId, channel))
    const dropping = after(this.#ports.mailboxes.drop(keys), () => this.#ports.cluster?.mailboxes.drop(keys))
    if (dropping instanceof Promise) this.#forgetting = Promise.allSettled([this.#forgetting, dropping])
    return dropping
  }

  /** Gives up channels that have ended. The node that knows first forgets what all can reach, too. */
  async releaseEnded(session: Session, everywhere: boolean): Promise<void> {
    const ended: number[] = []
    for (const { channel } of session.receivers) if (!liveReceiver(session, channel)) ended.push(channel)
    // Also those whose rows are gone already.
    for (const channel of this.#known()) if (!receiverOf(session, channel)) ended.push(channel)
    if (ended.length === 0) return
    const keys = ended.flatMap((channel) => mailboxKeys(this.#sessionId, channel))
    await this.release(ended)
    if (everywhere) await this.#ports.cluster?.mailboxes.drop(keys)
  }

  releaseAll(): Awaitable<void> {
    return this.release([...this.#known()])
  }

  /**
   * Gives up the channels that no link of this node is on, also those that it has granted and not yet seen. A node that is alone
   * keeps them: there is nowhere else to resume.
   */
  abandon(isUsed: (channel: number) => boolean): Awaitable<void> {
    if (this.#ports.cluster) return this.release([...this.#known()].filter((channel) => !isUsed(channel)))
  }

  /** Gives up what this node has of channels. */
  release(channels: readonly number[]): Awaitable<void> {
    for (const channel of channels) {
      const grant = this.#grants?.get(channel)
      this.#grants?.delete(channel)
      this.#opened?.delete(channel)
      if (grant) this.#ports.windows.release(grant)
    }
    return this.#ports.mailboxes.drop(channels.flatMap((channel) => mailboxKeys(this.#sessionId, channel)))
  }

  /** The channels that it grants windows or has opened, each once. */
  *#known(): Iterable<number> {
    if (this.#grants) yield* this.#grants.keys()
    for (const channel of this.#opened ?? []) if (!this.#grants?.has(channel)) yield channel
  }

  get #present(): Present {
    return { now: this.#ports.clock.now(), isAlive: livingIn(this.#ports.cluster) }
  }
}

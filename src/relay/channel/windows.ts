import { ABSENT_GIVES_BACK_MS, HANDSHAKE_WINDOW_BYTES } from '../../protocol/limits.ts'
import type { Direction } from '../ports.ts'
import {
  isPresent,
  type LiveReceiver,
  liveReceiver,
  type OpenSession,
  type Present,
  payerOf,
  type Session,
} from '../session/session.ts'
import { type ChannelWindows, type Kind, sizeOf, windowsOf } from './channel-windows.ts'
import { Pool } from './pool.ts'

export interface WindowsSettings {
  readonly memoryBudgetBytes: number
  /** The largest a window grows, in bytes of frame cost. */
  readonly windowBytes: number
  /** The largest frame, header included: the smallest window of a transfer. */
  readonly maxFrameBytes: number
  /** Gives one source no more than a share of each pool. */
  readonly limitSources: boolean
}

/** Effects on a session of what happens to others. */
export interface WindowsPorts {
  /** Its windows may have changed, or it is time to look whether its ends are there: `settle` it again. */
  look(sessionId: string): void
  /** Forgets all that is held of this channel: its window was given back. */
  forget(sessionId: string, channel: number): void
}

/** The windows of a session's channels, by their numbers, and how often they have changed otherwise than by growing. */
interface SessionWindows {
  readonly channels: Map<number, ChannelWindows>
  changes: number
}

/** Of the budget, and of each pool to one source: an eighth. */
const PART = 1 / 8

/**
 * The windows that this node grants. Handshakes and transfers have a pool each. Where a pool has no room, a channel waits, first
 * come first served, unless its source has less than the fullest one, whose largest channel then waits instead.
 */
export class Windows {
  readonly #ports: WindowsPorts
  readonly #settings: WindowsSettings
  readonly #pools: Readonly<Record<Kind, Pool>>
  /** What of the transfers' pool windows have grown by: half a share for a source. The rest is for first full frames. */
  readonly #growth: Pool
  readonly #sessions = new Map<string, SessionWindows>()
  /** Channels that wait, in the order of their coming, with the pool and the source that pays. */
  readonly #waiting = new Map<ChannelWindows, { readonly kind: Kind; readonly source: string }>()

  constructor(settings: WindowsSettings, ports: WindowsPorts) {
    this.#settings = settings
    this.#ports = ports
    const budget = settings.memoryBudgetBytes
    const handshakes = Math.max(Math.floor(budget * PART), this.#need('handshake'))
    const transfers = Math.max(budget - handshakes, this.#need('transfer'))
    const share = (kind: Kind, limit: number) =>
      settings.limitSources ? Math.max(Math.floor(limit * PART), this.#need(kind)) : limit
    this.#pools = {
      handshake: new Pool(handshakes, share('handshake', handshakes)),
      transfer: new Pool(transfers, share('transfer', transfers)),
    }
    this.#growth = new Pool(transfers, settings.limitSources ? share('transfer', transfers) / 2 : transfers)
  }

  /** The sum of all windows, in bytes. */
  get granted(): number {
    return this.#pools.handshake.held + this.#pools.transfer.held
  }

  /** Channels that are known here. */
  get size(): number {
    let size = 0
    for (const { channels } of this.#sessions.values()) size += channels.size
    return size
  }

  /** Channels that wait for a window. */
  get waiting(): number {
    return this.#waiting.size
  }

  channelsOf(sessionId: string): Iterable<number> {
    return this.#sessions.get(sessionId)?.channels.keys() ?? []
  }

  /** Counts the changes of a session's windows that no change of the session has brought. */
  changesOf(sessionId: string): number {
    return this.#sessions.get(sessionId)?.changes ?? 0
  }

  /** The window of a direction, or undefined when this node grants none to its channel. */
  windowOf(sessionId: string, channel: number, direction: Direction): number | undefined {
    return this.#sessions.get(sessionId)?.channels.get(channel)?.granted[direction]
  }

  /** Takes the windows of a handshake for a source, before its channel is known. Undefined when there is no room. */
  reserve(source: string): ChannelWindows | undefined {
    const reserved = windowsOf('', 0)
    return this.#take(reserved, 'handshake', source) ? reserved : undefined
  }

  /** Says which channel has what was reserved. It is given back when the channel was entered meanwhile. */
  assign(reserved: ChannelWindows, sessionId: string, channel: number): void {
    if (this.#sessions.get(sessionId)?.channels.has(channel)) return this.cancel(reserved)
    reserved.sessionId = sessionId
    reserved.channel = channel
    this.#add(reserved)
  }

  /** Begins to grant windows to a channel, if it does not yet. */
  enter(session: Session, channel: number, present: Present): void {
    const receiver = liveReceiver(session, channel)
    if (session.state === 'closed' || !receiver || this.#sessions.get(session.id)?.channels.has(channel)) return
    this.#settleOne(this.#add(windowsOf(session.id, channel)), session, receiver, present)
  }

  /** Gives the channels of a session what they need as it is now, and takes what they need no more. Says whether one changed. */
  settle(session: Session, present: Present): boolean {
    // End a session that is over with its view, not with a new attach.
    if (session.state === 'closed' || present.now >= session.expiresAt) return false
    let changed = false
    for (const windows of this.#sessions.get(session.id)?.channels.values() ?? []) {
      const receiver = liveReceiver(session, windows.channel)
      if (receiver && this.#settleOne(windows, session, receiver, present)) changed = true
    }
    return changed
  }

  /** Doubles a window that the next full frame would not fit into, as long as there is room. Says whether it did. */
  grow(sessionId: string, channel: number, direction: Direction, unackedCost: number): boolean {
    const { windowBytes, maxFrameBytes } = this.#settings
    const windows = this.#sessions.get(sessionId)?.channels.get(channel)
    if (windows?.kind !== 'transfer') return false
    const granted = windows.granted[direction]
    if (granted >= windowBytes || unackedCost + maxFrameBytes <= granted) return false
    const pool = this.#pools.transfer
    // Leave room for the first that waits.
    if (this.#waiting.size > 0 && !pool.hasRoom(this.#need('transfer') + granted)) return false
    const grown = Math.min(windowBytes, granted * 2)
    if (!this.#growth.isWithinShare(windows.source, grown - granted)) return false
    if (!pool.take(windows.source, grown - granted)) return false
    this.#growth.take(windows.source, grown - granted)
    windows.granted[direction] = grown
    return true
  }

  /** Gives back all that a channel has, and forgets it. */
  release(sessionId: string, channel: number): void {
    const channels = this.#sessions.get(sessionId)?.channels
    const windows = channels?.get(channel)
    if (!channels || !windows) return
    channels.delete(channel)
    if (channels.size === 0) this.#sessions.delete(sessionId)
    this.cancel(windows)
  }

  /** Gives back what was reserved, or what a channel has. */
  cancel(windows: ChannelWindows): void {
    this.#waiting.delete(windows)
    this.#giveBack(windows)
    this.#serve()
  }

  /** To be called about once a second: channels whose ends may have been away for long. */
  tick(now: number): void {
    for (const [sessionId, { channels }] of this.#sessions) {
      for (const { lookAt } of channels.values()) {
        if (lookAt > now) continue
        this.#ports.look(sessionId)
        break
      }
    }
  }

  #settleOne(windows: ChannelWindows, session: OpenSession, receiver: LiveReceiver, present: Present): boolean {
    const { now } = present
    const ends = [session.attached, receiver.attached]
    const there = ends.filter((end) => isPresent(end, present))
    windows.absentSince = ends.map((end, index) =>
      isPresent(end, present) ? undefined : (windows.absentSince[index] ?? Math.min(now, end?.until ?? now)),
    )
    // The end of a lease, or of the time that an absent end has. One that was away for that long is looked at when it comes.
    const looks = windows.absentSince.map((since, index) =>
      since === undefined ? (ends[index]?.until ?? Number.POSITIVE_INFINITY) : since + ABSENT_GIVES_BACK_MS,
    )
    windows.lookAt = Math.min(...looks.map((at) => (at > now ? at : Number.POSITIVE_INFINITY)))
    const isLongAway = looks.some((at) => at <= now)
    const before = windows.kind
    if (isLongAway && (there.length === 0 || windows.kind === 'transfer')) this.#forget(windows)
    if (receiver.state === 'approved' && there.length === ends.length)
      this.#want(windows, 'transfer', payerOf(session.source))
    else if (windows.kind !== undefined || (isLongAway && there.length === 0)) this.#waiting.delete(windows)
    else if (there.length > 0 || receiver.state === 'pending')
      this.#want(windows, 'handshake', payerOf(receiver.source))
    if (windows.kind === before) return false
    this.#serve()
    return true
  }

  /** Gives a channel windows of a kind, or has it wait for them. */
  #want(windows: ChannelWindows, kind: Kind, source: string): void {
    if (windows.kind === kind || this.#take(windows, kind, source)) this.#waiting.delete(windows)
    else if (this.#waiting.get(windows)?.kind !== kind) this.#waiting.set(windows, { kind, source })
  }

  /** Takes windows of a kind for a channel, in place of those that it has; from the fullest source where there is no room. */
  #take(windows: ChannelWindows, kind: Kind, source: string): boolean {
    const pool = this.#pools[kind]
    const need = this.#need(kind)
    if (!pool.isWithinShare(source, need)) return false
    if (!pool.hasRoom(need)) {
      const fullest = this.#largestOfFullest(kind, source)
      if (!fullest) return false
      this.#forget(fullest)
      this.#ports.look(fullest.sessionId)
    }
    if (!pool.take(source, need)) return false
    this.#giveBack(windows)
    windows.kind = kind
    windows.source = source
    windows.granted.s2r = windows.granted.r2s = need / 2
    this.#count(windows)
    return true
  }

  /** The channel that has to wait so that one of a source need not: its own source has more than that would have then. */
  #largestOfFullest(kind: Kind, source: string): ChannelWindows | undefined {
    const pool = this.#pools[kind]
    const { fullest } = pool
    if (!this.#settings.limitSources || fullest === undefined) return undefined
    if (pool.heldBy(source) + this.#need(kind) >= pool.heldBy(fullest)) return undefined
    let largest: ChannelWindows | undefined
    for (const { channels } of this.#sessions.values()) {
      for (const windows of channels.values()) {
        if (windows.kind !== kind || windows.source !== fullest) continue
        if (!largest || sizeOf(windows) > sizeOf(largest)) largest = windows
      }
    }
    return largest
  }

  /** Gives those who wait what there is now, in their order. One whose source has its share lets others go before it. */
  #serve(): void {
    const full = new Set<Kind>()
    for (const [windows, { kind, source }] of this.#waiting) {
      if (!this.#pools[kind].hasRoom(this.#need(kind))) full.add(kind)
      if (full.has(kind) || !this.#take(windows, kind, source)) continue
      this.#waiting.delete(windows)
      this.#ports.look(windows.sessionId)
      // Begin again: its former windows may be enough for another.
      return this.#serve()
    }
  }

  #forget(windows: ChannelWindows): void {
    this.#giveBack(windows)
    this.#count(windows)
    this.#ports.forget(windows.sessionId, windows.channel)
  }

  #giveBack(windows: ChannelWindows): void {
    if (windows.kind !== undefined) this.#pools[windows.kind].giveBack(windows.source, sizeOf(windows))
    if (windows.kind === 'transfer') this.#growth.giveBack(windows.source, sizeOf(windows) - this.#need('transfer'))
    windows.kind = undefined
    windows.granted.s2r = windows.granted.r2s = 0
  }

  #add(windows: ChannelWindows): ChannelWindows {
    const known = this.#sessions.get(windows.sessionId) ?? { channels: new Map(), changes: 0 }
    known.channels.set(windows.channel, windows)
    this.#sessions.set(windows.sessionId, known)
    return windows
  }

  #count({ sessionId }: ChannelWindows): void {
    const known = this.#sessions.get(sessionId)
    if (known) known.changes++
  }

  /** The sum of both windows that a channel begins with. */
  #need(kind: Kind): number {
    const { maxFrameBytes } = this.#settings
    return 2 * (kind === 'transfer' ? Math.max(maxFrameBytes, HANDSHAKE_WINDOW_BYTES) : HANDSHAKE_WINDOW_BYTES)
  }
}

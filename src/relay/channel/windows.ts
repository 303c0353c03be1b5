import { ABSENT_GIVES_BACK_MS, HANDSHAKE_WINDOW_BYTES } from '../../protocol/limits.ts'
import type { Direction } from '../ports.ts'
import { isPresent, type LiveReceiver, type OpenSession, type Present, payerOf } from '../session/session.ts'
import { emptyHold, type Hold, type PoolName, sizeOf } from './hold.ts'
import { Pool } from './pool.ts'

export interface WindowsSettings {
  /** The sum of all windows, in bytes. */
  readonly memoryBudgetBytes: number
  /** The largest a window grows, in bytes of frame cost. */
  readonly windowBytes: number
  /** The largest frame, header included: the smallest window of a transfer. */
  readonly maxFrameBytes: number
  /** Limits what one client address may wait for, join and hold: of each pool no more than a share. */
  readonly limitAddresses: boolean
}

/** Of the budget, and of each pool to one payer: an eighth. */
const PART = 1 / 8

/**
 * The windows that this node grants. Handshakes and transfers have a pool each. Where a pool has no room, a channel waits, first
 * come first served, unless its address has less than the fullest one, whose largest channel then waits instead.
 */
export class Windows {
  readonly #settings: WindowsSettings
  readonly #pools: Readonly<Record<PoolName, Pool>>
  /** Bytes of the transfers' pool that windows have grown by: half a share for an address. The rest is for first full frames. */
  readonly #growth: Pool
  readonly #changed: (hold: Hold, how: 'gained' | 'lost') => void
  /** Holds of channels that are known. */
  readonly #holds = new Set<Hold>()
  /** Channels that wait, in the order of their coming, with the pool and the address that pays. */
  readonly #waiting = new Map<Hold, { readonly kind: PoolName; readonly payer: string }>()

  /** `changed` is called for a hold that gained or lost its windows by what happened to others. */
  constructor(settings: WindowsSettings, changed: (hold: Hold, how: 'gained' | 'lost') => void) {
    this.#settings = settings
    this.#changed = changed
    const budget = settings.memoryBudgetBytes
    const handshakes = Math.max(Math.floor(budget * PART), this.#need('handshake'))
    const transfers = Math.max(budget - handshakes, this.#need('transfer'))
    const share = (kind: PoolName, limit: number) =>
      settings.limitAddresses ? Math.max(Math.floor(limit * PART), this.#need(kind)) : limit
    this.#pools = {
      handshake: new Pool(handshakes, share('handshake', handshakes)),
      transfer: new Pool(transfers, share('transfer', transfers)),
    }
    this.#growth = new Pool(transfers, settings.limitAddresses ? share('transfer', transfers) / 2 : transfers)
  }

  /** The sum of all windows, in bytes. */
  get granted(): number {
    return this.#pools.handshake.held + this.#pools.transfer.held
  }

  /** Channels that are known here. */
  get size(): number {
    return this.#holds.size
  }

  /** Takes the windows of a handshake for an address, before its channel is known. Undefined when there is no room. */
  reserve(payer: string): Hold | undefined {
    const hold = emptyHold('', 0)
    return this.#take(hold, 'handshake', payer) ? hold : undefined
  }

  /** Names the channel that has what was reserved. */
  assign(hold: Hold, sessionId: string, channel: number): void {
    hold.sessionId = sessionId
    hold.channel = channel
    this.#holds.add(hold)
  }

  /** Begins to grant windows to a channel. */
  enter(sessionId: string, channel: number): Hold {
    const hold = emptyHold(sessionId, channel)
    this.#holds.add(hold)
    return hold
  }

  /** Doubles a window that the next full frame would not fit into, as long as there is room. Says whether it did. */
  grow(hold: Hold, direction: Direction, unackedCost: number): boolean {
    const { windowBytes, maxFrameBytes } = this.#settings
    if (hold.kind !== 'transfer') return false
    const granted = hold.granted[direction]
    if (granted >= windowBytes || unackedCost + maxFrameBytes <= granted) return false
    const pool = this.#pools.transfer
    // Leave room for the first that waits.
    if (this.#waiting.size > 0 && !pool.hasRoom(this.#need('transfer') + granted)) return false
    const grown = Math.min(windowBytes, granted * 2)
    if (!this.#growth.isWithinShare(hold.payer, grown - granted)) return false
    if (!pool.take(hold.payer, grown - granted)) return false
    this.#growth.take(hold.payer, grown - granted)
    hold.granted[direction] = grown
    return true
  }

  /** Gives back what was reserved, or what a channel has, and forgets it. */
  release(hold: Hold): void {
    this.#holds.delete(hold)
    this.#waiting.delete(hold)
    this.#giveBack(hold)
    this.#serve()
  }

  /**
   * Gives a channel what it needs as its session is now, and takes what it needs no more. `lost`: it gave back its window, and
   * what is held of it must be forgotten.
   */
  settle(hold: Hold, session: OpenSession, receiver: LiveReceiver, present: Present): 'same' | 'changed' | 'lost' {
    const { now } = present
    const ends = [session.presence, receiver.presence]
    const there = ends.filter((end) => isPresent(end, present))
    const leases = ends.map((end) => (end?.via === 'http' ? end.until : undefined))
    hold.absentSince = ends.map((end, index) =>
      isPresent(end, present) ? undefined : (hold.absentSince[index] ?? Math.min(now, leases[index] ?? now)),
    )
    // The end of a lease, or of the time that an absent end has. One that was away for that long is looked at when it comes.
    const looks = hold.absentSince.map((since, index) =>
      since === undefined ? (leases[index] ?? Number.POSITIVE_INFINITY) : since + ABSENT_GIVES_BACK_MS,
    )
    hold.lookAt = Math.min(...looks.map((at) => (at > now ? at : Number.POSITIVE_INFINITY)))
    const isLongAway = looks.some((at) => at <= now)
    const before = hold.kind
    const isLost = isLongAway && (there.length === 0 || hold.kind === 'transfer')
    if (isLost) this.#giveBack(hold)
    if (receiver.state === 'approved' && there.length === ends.length)
      this.#want(hold, 'transfer', payerOf(session.addressDigest))
    else if (hold.kind !== undefined || (isLongAway && there.length === 0)) this.#waiting.delete(hold)
    else if (there.length > 0 || receiver.state === 'pending')
      this.#want(hold, 'handshake', payerOf(receiver.addressDigest))
    if (hold.kind !== before) this.#serve()
    if (isLost) return 'lost'
    return hold.kind === before ? 'same' : 'changed'
  }

  /** Gives a channel windows of a kind, or has it wait for them. */
  #want(hold: Hold, kind: PoolName, payer: string): void {
    if (hold.kind === kind || this.#take(hold, kind, payer)) this.#waiting.delete(hold)
    else if (this.#waiting.get(hold)?.kind !== kind) this.#waiting.set(hold, { kind, payer })
  }

  /** Takes windows of a kind for a channel, in place of those that it has; from the fullest address where there is no room. */
  #take(hold: Hold, kind: PoolName, payer: string): boolean {
    const pool = this.#pools[kind]
    const need = this.#need(kind)
    if (!pool.isWithinShare(payer, need)) return false
    if (!pool.hasRoom(need)) {
      const fullest = this.#largestOfFullest(kind, payer)
      if (!fullest) return false
      this.#giveBack(fullest)
      this.#changed(fullest, 'lost')
    }
    if (!pool.take(payer, need)) return false
    this.#giveBack(hold)
    hold.kind = kind
    hold.payer = payer
    hold.granted.s2r = hold.granted.r2s = need / 2
    return true
  }

  /** The channel that has to wait in favour of an address's: its own address has more than that would have then. */
  #largestOfFullest(kind: PoolName, payer: string): Hold | undefined {
    const pool = this.#pools[kind]
    const { fullest } = pool
    if (!this.#settings.limitAddresses || fullest === undefined) return undefined
    if (pool.heldBy(payer) + this.#need(kind) >= pool.heldBy(fullest)) return undefined
    let largest: Hold | undefined
    for (const hold of this.#holds) {
      if (hold.kind !== kind || hold.payer !== fullest) continue
      if (!largest || sizeOf(hold) > sizeOf(largest)) largest = hold
    }
    return largest
  }

  /** Gives those who wait what there is now, in their order. One whose address has its share lets others go before it. */
  #serve(): void {
    const full = new Set<PoolName>()
    for (const [hold, { kind, payer }] of this.#waiting) {
      if (!this.#pools[kind].hasRoom(this.#need(kind))) full.add(kind)
      if (full.has(kind) || !this.#take(hold, kind, payer)) continue
      this.#waiting.delete(hold)
      this.#changed(hold, 'gained')
      // Begin again: its former windows may be enough for another.
      return this.#serve()
    }
  }

  #giveBack(hold: Hold): void {
    if (hold.kind !== undefined) this.#pools[hold.kind].giveBack(hold.payer, sizeOf(hold))
    if (hold.kind === 'transfer') this.#growth.giveBack(hold.payer, sizeOf(hold) - this.#need('transfer'))
    hold.kind = undefined
    hold.granted.s2r = hold.granted.r2s = 0
  }

  /** The sum of both windows that a channel begins with. */
  #need(kind: PoolName): number {
    const { maxFrameBytes } = this.#settings
    return 2 * (kind === 'transfer' ? Math.max(maxFrameBytes, HANDSHAKE_WINDOW_BYTES) : HANDSHAKE_WINDOW_BYTES)
  }
}

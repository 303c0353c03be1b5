import { ABSENT_GIVES_BACK_MS, HANDSHAKE_WINDOW_BYTES } from '../../protocol/limits.ts'
import type { Direction } from '../ports.ts'
import {
  isPresent,
  type LiveReceiver,
  type OpenSession,
  type Presence,
  type Present,
  payerOf,
} from '../session/session.ts'
import { type Grant, newGrant, type PoolName, sizeOf } from './grant.ts'
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

const NEVER = Number.POSITIVE_INFINITY

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
  readonly #changed: (grant: Grant, how: 'gained' | 'lost') => void
  /** Of channels that are known. */
  readonly #grants = new Set<Grant>()
  /** Channels that wait, in the order of their coming, with the pool and the address that pays. */
  readonly #waiting = new Map<Grant, { readonly name: PoolName; readonly payer: string }>()

  /** `changed` is called for a grant that gained or lost its windows by what happened to others. */
  constructor(settings: WindowsSettings, changed: (grant: Grant, how: 'gained' | 'lost') => void) {
    this.#settings = settings
    this.#changed = changed
    const budget = settings.memoryBudgetBytes
    const handshakes = Math.max(Math.floor(budget * PART), this.#need('handshake'))
    const transfers = Math.max(budget - handshakes, this.#need('transfer'))
    const share = (name: PoolName, limit: number) =>
      settings.limitAddresses ? Math.max(Math.floor(limit * PART), this.#need(name)) : limit
    this.#pools = {
      handshake: new Pool(handshakes, share('handshake', handshakes)),
      transfer: new Pool(transfers, share('transfer', transfers)),
    }
    this.#growth = new Pool(transfers, settings.limitAddresses ? share('transfer', transfers) / 2 : transfers)
  }

  /** The sum of all windows, in bytes. */
  get granted(): number {
    return this.#pools.handshake.taken + this.#pools.transfer.taken
  }

  /** Channels that are known here. */
  get size(): number {
    return this.#grants.size
  }

  /** Takes the windows of a handshake for an address, before its channel is known. Undefined when there is no room. */
  reserve(payer: string): Grant | undefined {
    const grant = newGrant()
    return this.#take(grant, 'handshake', payer) ? grant : undefined
  }

  /** Names the channel that has what was reserved. */
  assign(grant: Grant, sessionId: string, channel: number): void {
    grant.sessionId = sessionId
    grant.channel = channel
    this.#grants.add(grant)
  }

  /** Begins to grant windows to a channel. */
  enter(sessionId: string, channel: number): Grant {
    const grant = newGrant()
    this.assign(grant, sessionId, channel)
    return grant
  }

  /** Doubles a window that the next full frame would not fit into, as long as there is room. Says whether it did. */
  grow(grant: Grant, direction: Direction, unackedCost: number): boolean {
    const { windowBytes, maxFrameBytes } = this.#settings
    if (grant.pool !== 'transfer') return false
    const granted = grant.bytes[direction]
    if (granted >= windowBytes || unackedCost + maxFrameBytes <= granted) return false
    const pool = this.#pools.transfer
    // Leave room for the first that waits.
    if (this.#waiting.size > 0 && !pool.hasRoom(this.#need('transfer') + granted)) return false
    const grown = Math.min(windowBytes, granted * 2)
    if (!this.#growth.isWithinShare(grant.payer, grown - granted)) return false
    if (!pool.take(grant.payer, grown - granted)) return false
    this.#growth.take(grant.payer, grown - granted)
    grant.bytes[direction] = grown
    return true
  }

  /** Gives back what was reserved, or what a channel has, and forgets it. */
  release(grant: Grant): void {
    this.#grants.delete(grant)
    this.#waiting.delete(grant)
    this.#giveBack(grant)
    this.#serve()
  }

  /**
   * Gives a channel what it needs as its session is now, and takes what it needs no more. `lost`: it gave back its window, and
   * what is held of it must be forgotten.
   */
  settle(grant: Grant, session: OpenSession, receiver: LiveReceiver, present: Present): 'same' | 'changed' | 'lost' {
    const { now } = present
    grant.senderAwaySince = awaySince(session.presence, grant.senderAwaySince, present)
    grant.receiverAwaySince = awaySince(receiver.presence, grant.receiverAwaySince, present)
    const looks = [
      lookAt(session.presence, grant.senderAwaySince),
      lookAt(receiver.presence, grant.receiverAwaySince),
    ] as const
    // An end that was away for that long is looked at when it comes.
    grant.lookAt = Math.min(looks[0] > now ? looks[0] : NEVER, looks[1] > now ? looks[1] : NEVER)
    const isLongAway = looks[0] <= now || looks[1] <= now
    const there = Number(grant.senderAwaySince === undefined) + Number(grant.receiverAwaySince === undefined)
    const before = grant.pool
    const isLost = isLongAway && (there === 0 || grant.pool === 'transfer')
    if (isLost) this.#giveBack(grant)
    if (receiver.state === 'approved' && there === 2) this.#want(grant, 'transfer', payerOf(session.addressDigest))
    else if (grant.pool !== undefined || (isLongAway && there === 0)) this.#waiting.delete(grant)
    else if (there > 0 || receiver.state === 'pending') this.#want(grant, 'handshake', payerOf(receiver.addressDigest))
    if (grant.pool !== before) this.#serve()
    if (isLost) return 'lost'
    return grant.pool === before ? 'same' : 'changed'
  }

  /** Gives a channel windows of a pool, or has it wait for them. */
  #want(grant: Grant, name: PoolName, payer: string): void {
    if (grant.pool === name || this.#take(grant, name, payer)) this.#waiting.delete(grant)
    else if (this.#waiting.get(grant)?.name !== name) this.#waiting.set(grant, { name, payer })
  }

  /** Takes a channel's windows of a pool, in place of those that it has; from the fullest address where there is no room. */
  #take(grant: Grant, name: PoolName, payer: string): boolean {
    const pool = this.#pools[name]
    const need = this.#need(name)
    if (!pool.isWithinShare(payer, need)) return false
    if (!pool.hasRoom(need)) {
      const fullest = this.#largestOfFullest(name, payer)
      if (!fullest) return false
      this.#giveBack(fullest)
      this.#changed(fullest, 'lost')
    }
    if (!pool.take(payer, need)) return false
    this.#giveBack(grant)
    grant.pool = name
    grant.payer = payer
    grant.bytes.s2r = grant.bytes.r2s = need / 2
    return true
  }

  /** The channel that has to wait in favour of an address's: its own address has more than that would have then. */
  #largestOfFullest(name: PoolName, payer: string): Grant | undefined {
    const pool = this.#pools[name]
    const { fullest } = pool
    if (!this.#settings.limitAddresses || fullest === undefined) return undefined
    if (pool.takenBy(payer) + this.#need(name) >= pool.takenBy(fullest)) return undefined
    let largest: Grant | undefined
    for (const grant of this.#grants) {
      if (grant.pool !== name || grant.payer !== fullest) continue
      if (!largest || sizeOf(grant) > sizeOf(largest)) largest = grant
    }
    return largest
  }

  /** Gives those who wait what there is now, in their order. One whose address has its share lets others go before it. */
  #serve(): void {
    const full = new Set<PoolName>()
    for (const [grant, { name, payer }] of this.#waiting) {
      if (!this.#pools[name].hasRoom(this.#need(name))) full.add(name)
      if (full.has(name) || !this.#take(grant, name, payer)) continue
      this.#waiting.delete(grant)
      this.#changed(grant, 'gained')
      // Begin again: its former windows may be enough for another.
      return this.#serve()
    }
  }

  #giveBack(grant: Grant): void {
    if (grant.pool !== undefined) this.#pools[grant.pool].giveBack(grant.payer, sizeOf(grant))
    if (grant.pool === 'transfer') this.#growth.giveBack(grant.payer, sizeOf(grant) - this.#need('transfer'))
    grant.pool = undefined
    grant.bytes.s2r = grant.bytes.r2s = 0
  }

  /** The sum of both windows that a channel begins with. */
  #need(name: PoolName): number {
    const { maxFrameBytes } = this.#settings
    return 2 * (name === 'transfer' ? Math.max(maxFrameBytes, HANDSHAKE_WINDOW_BYTES) : HANDSHAKE_WINDOW_BYTES)
  }
}

/** Since when an end is away: from `before` on, where it was away already. Undefined for one that is there. */
function awaySince(end: Presence | undefined, before: number | undefined, present: Present): number | undefined {
  if (isPresent(end, present)) return undefined
  return before ?? Math.min(present.now, leaseOf(end) ?? present.now)
}

/** When an end has to be looked at: at the end of its lease, or of the time that it may be away. */
function lookAt(end: Presence | undefined, since: number | undefined): number {
  return since === undefined ? (leaseOf(end) ?? NEVER) : since + ABSENT_GIVES_BACK_MS
}

function leaseOf(end: Presence | undefined): number | undefined {
  return end?.via === 'http' ? end.until : undefined
}

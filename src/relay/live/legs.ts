import type { Direction } from '../ports.ts'
import { type Holder, isSameHolder } from '../session/session.ts'
import type { AttachedLeg, Leg } from './leg.ts'

/** The sockets of this node, by session. */
export class Legs {
  readonly unattached = new Set<Leg>()
  readonly #attached = new Map<string, Set<AttachedLeg>>()

  /** Sockets held, attached or not yet. */
  get size(): number {
    let sum = this.unattached.size
    for (const legs of this.#attached.values()) sum += legs.size
    return sum
  }

  get sessionIds(): Iterable<string> {
    return this.#attached.keys()
  }

  *all(): Iterable<AttachedLeg> {
    for (const legs of this.#attached.values()) yield* legs
  }

  has(sessionId: string): boolean {
    return this.#attached.has(sessionId)
  }

  of(sessionId: string): Iterable<AttachedLeg> {
    return this.#attached.get(sessionId) ?? []
  }

  add(leg: AttachedLeg): void {
    this.unattached.delete(leg)
    const { sessionId } = leg.attached
    this.#attached.set(sessionId, (this.#attached.get(sessionId) ?? new Set<AttachedLeg>()).add(leg))
  }

  /** Says whether it was there, attached. */
  delete(leg: Leg): boolean {
    this.unattached.delete(leg)
    if (!leg.isAttached()) return false
    const { sessionId } = leg.attached
    const legs = this.#attached.get(sessionId)
    if (!legs?.delete(leg)) return false
    if (legs.size === 0) this.#attached.delete(sessionId)
    return true
  }

  /** The open socket that writes a direction of a channel, or reads it. */
  find(sessionId: string, channel: number, direction: Direction, does: 'writes' | 'reads'): AttachedLeg | undefined {
    const isSender = (direction === 's2r') === (does === 'writes')
    return this.holding(sessionId, isSender ? { role: 'sender' } : { role: 'receiver', channel })
  }

  /** The open socket of the other end of a channel. */
  peerOf(sessionId: string, holder: Holder, channel: number): AttachedLeg | undefined {
    return this.holding(sessionId, holder.role === 'sender' ? { role: 'receiver', channel } : { role: 'sender' })
  }

  /** The open socket of a role. */
  holding(sessionId: string, holder: Holder): AttachedLeg | undefined {
    for (const leg of this.of(sessionId)) {
      if (!leg.closed && isSameHolder(leg.attached.holder, holder)) return leg
    }
    return undefined
  }

  /** Whether an end of a channel has a socket here that uses it. */
  isOn(sessionId: string, channel: number): boolean {
    for (const leg of this.of(sessionId)) if (leg.attached.channels?.has(channel)) return true
    return false
  }
}

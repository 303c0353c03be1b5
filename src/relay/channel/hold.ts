import type { Direction } from '../ports.ts'

/** The pools that windows are taken from. */
export type PoolName = 'handshake' | 'transfer'

/** The windows of one channel on this node: bytes reserved, then granted, at last released. */
export interface Hold {
  /** Empty while the bytes are reserved for a channel that is not known yet. */
  sessionId: string
  channel: number
  readonly granted: Record<Direction, number>
  /** The pool that they are from, if there are any, and the client address that pays. */
  kind: PoolName | undefined
  payer: string
  /** Since when each end is away: the sender, the receiver. */
  absentSince: readonly (number | undefined)[]
  /** When to look at its ends again. */
  lookAt: number
}

/** A hold without bytes. */
export function emptyHold(sessionId: string, channel: number): Hold {
  return {
    sessionId,
    channel,
    granted: { s2r: 0, r2s: 0 },
    kind: undefined,
    payer: '',
    absentSince: [],
    lookAt: Number.POSITIVE_INFINITY,
  }
}

/** Both windows together, in bytes. */
export function sizeOf({ granted }: Hold): number {
  return granted.s2r + granted.r2s
}

import type { Direction } from '../ports.ts'

/** The pools that windows are taken from. */
export type PoolName = 'handshake' | 'transfer'

/** The windows that this node grants a channel: reserved, then assigned, at last released. */
export interface Grant {
  /** Empty while the bytes are reserved for a channel that is not known yet. */
  sessionId: string
  channel: number
  /** The window of each direction. */
  readonly bytes: Record<Direction, number>
  /** The pool that they are from, if there are any, and the client address that pays. */
  pool: PoolName | undefined
  payer: string
  /** Since when each end is away, if it is. */
  senderAwaySince: number | undefined
  receiverAwaySince: number | undefined
  /** When to look at its ends again. */
  lookAt: number
}

/** A grant of no bytes yet. */
export function newGrant(): Grant {
  return {
    sessionId: '',
    channel: 0,
    bytes: { s2r: 0, r2s: 0 },
    pool: undefined,
    payer: '',
    senderAwaySince: undefined,
    receiverAwaySince: undefined,
    lookAt: Number.POSITIVE_INFINITY,
  }
}

/** Both windows together, in bytes. */
export function sizeOf({ bytes }: Grant): number {
  return bytes.s2r + bytes.r2s
}

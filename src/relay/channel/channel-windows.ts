import type { Direction } from '../ports.ts'

/** Pools that windows are taken from. */
export type Kind = 'handshake' | 'transfer'

/** Both windows of one channel, and for whom they were taken from which pool. */
export interface ChannelWindows {
  sessionId: string
  channel: number
  readonly granted: Record<Direction, number>
  /** The pool that they are from, if there are any. */
  kind: Kind | undefined
  source: string
  /** Since when each end is away: the sender, the receiver. */
  absentSince: readonly (number | undefined)[]
  /** When to look at its ends again. */
  lookAt: number
}

/** A channel that has none yet. */
export function windowsOf(sessionId: string, channel: number): ChannelWindows {
  return {
    sessionId,
    channel,
    granted: { s2r: 0, r2s: 0 },
    kind: undefined,
    source: '',
    absentSince: [],
    lookAt: Number.POSITIVE_INFINITY,
  }
}

/** Both together, in bytes. */
export function sizeOf({ granted }: ChannelWindows): number {
  return granted.s2r + granted.r2s
}

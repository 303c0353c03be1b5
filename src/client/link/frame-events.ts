/** Steps of a frame that its writer hears of. */
export interface FrameEvents {
  /** Called whenever it leaves for the network: before the first time, neither the relay nor the peer can have it. */
  readonly onSent?: (() => void) | undefined
  /** Called when the peer has processed it. */
  readonly onAcked?: (() => void) | undefined
  /** Called when nothing holds its bytes any more, and they may change. Not called where that cannot be known. */
  readonly onFree?: (() => unknown) | undefined
}

/** Steps of a frame that its writer hears of. */
export interface FrameEvents {
  /** Called when it goes to a socket for the first time: before, neither the relay nor the peer can have it. */
  readonly onSent?: (() => void) | undefined
  /** Called when the peer has processed it. */
  readonly onAcked?: (() => void) | undefined
}

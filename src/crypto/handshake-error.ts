/** The run failed and is over. One text for every cause: which check failed is nobody's business. */
export class HandshakeError extends Error {
  override readonly name = 'HandshakeError'
  /** True only if the peer was bound by a valid commitment and valid points, and its T_R was wrong: a guess at the code. */
  readonly guessSpent: boolean

  constructor(guessSpent = false) {
    super('The code was wrong or someone interfered. Get a new code.')
    this.guessSpent = guessSpent
  }
}

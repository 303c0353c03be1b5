import { encodeBase64Url } from '../../protocol/text.ts'

/** The budgets of one code at the sender. */
export const WRONG_GUESSES_MAX = 5
export const HANDSHAKES_MAX = 32
/** Receivers that are looked at in a session's life, whatever became of them. */
export const RUNS_MAX = 1_024

/** How many handshakes a code may still have. A slot is given back by a receiver that spent no guess. */
export class HandshakeSlots {
  readonly #nonces = new Set<string>()
  #seen = 0
  #taken = 0
  #underWay = 0
  #wrongGuesses = 0

  /** Reports whether a handshake is under way. */
  get busy(): boolean {
    return this.#underWay > 0
  }

  /** Reports whether the code has had all of its handshakes, or wrong guesses. */
  get usedUp(): boolean {
    return this.#taken >= HANDSHAKES_MAX || this.#wrongGuesses >= WRONG_GUESSES_MAX
  }

  /** Counts a receiver, and reports whether any more than that may be looked at. */
  see(): boolean {
    this.#seen++
    return this.#seen <= RUNS_MAX
  }

  take(): void {
    this.#taken++
    this.#underWay++
  }

  /** Counts the end of a handshake. */
  end(guessSpent: boolean): void {
    this.#underWay--
    if (!guessSpent) this.#taken--
  }

  countWrongGuess(): void {
    this.#wrongGuesses++
  }

  /** Reports whether no other handshake of the session had this n_R. */
  isNewNonce(nonce: Uint8Array): boolean {
    const known = this.#nonces.size
    return this.#nonces.add(encodeBase64Url(nonce)).size > known
  }
}

import type { Environment } from '../environment.ts'

/** How long each step of a handshake may take: while both devices are present, and in all. */
export const HANDSHAKE_STEP_MS = 20_000
export const HANDSHAKE_STEP_IN_ALL_MS = 60_000
export const STEP = { presentMs: HANDSHAKE_STEP_MS, inAllMs: HANDSHAKE_STEP_IN_ALL_MS }

/**
 * The time-out of one step of a handshake: `presentMs` while both devices are present, `inAllMs` in any case. Calls
 * `onTimeout` once.
 */
export class StepTimeout {
  readonly #environment: Environment
  readonly #onTimeout: () => void
  #leftMs: number
  #startedAt: number | undefined
  #timer: unknown
  readonly #inAll: unknown
  #over = false

  constructor(
    environment: Environment,
    { presentMs, inAllMs }: { presentMs: number; inAllMs?: number },
    onTimeout: () => void,
  ) {
    this.#environment = environment
    this.#leftMs = presentMs
    this.#onTimeout = onTimeout
    this.#inAll = inAllMs === undefined ? undefined : environment.setTimeout(() => this.#fire(), inAllMs)
  }

  /** Counts the time from here on, or stops counting it. */
  setPresence(bothPresent: boolean): void {
    if (this.#over || bothPresent === (this.#startedAt !== undefined)) return
    if (bothPresent) {
      this.#startedAt = this.#environment.now()
      this.#timer = this.#environment.setTimeout(() => this.#fire(), this.#leftMs)
    } else this.#pause()
  }

  /** Ends the wait: nothing more can time out. */
  stop(): void {
    this.#pause()
    this.#environment.clearTimeout(this.#inAll)
    this.#over = true
  }

  #pause(): void {
    if (this.#startedAt === undefined) return
    this.#environment.clearTimeout(this.#timer)
    this.#leftMs = Math.max(0, this.#leftMs - (this.#environment.now() - this.#startedAt))
    this.#startedAt = undefined
  }

  #fire(): void {
    this.stop()
    this.#onTimeout()
  }
}

import type { FastifyBaseLogger } from 'fastify'
import type { Clock } from '../relay/ports.ts'

/** A server that is away fails every second in the same words: they are repeated after so long. */
const REPEAT_MS = 60_000
/** More different reasons than this are not told apart. */
const REASONS_MAX = 100

/** Says in the log when Redis fails, when it is away, and when it is back. */
export class RedisLog {
  readonly #logger: FastifyBaseLogger
  readonly #clock: Clock
  readonly #saidAt = new Map<string, number>()
  #awaySince: number | undefined

  constructor(logger: FastifyBaseLogger, clock: Clock) {
    this.#logger = logger
    this.#clock = clock
  }

  /** Something asked of Redis has failed. */
  failed({ message: reason }: Error): void {
    const now = this.#clock.now()
    if (now - (this.#saidAt.get(reason) ?? -Infinity) < REPEAT_MS) return
    if (this.#saidAt.size >= REASONS_MAX) this.#saidAt.clear()
    this.#saidAt.set(reason, now)
    this.#logger.error({ reason }, 'Redis does not do what it should')
  }

  /** To be called about once a second. */
  look(isReachable: boolean): void {
    const now = this.#clock.now()
    if (!isReachable && this.#awaySince === undefined) {
      this.#awaySince = now
      this.#logger.warn('Redis is away: this node takes no sessions until it is back')
    }
    if (isReachable && this.#awaySince !== undefined) {
      this.#logger.info({ seconds: Math.round((now - this.#awaySince) / 1000) }, 'Redis is back')
      this.#awaySince = undefined
      // The next outage has its reasons said again.
      this.#saidAt.clear()
    }
  }
}

import type { FastifyBaseLogger } from 'fastify'
import type { ErrorCode } from '../../protocol/errors.ts'
import type { Clock } from '../../relay/ports.ts'

const MINUTE_MS = 60_000

/** Refusals that mean that a limit is reached, or that something does not work. */
const WARNINGS: ReadonlySet<string> = new Set([
  'connections',
  'connections_of_one_address',
  'rate_limited',
  'too_many_sessions',
  'at_capacity',
  'unavailable',
  'internal',
])

/** Says in the log that something is refused: the first of each kind in a minute, with a count of those before. */
export class Refusals {
  readonly #logger: FastifyBaseLogger
  readonly #clock: Clock
  readonly #kinds = new Map<string, { saidAt: number; unsaid: number }>()

  constructor(logger: FastifyBaseLogger, clock: Clock) {
    this.#logger = logger
    this.#clock = clock
  }

  count(kind: ErrorCode | 'connections' | 'connections_of_one_address'): void {
    const now = this.#clock.now()
    const before = this.#kinds.get(kind)
    if (before && now - before.saidAt < MINUTE_MS) {
      before.unsaid++
      return
    }
    this.#kinds.set(kind, { saidAt: now, unsaid: 0 })
    const level = WARNINGS.has(kind) ? 'warn' : 'info'
    this.#logger[level]({ refused: kind, ...(before?.unsaid ? { before: before.unsaid } : {}) }, 'something is refused')
  }
}

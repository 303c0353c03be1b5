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
/** Refusals that come of limits for one client address. */
const BY_ADDRESS: ReadonlySet<string> = new Set(['connections_of_one_address', 'rate_limited', 'too_many_sessions'])
const HINT = 'all requests until now came from one address: if it is a proxy, TRUST_PROXY has to name it'

export type RefusalKind = ErrorCode | 'connections' | 'connections_of_one_address'

/** Says in the log that something is refused: the first of each kind in a minute, with a count of those before. */
export class Refusals {
  readonly #logger: FastifyBaseLogger
  readonly #clock: Clock
  readonly #addresses: { readonly isOne: boolean }
  readonly #counted: (kind: RefusalKind) => void
  readonly #kinds = new Map<string, { saidAt: number; unsaid: number }>()

  /** `counted` hears of every one. */
  constructor(
    logger: FastifyBaseLogger,
    clock: Clock,
    addresses: { readonly isOne: boolean },
    counted: (kind: RefusalKind) => void = () => {},
  ) {
    this.#counted = counted
    this.#logger = logger
    this.#clock = clock
    this.#addresses = addresses
  }

  count(kind: RefusalKind): void {
    this.#counted(kind)
    const now = this.#clock.now()
    const before = this.#kinds.get(kind)
    if (before && now - before.saidAt < MINUTE_MS) {
      before.unsaid++
      return
    }
    this.#kinds.set(kind, { saidAt: now, unsaid: 0 })
    const level = WARNINGS.has(kind) ? 'warn' : 'info'
    const line = {
      refused: kind,
      ...(before?.unsaid ? { before: before.unsaid } : {}),
      ...(BY_ADDRESS.has(kind) && this.#addresses.isOne ? { hint: HINT } : {}),
    }
    this.#logger[level](line, 'something is refused')
  }
}

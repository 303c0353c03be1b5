import rateLimit, { type FastifyRateLimitStore, type FastifyRateLimitStoreCtor } from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { RelayError } from '../../relay/errors.ts'
import { WIDER_FACTOR } from '../../relay/relay.ts'
import type { ClientLimits } from '../config.ts'

const MINUTE_MS = 60_000
/** How many addresses are counted at a time, for each limit. Who asked least recently is forgotten first. */
const ADDRESSES_MAX = 100_000

/** Counters that several nodes share. Each begins to count at its first use and forgets after `windowMs`. */
export interface SharedCounters {
  /** Counts one more. */
  increment(key: string, windowMs: number): Promise<Count>
  read(key: string): Promise<Count>
}

export interface Count {
  readonly current: number
  /** Milliseconds until it is forgotten. */
  readonly ttl: number
}

/** Asks for one more. Throws RelayError `rate_limited` when there is none, with the seconds until there is. */
export type RateLimit = (request: FastifyRequest) => Promise<void>

/** Each limit is undefined where there is none: a hook that does nothing costs a request as much as one that does. */
export interface RateLimits {
  readonly create: RateLimit | undefined
  readonly join: RateLimit | undefined
  readonly attach: RateLimit | undefined
  readonly unknownCode: {
    /** Asks without counting. */
    readonly check: RateLimit | undefined
    /** Counts a join that named an unknown code. */
    readonly count: (request: FastifyRequest) => Promise<void>
  }
}

/** Limits on what a client address may ask for in a minute. `shared`: for a relay of several nodes. */
export async function buildRateLimits(
  app: FastifyInstance,
  { creates, joins, attaches, unknownCodes }: ClientLimits,
  shared?: SharedCounters,
): Promise<RateLimits> {
  await app.register(rateLimit, {
    global: false,
    cache: ADDRESSES_MAX,
    ...(shared ? { store: storeOver(shared) } : {}),
  })
  const unknown = limiterOf(app, 'unknown', unknownCodes)
  return {
    create: limiterOf(app, 'creates', creates).take,
    join: limiterOf(app, 'joins', joins).take,
    attach: limiterOf(app, 'attaches', attaches).take,
    unknownCode: { check: unknown.check, count: unknown.count },
  }
}

interface Limiter {
  readonly take?: RateLimit
  readonly check?: RateLimit
  readonly count: (request: FastifyRequest) => Promise<void>
}

function limiterOf(app: FastifyInstance, name: string, perMinute: number): Limiter {
  if (perMinute === Infinity) return { count: async () => {} }
  const limiter = (max: number, keyOf: (request: FastifyRequest) => string) =>
    app.createRateLimit({ max, timeWindow: MINUTE_MS, keyGenerator: (request) => `${name} ${keyOf(request)}` })
  const narrow = limiter(perMinute, ({ clientAddress }) => clientAddress.counted)
  const wide = limiter(WIDER_FACTOR * perMinute, ({ clientAddress }) => clientAddress.wider ?? '')
  const limitersOf = ({ clientAddress: { counted, wider } }: FastifyRequest) =>
    counted === '' ? [] : wider === undefined ? [narrow] : [narrow, wide]
  const take = async (request: FastifyRequest) => {
    // Refused requests of a /64 are not counted for its /48.
    for (const each of limitersOf(request)) {
      const count = await each(request)
      if (!count.isAllowed && count.isExceeded) throw refusal(count.ttlInSeconds)
    }
  }
  const check = async (request: FastifyRequest) => {
    for (const each of limitersOf(request)) {
      const count = await each(request, { increment: false })
      if (!count.isAllowed && count.remaining === 0) throw refusal(count.ttlInSeconds)
    }
  }
  const count = async (request: FastifyRequest) => {
    for (const each of limitersOf(request)) await each(request)
  }
  return { take, check, count }
}

function refusal(seconds: number): RelayError {
  return new RelayError('rate_limited', undefined, Math.max(1, seconds))
}

/** The store of the plugin, around counters that are shared. */
function storeOver(shared: SharedCounters): FastifyRateLimitStoreCtor {
  type Answer = Parameters<FastifyRateLimitStore['incr']>[1]
  return class SharedStore implements FastifyRateLimitStore {
    incr(key: string, answer: Answer, windowMs: number): void {
      shared.increment(key, windowMs).then((count) => answer(null, count), answer)
    }

    read(key: string, answer: Answer): void {
      shared.read(key).then((count) => answer(null, count), answer)
    }

    child(): SharedStore {
      return this
    }
  }
}

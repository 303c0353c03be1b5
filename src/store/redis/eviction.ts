import type { Clock } from '../../relay/ports.ts'
import type { RedisConnection } from './connection.ts'

/** A setting of a server may change while it runs: it is looked at this often, in milliseconds. */
const LOOK_MS = 60_000

/** Tells of a server that forgets keys when it is full, once for each setting. */
export class EvictionWatch {
  readonly #redis: Pick<RedisConnection, 'command'>
  readonly #own: Clock
  readonly #onError: (error: Error) => void
  #nextAt = Number.NEGATIVE_INFINITY
  #told: string | undefined

  constructor(redis: Pick<RedisConnection, 'command'>, own: Clock, onError: (error: Error) => void) {
    this.#redis = redis
    this.#own = own
    this.#onError = onError
  }

  /** To be called about once a second. Throws the refusal of a server that does not answer, or does not tell. */
  async look(): Promise<void> {
    if (this.#own.now() < this.#nextAt) return
    this.#nextAt = this.#own.now() + LOOK_MS
    const eviction = await evictionOf(this.#redis)
    if (eviction && eviction !== this.#told) this.#onError(new Error(eviction))
    this.#told = eviction
  }
}

/** In words, how a server forgets keys when it is full; undefined for one that does not. */
async function evictionOf(redis: Pick<RedisConnection, 'command'>): Promise<string | undefined> {
  const memory = String(await redis.command('INFO', 'memory'))
  const [, policy = 'noeviction'] = /^maxmemory_policy:(\S+)/m.exec(memory) ?? []
  // Without a maximum it is never full in its own eyes.
  if (policy === 'noeviction' || /^maxmemory:0\r?$/m.test(memory)) return undefined
  return `it forgets keys when it is full, and sessions with them: maxmemory-policy is ${policy}, and has to be noeviction`
}

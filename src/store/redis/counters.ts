import type { RedisConnection } from './connection.ts'
import { KEYS } from './keys.ts'
import type { SharedKey } from './shared-key.ts'

/** Counters that every node reaches. Each begins to count at its first use and is forgotten after its time. */
export class RedisCounters {
  readonly #redis: RedisConnection
  readonly #sharedKey: SharedKey

  constructor(redis: RedisConnection, sharedKey: SharedKey) {
    this.#redis = redis
    this.#sharedKey = sharedKey
  }

  /** Counts one more, and tells in how many milliseconds that is forgotten. */
  increment(key: string, windowMs: number): Promise<{ readonly current: number; readonly ttl: number }> {
    return this.#run('increment', key, [windowMs])
  }

  read(key: string): Promise<{ readonly current: number; readonly ttl: number }> {
    return this.#run('count', key, [])
  }

  async #run(script: 'increment' | 'count', key: string, args: readonly number[]) {
    // No address is written anywhere.
    const answer = await this.#redis.script(script, [KEYS.count(this.#sharedKey.digest(key))], args)
    const [current, ttl] = answer as [number, number]
    return { current, ttl: Math.max(0, ttl) }
  }
}

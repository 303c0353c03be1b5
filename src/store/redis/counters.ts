import { type RedisConnection, Script } from './connection.ts'
import type { SharedKey } from './shared-key.ts'

const INCREMENT = new Script(`
local current = redis.call('INCR', KEYS[1])
if current == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {current, redis.call('PTTL', KEYS[1])}`)

const READ = new Script(`
local current = redis.call('GET', KEYS[1])
if not current then return {0, 0} end
return {tonumber(current), redis.call('PTTL', KEYS[1])}`)

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
    return this.#run(INCREMENT, key, [windowMs])
  }

  read(key: string): Promise<{ readonly current: number; readonly ttl: number }> {
    return this.#run(READ, key, [])
  }

  async #run(script: Script, key: string, args: readonly number[]) {
    // No address is written anywhere.
    const answer = await this.#redis.script(script, [`pairlay:count:${this.#sharedKey.digest(key)}`], args)
    const [current, ttl] = answer as [number, number]
    return { current, ttl: Math.max(0, ttl) }
  }
}

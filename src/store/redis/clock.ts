import type { Clock } from '../../relay/ports.ts'
import type { RedisConnection } from './connection.ts'
import { KEYS } from './keys.ts'

/** A server whose clock differs by more than this from what passed here since the last look has been set anew. */
const JUMP_MS = 5_000
/** How long the shift outlives the last node, in milliseconds: sessions do not last longer. */
const KEEP_MS = 2 * 86_400_000

/**
 * The clock of the Redis server, which all nodes share, read through this process's own. Whole milliseconds. Where the server's
 * jumps, the shared one does not: no deadline is moved, and how far they are apart is kept for the other nodes.
 */
export class RedisClock implements Clock {
  readonly #own: Clock
  #offset: number
  #isKnown = false

  /** `wall` is the time in milliseconds to go by until the server's is known. */
  constructor(own: Clock, wall: number) {
    this.#own = own
    this.#offset = wall - own.now()
  }

  now(): number {
    return this.#own.now() + this.#offset
  }

  /** Sets it by the server's. Says by how many milliseconds that has jumped, 0 when it has not. */
  async calibrate(redis: RedisConnection): Promise<number> {
    const before = this.#own.now()
    const answer = await redis.script('clock', [KEYS.clockShift], [KEEP_MS])
    const [seconds, microseconds, shift] = answer as [string, string, string | null]
    const server = Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000)
    // The answer is half a round trip old.
    const here = Math.round((before + this.#own.now()) / 2)
    const offset = server + Number(shift ?? 0) - here
    const jumped = this.#isKnown ? offset - this.#offset : 0
    this.#isKnown = true
    if (Math.abs(jumped) <= JUMP_MS) {
      this.#offset = offset
      return 0
    }
    await redis.command('SET', KEYS.clockShift, here + this.#offset - server, 'PX', KEEP_MS)
    return jumped
  }
}

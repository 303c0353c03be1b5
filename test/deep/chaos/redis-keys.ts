import { EPITAPH_MS } from '../../../src/protocol/limits.ts'
import { SLACK_MS } from '../../../src/store/redis/sessions.ts'
import type { RedisServer } from '../../support/redis-server.ts'
import type { Verdict } from './tally.ts'

/** Between what a relay said and when it was heard, and between asking for one time-out and the next. */
const TOLERANCE_MS = 2_000

/** How long a key may outlive its session's time where no node is there to tidy. */
export const KEYS_OUTLIVE_MS = EPITAPH_MS + SLACK_MS

/** Holds every key in Redis to the time of its session. */
export class RedisKeys {
  readonly #redis: RedisServer
  /** When each session is over, on this process's clock. */
  readonly #deadlines = new Map<string, number>()

  constructor(redis: RedisServer) {
    this.#redis = redis
  }

  readonly addSession = (sessionId: string, expiresInMs: number): void => {
    this.#deadlines.set(sessionId, performance.now() + expiresInMs)
  }

  /** Looks at the keys that are there now. A key that names no session may live as long as the last. */
  async look(): Promise<Verdict> {
    const latest = Math.max(performance.now(), ...this.#deadlines.values())
    const faults: string[] = []
    for (const [key, left] of await this.#timeouts()) {
      // Gone since the keys were listed.
      if (left === -2) continue
      const sessionId = [...this.#deadlines.keys()].find((id) => key.includes(id))
      const until = sessionId === undefined ? latest : (this.#deadlines.get(sessionId) ?? latest)
      const allowed = Math.max(0, until - performance.now()) + KEYS_OUTLIVE_MS + TOLERANCE_MS
      if (left === -1) faults.push(`${key} has no time-out`)
      else if (left > allowed) faults.push(`${key} lives for ${left} ms, and may for ${Math.round(allowed)}`)
    }
    return faults.length === 0 ? { fate: 'survived', why: '' } : { fate: 'lost', why: faults.join('; ') }
  }

  /** Milliseconds until the last key there is now will be gone. */
  async lastsMs(): Promise<number> {
    return Math.max(0, ...(await this.#timeouts()).values())
  }

  /** Milliseconds by key. The number of the form is about no session, and outlives all that a node may have left. */
  async #timeouts(): Promise<Map<string, number>> {
    const all = await this.#redis.timeouts()
    all.delete('pairlay:schema')
    return all
  }
}

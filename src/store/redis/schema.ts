import { EPITAPH_MS, TTL_MAX_SECONDS } from '../../protocol/limits.ts'
import { RelayError } from '../../relay/errors.ts'
import type { RedisConnection } from './connection.ts'
import { KEYS } from './keys.ts'
import { SLACK_MS } from './sessions.ts'

/** Number of the form of all that relays have in Redis. It grows with each change that another version would not read right. */
export const SCHEMA = '1'

/** How long the number outlives the last node, in milliseconds: as long as any session that the node may have left. */
const KEEP_MS = TTL_MAX_SECONDS * 1_000 + EPITAPH_MS + SLACK_MS

/** The form of what is in Redis, as the first node that came there has written it down. */
export class Schema {
  readonly #redis: RedisConnection
  readonly #onError: (error: Error) => void

  constructor(redis: RedisConnection, onError: (error: Error) => void) {
    this.#redis = redis
    this.#onError = onError
  }

  /** To be called with every beat, before anything is read. RelayError `unavailable` where another version's sessions are. */
  async check(): Promise<void> {
    await this.#redis.command('SET', KEYS.schema, SCHEMA, 'NX', 'PX', KEEP_MS)
    const found = await this.#redis.command('GET', KEYS.schema)
    this.#redis.isForeign = found !== SCHEMA && found !== null
    // Another version's number goes with its sessions.
    if (!this.#redis.isForeign) return void (await this.#redis.command('PEXPIRE', KEYS.schema, KEEP_MS))
    const advice = 'stop its nodes, and empty this Redis or use another'
    this.#onError(
      new Error(
        `it has sessions of another version of the relay (schema ${String(found)}, this is ${SCHEMA}): ${advice}`,
      ),
    )
    throw new RelayError('unavailable')
  }
}

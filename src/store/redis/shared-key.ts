import { randomBytes } from 'node:crypto'
import { RelayError } from '../../relay/errors.ts'
import { addressDigests } from '../address-digest.ts'
import type { RedisConnection } from './connection.ts'
import { KEYS } from './keys.ts'

/** How long it outlives the last node that reads it, in milliseconds. */
const KEEP_MS = 600_000

/** The key under which all nodes digest client addresses. A server that has lost it gets a new one, as it lost all sessions. */
export class SharedKey {
  readonly #redis: RedisConnection
  #key: string | undefined
  #digest: ((clientAddress: string) => string) | undefined

  constructor(redis: RedisConnection) {
    this.#redis = redis
  }

  /** Reads it, and makes one where there is none. To be called with every beat. */
  async load(): Promise<void> {
    const key = (await this.#read()) ?? (await this.#make())
    if (key !== this.#key) this.#digest = key === undefined ? undefined : addressDigests(key)
    this.#key = key
  }

  async #make(): Promise<string | undefined> {
    await this.#redis.command('SET', KEYS.addressKey, randomBytes(32).toString('base64url'), 'NX', 'PX', KEEP_MS)
    return this.#read()
  }

  async #read(): Promise<string | undefined> {
    const key = await this.#redis.command('GETEX', KEYS.addressKey, 'PX', KEEP_MS)
    return typeof key === 'string' ? key : undefined
  }

  /** RelayError `unavailable` before it was read. */
  digest(clientAddress: string): string {
    if (this.#digest === undefined) throw new RelayError('unavailable')
    return this.#digest(clientAddress)
  }
}

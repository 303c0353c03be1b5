import type { Clock, Cluster, MailboxStore } from '../../relay/ports.ts'
import type { RedisBus } from './bus.ts'
import { RedisClock } from './clock.ts'
import type { RedisConnection } from './connection.ts'
import type { EvictionWatch } from './eviction.ts'
import { KEYS } from './keys.ts'
import type { Schema } from './schema.ts'
import type { SharedKey } from './shared-key.ts'

/** A node that has not said so for this long does not live, in milliseconds. */
const ALIVE_MS = 5_000
/** A server that takes longer than this is too slow to send anybody here, in milliseconds. */
const SLOW_MS = 1_000

export interface NodesOptions {
  readonly node: string
  readonly mailboxes: MailboxStore
  readonly redis: RedisConnection
  /** The clock that all nodes share, and the process's own. */
  readonly clock: Clock
  readonly own: Clock
  readonly schema: Schema
  readonly sharedKey: SharedKey
  readonly bus: RedisBus
  readonly eviction: EvictionWatch
  readonly onError: (error: Error) => void
}

/** The other nodes, as each says every second that it lives. */
export class RedisNodes implements Cluster {
  readonly node: string
  readonly mailboxes: MailboxStore
  readonly #options: NodesOptions
  #alive: ReadonlySet<string> = new Set()
  #lastBeatFailed = true
  #beatingSince: number | undefined

  constructor(options: NodesOptions) {
    this.node = options.node
    this.mailboxes = options.mailboxes
    this.#options = options
  }

  get isReachable(): boolean {
    const { own, bus } = this.#options
    if (this.#beatingSince !== undefined && own.now() - this.#beatingSince > SLOW_MS) return false
    return !this.#lastBeatFailed && !bus.isDeaf
  }

  isAlive(node: string): boolean {
    return node === this.node || this.#alive.has(node)
  }

  async beat(): Promise<boolean> {
    const { redis, clock, own, schema, sharedKey, bus, eviction, onError } = this.#options
    this.#beatingSince = own.now()
    try {
      await schema.check()
      if (clock instanceof RedisClock) {
        const jumpedMs = await clock.calibrate(redis)
        if (jumpedMs !== 0)
          onError(new Error(`its clock was set by ${Math.round(jumpedMs / 1000)} s: sessions keep their time`))
      }
      await sharedKey.load()
      bus.beat()
      // The command itself has reported a refusal.
      eviction.look().catch(() => {})
      const now = clock.now()
      await redis.command('ZADD', KEYS.nodes, now, this.node)
      await redis.command('ZREMRANGEBYSCORE', KEYS.nodes, '-inf', now - ALIVE_MS)
      await redis.command('PEXPIRE', KEYS.nodes, 2 * ALIVE_MS)
      const alive = new Set((await redis.command('ZRANGE', KEYS.nodes, 0, -1)) as string[])
      const changed = alive.size !== this.#alive.size || [...alive].some((node) => !this.#alive.has(node))
      this.#alive = alive
      this.#lastBeatFailed = own.now() - this.#beatingSince > SLOW_MS
      return changed
    } catch {
      // The command, or the schema, has reported the failure; the others are still believed to live.
      this.#lastBeatFailed = true
      return false
    } finally {
      this.#beatingSince = undefined
    }
  }

  async leave(): Promise<void> {
    await this.#options.redis.command('ZREM', KEYS.nodes, this.node).catch(() => {})
  }
}

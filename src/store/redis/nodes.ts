import type { Clock, Cluster, MailboxStore } from '../../relay/ports.ts'
import type { RedisBus } from './bus.ts'
import { RedisClock } from './clock.ts'
import type { RedisConnection } from './connection.ts'
import { KEYS } from './keys.ts'
import type { SharedKey } from './shared-key.ts'

/** A node that has not said so for this long does not live, in milliseconds. */
const ALIVE_MS = 5_000
/** A server that takes longer than this is too slow to send anybody here, in milliseconds. */
const SLOW_MS = 1_000

/** The other nodes, as each says every second that it lives. */
export class RedisNodes implements Cluster {
  readonly node: string
  readonly mailboxes: MailboxStore
  readonly #redis: RedisConnection
  readonly #clock: Clock
  readonly #own: Clock
  readonly #sharedKey: SharedKey
  readonly #bus: RedisBus
  readonly #onError: (error: Error) => void
  #alive: ReadonlySet<string> = new Set()
  #lastBeatFailed = true
  #beatingSince: number | undefined

  constructor(options: {
    readonly node: string
    readonly mailboxes: MailboxStore
    readonly redis: RedisConnection
    /** The clock that all nodes share. */
    readonly clock: Clock
    readonly own: Clock
    readonly sharedKey: SharedKey
    readonly bus: RedisBus
    readonly onError: (error: Error) => void
  }) {
    this.node = options.node
    this.mailboxes = options.mailboxes
    this.#redis = options.redis
    this.#clock = options.clock
    this.#own = options.own
    this.#sharedKey = options.sharedKey
    this.#bus = options.bus
    this.#onError = options.onError
  }

  get isReachable(): boolean {
    if (this.#beatingSince !== undefined && this.#own.now() - this.#beatingSince > SLOW_MS) return false
    return !this.#lastBeatFailed && !this.#bus.isDeaf
  }

  isAlive(node: string): boolean {
    return node === this.node || this.#alive.has(node)
  }

  async beat(): Promise<boolean> {
    this.#beatingSince = this.#own.now()
    try {
      if (this.#clock instanceof RedisClock) {
        const jumpedMs = await this.#clock.calibrate(this.#redis)
        if (jumpedMs !== 0)
          this.#onError(new Error(`its clock was set by ${Math.round(jumpedMs / 1000)} s: sessions keep their time`))
      }
      await this.#sharedKey.load()
      this.#bus.beat()
      const now = this.#clock.now()
      await this.#redis.command('ZADD', KEYS.nodes, now, this.node)
      await this.#redis.command('ZREMRANGEBYSCORE', KEYS.nodes, '-inf', now - ALIVE_MS)
      await this.#redis.command('PEXPIRE', KEYS.nodes, 2 * ALIVE_MS)
      const alive = new Set((await this.#redis.command('ZRANGE', KEYS.nodes, 0, -1)) as string[])
      const changed = alive.size !== this.#alive.size || [...alive].some((node) => !this.#alive.has(node))
      this.#alive = alive
      this.#lastBeatFailed = this.#own.now() - this.#beatingSince > SLOW_MS
      return changed
    } catch {
      // The command has reported the failure; the others are still believed to live.
      this.#lastBeatFailed = true
      return false
    } finally {
      this.#beatingSince = undefined
    }
  }

  async leave(): Promise<void> {
    await this.#redis.command('ZREM', KEYS.nodes, this.node).catch(() => {})
  }
}

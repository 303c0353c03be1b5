import type { Clock, Cluster, MailboxStore } from '../../relay/ports.ts'
import type { RedisConnection } from './connection.ts'
import type { SharedKey } from './shared-key.ts'

const NODES = 'pairlay:nodes'
/** A node that has not said so for this long does not live, in milliseconds. */
const ALIVE_MS = 5_000
/** A server that takes longer than this is too slow to send anybody here, in milliseconds. */
const SLOW_MS = 1_000

/** The clock of the Redis server, which all nodes share, read through this process's own. Whole milliseconds. */
export class RedisClock implements Clock {
  readonly #own: Clock
  #offset: number

  /** `wall` is the time in milliseconds to go by until the server's is known. */
  constructor(own: Clock, wall: number) {
    this.#own = own
    this.#offset = wall - own.now()
  }

  now(): number {
    return this.#own.now() + this.#offset
  }

  /** Sets it by the server's. */
  async calibrate(redis: RedisConnection): Promise<void> {
    const before = this.#own.now()
    const [seconds, microseconds] = (await redis.command('TIME')) as [string, string]
    const server = Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000)
    // The answer is half a round trip old.
    this.#offset = Math.round(server - (before + this.#own.now()) / 2)
  }
}

/** Who else there is. */
export class RedisNodes implements Cluster {
  readonly node: string
  readonly mailboxes: MailboxStore
  readonly #redis: RedisConnection
  readonly #clock: Clock
  readonly #own: Clock
  readonly #sharedKey: SharedKey
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
  }) {
    this.node = options.node
    this.mailboxes = options.mailboxes
    this.#redis = options.redis
    this.#clock = options.clock
    this.#own = options.own
    this.#sharedKey = options.sharedKey
  }

  get isReachable(): boolean {
    if (this.#beatingSince !== undefined && this.#own.now() - this.#beatingSince > SLOW_MS) return false
    return !this.#lastBeatFailed
  }

  isAlive(node: string): boolean {
    return node === this.node || this.#alive.has(node)
  }

  async beat(): Promise<boolean> {
    this.#beatingSince = this.#own.now()
    try {
      if (this.#clock instanceof RedisClock) await this.#clock.calibrate(this.#redis)
      await this.#sharedKey.load()
      const now = this.#clock.now()
      await this.#redis.command('ZADD', NODES, now, this.node)
      await this.#redis.command('ZREMRANGEBYSCORE', NODES, '-inf', now - ALIVE_MS)
      await this.#redis.command('PEXPIRE', NODES, 2 * ALIVE_MS)
      const alive = new Set((await this.#redis.command('ZRANGE', NODES, 0, -1)) as string[])
      const changed = alive.size !== this.#alive.size || [...alive].some((node) => !this.#alive.has(node))
      this.#alive = alive
      this.#lastBeatFailed = this.#own.now() - this.#beatingSince > SLOW_MS
      return changed
    } catch {
      // It was said to whoever keeps the log; the others are still believed to live.
      this.#lastBeatFailed = true
      return false
    } finally {
      this.#beatingSince = undefined
    }
  }

  async leave(): Promise<void> {
    await this.#redis.command('ZREM', NODES, this.node).catch(() => {})
  }
}

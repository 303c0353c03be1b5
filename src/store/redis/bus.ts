import type { Bus, BusListener, Wake } from '../../relay/ports.ts'
import type { RedisConnection } from './connection.ts'

const CHANNEL = 'pairlay:wakes'

/** Wakes over publish and subscribe. Nothing rests on a message: what is not heard is seen at the next look. */
export class RedisBus implements Bus {
  readonly #redis: RedisConnection
  readonly #node: string
  readonly #listeners: BusListener[] = []
  #publish: 'SPUBLISH' | 'PUBLISH' | undefined

  constructor(redis: RedisConnection, node: string) {
    this.#redis = redis
    this.#node = node
  }

  /** Begins to listen, as soon as there is a connection. To be called before it is started. */
  start(): void {
    const heard = (message: string) => this.#hear(message)
    const missed = () => {
      for (const listener of this.#listeners) listener.missed()
    }
    this.#redis.subscribe(CHANNEL, heard, missed, (publish) => {
      this.#publish = publish
    })
  }

  wake(sessionId: string, wake: Wake): void {
    if (wake.about === 'session') for (const listener of this.#listeners) listener.woken(sessionId, wake, true)
    if (!this.#publish) return
    const message = JSON.stringify([this.#node, sessionId, wake])
    this.#redis.command(this.#publish, CHANNEL, message).catch(() => {})
  }

  subscribe(listener: BusListener): void {
    this.#listeners.push(listener)
  }

  #hear(message: string): void {
    const [node, sessionId, wake]: [string, string, Wake] = JSON.parse(message)
    if (node === this.#node) return
    for (const listener of this.#listeners) listener.woken(sessionId, wake, false)
  }
}

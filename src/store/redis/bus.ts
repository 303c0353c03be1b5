import * as z from 'zod/mini'
import type { Bus, BusListener, Clock, Wake } from '../../relay/ports.ts'
import type { RedisConnection } from './connection.ts'
import { WAKES } from './keys.ts'

/** A node that has not heard itself for this long hears nobody, in milliseconds. */
const DEAF_MS = 5_000

const OnChannel = { channel: z.int(), direction: z.enum(['s2r', 'r2s']) }
const BusWake = z.discriminatedUnion('about', [
  z.object({ about: z.literal('session') }),
  z.object({ about: z.literal('frames'), ...OnChannel }),
  z.object({ about: z.literal('ack'), ...OnChannel, seq: z.int() }),
])
/** A node and what it wakes about a session, or nothing: then it only listens for itself. */
const Message = z.union([z.tuple([z.string(), z.string(), BusWake]), z.tuple([z.string()])])

/** Wakes over publish and subscribe. Nothing rests on a message: what is not heard is seen at the next look. */
export class RedisBus implements Bus {
  readonly #redis: RedisConnection
  readonly #node: string
  readonly #own: Clock
  readonly #listeners: BusListener[] = []
  #publish: 'SPUBLISH' | 'PUBLISH' | undefined
  /** When this node last heard itself, and when it last began to listen. */
  #heardAt: number
  #listeningSince: number

  constructor(redis: RedisConnection, node: string, own: Clock) {
    this.#redis = redis
    this.#node = node
    this.#own = own
    this.#heardAt = this.#listeningSince = own.now()
  }

  /** Begins to listen, as soon as there is a connection. To be called before it is started. */
  start(): void {
    const heard = (message: string) => this.#hear(message)
    const missed = () => {
      this.#listeningSince = this.#own.now()
      this.#say([this.#node])
      for (const listener of this.#listeners) listener.missed()
    }
    this.#redis.subscribe(WAKES, heard, missed, (publish) => {
      this.#publish = publish
    })
  }

  /** Reports whether this node does not hear itself. */
  get isDeaf(): boolean {
    return this.#own.now() - this.#heardAt > DEAF_MS
  }

  /** To be called about once a second: says something to itself. A node that is deaf subscribes anew. */
  beat(): void {
    if (this.isDeaf && this.#own.now() - this.#listeningSince > DEAF_MS) {
      this.#listeningSince = this.#own.now()
      this.#redis.resubscribe()
    }
    this.#say([this.#node])
  }

  wake(sessionId: string, wake: Wake): void {
    if (wake.about === 'session') for (const listener of this.#listeners) listener.woken(sessionId, wake, true)
    this.#say([this.#node, sessionId, wake])
  }

  subscribe(listener: BusListener): void {
    this.#listeners.push(listener)
  }

  #say(message: z.infer<typeof Message>): void {
    if (!this.#publish) return
    this.#redis.command(this.#publish, WAKES, JSON.stringify(message)).catch(() => {})
  }

  /** Anybody may publish, also a node of another version: what is not understood is dropped. */
  #hear(text: string): void {
    const message = Message.safeParse(parsed(text))
    if (!message.success) return
    const [node, sessionId = '', wake] = message.data
    if (node === this.#node) this.#heardAt = this.#own.now()
    else if (wake) for (const listener of this.#listeners) listener.woken(sessionId, wake, false)
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openRedis, type RedisStores } from '../../../src/store/redis/open.ts'
import { describeRedis, type RedisServer, startRedis } from '../../support/redis-server.ts'
import { refusalOf } from '../../support/refusal.ts'

/** A proxy between a node and its Redis that may swallow what goes through it. */
class Way {
  /** Called with what a node asks, before it is passed on. */
  asked = (_text: string) => {}
  readonly #server: Server
  readonly #ends = new Set<Socket>()
  readonly #lost = new WeakSet<Socket>()

  private constructor(target: number) {
    this.#server = createServer((near) => {
      const far = connect(target, '127.0.0.1')
      for (const [from, to] of [
        [near, far],
        [far, near],
      ]) {
        this.#ends.add(from)
        from.on('error', () => {})
        from.on('close', () => to.destroy())
        from.on('data', (data) => {
          if (from === near) this.asked(data.toString('latin1'))
          if (!this.#lost.has(near)) to.write(data)
        })
      }
    })
  }

  static async start(target: number): Promise<Way> {
    const way = new Way(target)
    await once(way.#server.listen(0, '127.0.0.1'), 'listening')
    return way
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Nothing comes through the connections that there are, in neither direction, and nobody is told. */
  loseAll(): void {
    for (const end of this.#ends) this.#lost.add(end)
  }

  close(): void {
    this.#server.close()
    for (const end of this.#ends) end.destroy()
  }
}

describeRedis('a way to Redis', () => {
  let redis: RedisServer
  let way: Way
  let stores: RedisStores
  let missed: number
  let errors: string[]
  beforeEach(async () => {
    redis = await startRedis()
    way = await Way.start(redis.port)
    errors = []
    stores = openRedis(
      { url: way.url, onError: ({ message }) => errors.push(message) },
      { now: () => performance.now() },
    )
    missed = 0
    stores.bus.subscribe({ woken: () => {}, missed: () => missed++ })
    while (!stores.cluster.isReachable) await delay(5)
  })
  afterEach(async () => {
    stores.close()
    way.close()
    await redis.stop()
  })
  const outcome = () => refusalOf(() => stores.sessions.get('nobody'))

  test('that has silently gone with what is published is left for a new one as well', async () => {
    await expect.poll(() => missed).toBe(1)
    way.loseAll()
    await expect.poll(() => missed).toBe(2)
  })

  test('that has silently gone is left for a new one, however much is asked all the time', async () => {
    way.loseAll()
    const asking = setInterval(() => outcome().catch(() => {}), 50)
    const since = performance.now()
    expect(await outcome()).toBe('unavailable')
    expect(performance.now() - since).toBeLessThan(30_000)
    await expect.poll(outcome).toBeUndefined()
    clearInterval(asking)
  })
  test('that the node itself gives up with a command in flight has not failed', async () => {
    await new Promise<void>((resolve) => {
      way.asked = (text) => {
        if (text.includes('PING')) resolve()
      }
    })
    const unanswered = outcome()
    stores.close()
    expect(await unanswered).toBe('unavailable')
    expect(errors).toEqual([])
  })
})

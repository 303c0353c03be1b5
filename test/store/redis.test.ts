import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll } from 'vitest'
import type { Clock } from '../../src/relay/ports.ts'
import { openRedis } from '../../src/store/redis/open.ts'
import { describeRedis, type RedisServer, startRedis } from '../support/redis-server.ts'
import { storeContract } from './contract.ts'

describeRedis('a real redis-server', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.stop())

  storeContract('Redis stores', async () => {
    await redis.command('FLUSHALL')
    let offset = 0
    // The server's time is asked for at the start alone: a relay's tick would ask again, but there is none.
    const own: Clock = { now: () => Math.floor(performance.now()) + offset }
    const stores = openRedis({ url: redis.url, onError: () => {} }, own)
    while (!stores.cluster.isReachable) await delay(5)
    return {
      sessions: stores.sessions,
      mailboxes: stores.cluster.mailboxes,
      bus: stores.bus,
      now: () => stores.clock.now(),
      advance: async (milliseconds) => {
        offset += milliseconds
      },
      delivered: () => delay(20),
      close: async () => stores.close(),
    }
  })
})

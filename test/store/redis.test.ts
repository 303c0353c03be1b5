import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Clock } from '../../src/relay/ports.ts'
import { openRedis } from '../../src/store/redis/open.ts'
import { describeRedis, type RedisServer, startRedis, startRedisCluster } from '../support/redis-server.ts'
import { newSession } from '../support/session-values.ts'
import { storeContract } from './contract.ts'

for (const [name, start] of [
  ['a real redis-server', startRedis],
  ['a redis-server in cluster mode, which has every command and script keep to one hash slot', startRedisCluster],
] as const) {
  describeRedis(name, () => {
    let redis: RedisServer
    const errors: Error[] = []
    beforeAll(async () => {
      redis = await start()
    })
    afterAll(() => redis.stop())

    storeContract('Redis stores', async () => {
      await redis.command('FLUSHALL')
      let offset = 0
      // The server's time is asked for at the start alone: a relay's tick would ask again, but there is none.
      const own: Clock = { now: () => Math.floor(performance.now()) + offset }
      const stores = openRedis({ url: redis.url, onError: (error) => errors.push(error) }, own)
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

    test('a full set makes room for the sessions in it that are not there, and for no other', async () => {
      await redis.command('FLUSHALL')
      const own: Clock = { now: () => Math.floor(performance.now()) }
      const stores = openRedis({ url: redis.url, onError: (error) => errors.push(error) }, own)
      while (!stores.cluster.isReachable) await delay(5)
      const caps = { sessions: 2, sessionsPerClient: 2, sessionsPerAddress: 2 }
      const create = (name: string) => {
        const names = { id: `session-${name}`, senderCode: `code-${name}` }
        return stores.sessions.create(newSession({ ...names, ttlSeconds: 600 }, stores.clock.now()), caps)
      }
      await create('kept')
      await create('evicted')
      await redis.command('DEL', 'pairlay:{session-evicted}')
      await create('new')
      expect(await stores.sessions.get('session-kept')).toBeDefined()
      await expect(create('one-too-many')).rejects.toMatchObject({ code: 'too_many_sessions' })
      stores.close()
    })

    test('one look for what is due finds 500 sessions at the most', async () => {
      await redis.command('FLUSHALL')
      let offset = 0
      const own: Clock = { now: () => Math.floor(performance.now()) + offset }
      const stores = openRedis({ url: redis.url, onError: (error) => errors.push(error) }, own)
      while (!stores.cluster.isReachable) await delay(5)
      const now = stores.clock.now()
      const create = (i: number) => {
        const session = newSession(
          { id: `session-${i}`, clientId: `client-${i}`, senderCode: `code-${i}`, ttlSeconds: 30 },
          now,
        )
        return stores.sessions.create(session, { sessions: 1_000, sessionsPerClient: 1, sessionsPerAddress: 1_000 })
      }
      await Promise.all(Array.from({ length: 501 }, (_, i) => create(i)))
      offset += 30_000
      expect(await stores.sessions.due()).toHaveLength(500)
      stores.close()
    })

    test('who listens is told that something may have been missed, at first and whenever its connection comes back', async () => {
      let missed = 0
      const own: Clock = { now: () => performance.now() }
      const stores = openRedis({ url: redis.url, onError: () => {} }, own)
      stores.bus.subscribe({ woken: () => {}, missed: () => missed++ })
      await expect.poll(() => missed).toBe(1)
      await redis.command('CLIENT', 'KILL', 'TYPE', 'PUBSUB')
      await expect.poll(() => missed).toBe(2)
      stores.close()
    })

    test('refused nothing of all that', () => {
      expect(errors).toEqual([])
    })
  })
}

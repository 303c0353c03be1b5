import { afterAll, beforeAll, expect, test } from 'vitest'
import { bytesSource } from '../../../src/client/index.ts'
import { bytesOf, collect, join, nextRequest, openSender, outcomeOf, sha256 } from '../../e2e/people.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { describeRedis, type RedisServer, startRedisCluster } from '../../support/redis-server.ts'
import type { RunningNode } from '../../support/server.ts'
import { startTwo } from './two-nodes.ts'

describeRedis('a redis-server in cluster mode', () => {
  let redis: RedisServer
  let A: RunningNode
  let B: RunningNode
  beforeAll(async () => {
    redis = await startRedisCluster()
    ;[A, B] = await startTwo(redis.url, { clock: new FakeClock() })
  })
  afterAll(async () => {
    await Promise.all([A.close(), B.close()])
    await redis.stop()
  })

  test('serves a pairing over two nodes and refuses nothing: all keys of a command are in one slot', async () => {
    const device = await openSender(A.url)
    const { receiver } = await join(B.url, device.sender.code)
    const request = await nextRequest(device)
    expect(request.matchNumber).toBe(await receiver.verified)
    await request.approve()
    const received = collect(receiver)
    const payload = bytesOf(3_000_000)
    expect((await device.sender.send([bytesSource(payload, 'payload')])).map(outcomeOf)).toEqual([payload.length])
    await device.sender.close()
    expect((await received).flat()).toMatchObject([{ sha256: sha256(payload) }])
    for (const node of [A, B]) await node.tick()
    // A machine that is busy may be late with an answer, and the log says it.
    const faults = [A, B].flatMap(({ log }) => log.filter((line) => JSON.parse(line).level >= 50))
    expect(faults.filter((line) => !line.includes('Socket timeout'))).toEqual([])
    expect(String(await redis.command('INFO', 'commandstats'))).toMatch(/cmdstat_xadd:calls=\d{2}/)
    expect(String(await redis.command('INFO', 'errorstats'))).not.toMatch(/errorstat_(CROSSSLOT|MOVED)/)
  })
})

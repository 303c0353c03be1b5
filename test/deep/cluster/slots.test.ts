import { afterAll, beforeAll, expect, test } from 'vitest'
import { bytesSource } from '../../../src/client/index.ts'
import { bytesOf, collect, join, nextRequest, openSender, outcomeOf, sha256 } from '../../e2e/people.ts'
import { describeRedis, type RedisServer, startRedisCluster } from '../../support/redis-server.ts'
import { type RunningNode, startNode } from '../../support/server.ts'

describeRedis('a redis-server in cluster mode', () => {
  let redis: RedisServer
  let A: RunningNode
  let B: RunningNode
  beforeAll(async () => {
    redis = await startRedisCluster()
    A = await startNode(redis.url)
    B = await startNode(redis.url)
    for (const node of [A, B, A]) await node.tick()
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
    for (const { log } of [A, B]) expect(log.filter((line) => JSON.parse(line).level >= 50)).toEqual([])
    expect(String(await redis.command('INFO', 'commandstats'))).toMatch(/cmdstat_xadd:calls=\d{2}/)
    expect(String(await redis.command('INFO', 'errorstats'))).not.toMatch(/errorstat_(CROSSSLOT|MOVED)/)
  })
})

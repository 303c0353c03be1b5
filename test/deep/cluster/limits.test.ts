import { afterEach, beforeEach, expect, test } from 'vitest'
import { call } from '../../support/http.ts'
import { describeRedis, type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type RunningNode, type ServerOptions, startNode } from '../../support/server.ts'
import { freshCode } from './party.ts'

describeRedis('limits of several nodes', () => {
  let redis: RedisServer
  const nodes: RunningNode[] = []
  beforeEach(async () => {
    redis = await startRedis()
  })
  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.close()))
    await redis.stop()
  })

  async function start(options: ServerOptions): Promise<RunningNode> {
    const node = await startNode(redis.url, { trustProxy: ['127.0.0.1'], ...options })
    nodes.push(node)
    return node
  }

  const create = (node: RunningNode, address: string) =>
    call(node.url, 'POST', '/v1/sessions', {
      body: { clientId: freshCode(), senderCode: freshCode() },
      headers: { 'x-forwarded-for': address },
    })

  test('are counted by all nodes together, for a minute, and no address is written', async () => {
    const [A, B] = [await start({ limits: { creates: 3 } }), await start({ limits: { creates: 3 } })]
    const attacker = '192.0.2.7'
    const statuses = [A, B, A, B, A].map((node) => () => create(node, attacker))
    const answers: number[] = []
    for (const ask of statuses) answers.push((await ask()).status)
    expect(answers).toEqual([201, 201, 201, 429, 429])
    const refused = await create(B, attacker)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await create(B, '192.0.2.8')).status).toBe(201)
    const counts = [...(await redis.timeouts())].filter(([key]) => key.includes('count'))
    expect(counts).toHaveLength(2)
    for (const [key, left] of counts) {
      expect(key).not.toContain('192.0.2')
      expect(left).toBeGreaterThan(0)
      expect(left).toBeLessThanOrEqual(60_000)
    }
  })

  test('on unknown codes are also counted by all nodes together', async () => {
    const [A, B] = [await start({ limits: { unknownCodes: 2 } }), await start({ limits: { unknownCodes: 2 } })]
    const join = (node: RunningNode) =>
      call(node.url, 'POST', '/v1/receivers', {
        body: { senderCode: freshCode(), receiverCode: freshCode(), publicKey: 'A'.repeat(43) },
        headers: { 'x-forwarded-for': '192.0.2.7' },
      })
    expect([(await join(A)).status, (await join(B)).status, (await join(A)).status]).toEqual([404, 404, 429])
  })
})

describeRedis('a Redis', () => {
  test('that forgets keys when it is full is said in the log, and one that does not is not', async () => {
    for (const [policy, says] of [
      ['allkeys-lru', 1],
      ['noeviction', 0],
    ] as const) {
      const redis = await startRedis(['--maxmemory', '100mb', '--maxmemory-policy', policy])
      const node = await startNode(redis.url)
      const lines = () => node.log.filter((line) => line.includes('has to be noeviction'))
      await expect.poll(() => lines().length).toBe(says)
      await node.close()
      await redis.stop()
    }
  })
})

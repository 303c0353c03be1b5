import { afterEach, beforeEach, expect, test } from 'vitest'
import { SCHEMA } from '../../../src/store/redis/schema.ts'
import { call } from '../../support/http.ts'
import { describeRedis, type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type RunningNode, type ServerOptions, startNode } from '../../support/server.ts'
import { WireSocket } from '../../support/wire-socket.ts'
import { freshCode, pair } from './party.ts'
import { ticking } from './two-nodes.ts'

const SMALL = 65_568
const LARGE = 262_272
const BIG_FRAME = 'x'.repeat(200_000)

/** Holds docs/cluster.md to what it says of nodes with other settings, or of another version, on one Redis. */
describeRedis('nodes on one Redis', () => {
  let redis: RedisServer
  const nodes: RunningNode[] = []
  let stopTicking = () => {}
  beforeEach(async () => {
    redis = await startRedis()
  })
  afterEach(async () => {
    stopTicking()
    await Promise.all(nodes.splice(0).map((node) => node.close()))
    await redis.stop()
  })

  async function two(first: ServerOptions, second: ServerOptions): Promise<[RunningNode, RunningNode]> {
    const started: [RunningNode, RunningNode] = [await startNode(redis.url, first), await startNode(redis.url, second)]
    nodes.push(...started)
    for (const node of [...started, ...started]) await node.tick()
    stopTicking = ticking(nodes)
    return started
  }

  test('with a larger frame at one: its frames reach a reader at the other, and its answers come back', async () => {
    const [small, large] = await two({ settings: { maxFrameBytes: SMALL } }, { settings: { maxFrameBytes: LARGE } })
    const { S, R } = await pair(large, small)
    S.data(1, 1, BIG_FRAME)
    await R.until(() => R.received === 1)
    expect(R.texts).toEqual([BIG_FRAME])
    R.data(1, 1, 'answer')
    await S.until(() => S.texts.includes('answer'))
  })

  test('with a smaller frame at one: a sender that comes there from the other is closed with 1009 at a large frame', async () => {
    const [small, large] = await two({ settings: { maxFrameBytes: SMALL } }, { settings: { maxFrameBytes: LARGE } })
    const { sender, S, R } = await pair(large, large)
    S.cut()
    const moved = await WireSocket.attach(small.url, sender, [{ channel: 1, received: 0, acked: 0 }])
    moved.data(1, 1, 'small frames pass')
    await R.until(() => R.received === 1)
    moved.data(1, 2, BIG_FRAME)
    expect((await moved.closed()).code).toBe(1009)
  })

  test('with other windows: all arrives, both ways', async () => {
    const windows = [{ settings: { windowBytes: 2 * LARGE } }, { settings: { windowBytes: 8 * LARGE } }] as const
    const { S, R } = await pair(...(await two(...windows)))
    const texts = Array.from({ length: 5 }, (_, at) => `${at}`.repeat(10_000))
    for (const [at, text] of texts.entries()) S.data(1, at + 1, text)
    for (const [at, text] of texts.entries()) R.data(1, at + 1, text)
    await R.until(() => R.received === texts.length)
    await S.until(() => S.received === texts.length)
    expect([R.texts, S.texts]).toEqual([texts, texts])
  })

  test('with other limits: all count together, and each refuses by its own', async () => {
    const [strict, lenient] = await two({ settings: { maxSessions: 2 } }, { settings: { maxSessions: 3 } })
    const create = async (node: RunningNode) => {
      const body = { clientId: freshCode(), senderCode: freshCode() }
      return (await call(node.url, 'POST', '/v1/sessions', { body })).status
    }
    const statuses: number[] = []
    for (const node of [strict, lenient, strict, lenient, lenient]) statuses.push(await create(node))
    expect(statuses).toEqual([201, 201, 503, 201, 503])
  })

  test('of another version: a node that finds it says so, is not ready, and takes nothing, until it is gone', async () => {
    const [, node] = await two({}, {})
    expect(await redis.command('GET', 'pairlay:schema')).toBe(SCHEMA)
    const ready = async () => (await call(node.url, 'GET', '/readyz')).status
    await redis.command('SET', 'pairlay:schema', 'another')
    await expect.poll(ready, { timeout: 60_000 }).toBe(503)
    expect(node.log.join()).toMatch(/sessions of another version of the relay \(schema another, this is \d+\)/)
    const body = { clientId: freshCode(), senderCode: freshCode() }
    const refused = await call(node.url, 'POST', '/v1/sessions', { body })
    expect([refused.status, refused.problem().code]).toEqual([503, 'unavailable'])
    await redis.command('FLUSHALL')
    await expect.poll(ready, { timeout: 60_000 }).toBe(200)
  })
})

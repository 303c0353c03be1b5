import { expect, test } from 'vitest'
import { call } from '../../support/http.ts'
import { describeRedis, type RedisServer } from '../../support/redis-server.ts'
import type { RunningNode } from '../../support/server.ts'
import { WireSocket } from '../../support/wire-socket.ts'
import { end, freshCode, open, pair, view } from './party.ts'
import { eachWithTwoNodes } from './two-nodes.ts'

/** Several times what anybody waits at most for an answer while the store is away: 5 s, but the machine may be busy. */
const ANSWERED_WITHIN_MS = 30_000

describeRedis('a node whose Redis', () => {
  let redis: RedisServer
  let A: RunningNode
  let B: RunningNode
  eachWithTwoNodes((nodes) => {
    ;({ redis, A, B } = nodes)
  })

  const create = () => call(A.url, 'POST', '/v1/sessions', { body: { clientId: freshCode(), senderCode: freshCode() } })
  const statuses = () => Promise.all([A, B].map(async ({ url }) => (await fetch(`${url}/readyz`)).status))
  const isReady = async () => (await call(A.url, 'GET', '/readyz')).status === 200
  const untilReady = () => expect.poll(isReady).toBe(true)
  const untilUnready = () => expect.poll(isReady).toBe(false)

  /** Resolves with how long this took. */
  async function timed<T>(work: Promise<T>): Promise<{ readonly value: T; readonly ms: number }> {
    const before = performance.now()
    return { value: await work, ms: performance.now() - before }
  }

  async function expectUnavailable(): Promise<void> {
    await untilUnready()
    expect((await call(A.url, 'GET', '/readyz')).problem().code).toBe('unavailable')
    expect((await call(A.url, 'GET', '/healthz')).status).toBe(200)
    const answers = await Promise.all(Array.from({ length: 20 }, () => timed(create())))
    for (const { value, ms } of answers) {
      expect(value.problem()).toMatchObject({ code: 'unavailable', status: 503, retryable: true })
      expect(value.headers.get('retry-after')).not.toBeNull()
      expect(ms).toBeLessThan(ANSWERED_WITHIN_MS)
    }
  }

  test('is killed answers 503 at once, and works again when it is back', async () => {
    await untilReady()
    await redis.kill()
    await expectUnavailable()
    await redis.restart()
    await untilReady()
    expect((await create()).status).toBe(201)
  })

  test('is frozen answers 503 soon, also to what was asked in the moment of the freeze', async () => {
    const sender = await open(A)
    redis.freeze()
    const asked = await Promise.all([timed(create()), timed(view(A, sender)), timed(end(B, sender))])
    for (const { value, ms } of asked) {
      expect(value.status).toBe(503)
      expect(ms).toBeLessThan(ANSWERED_WITHIN_MS)
    }
    await expectUnavailable()
    redis.thaw()
    await untilReady()
    expect((await view(A, sender)).status).toBe(200)
    expect((await create()).status).toBe(201)
  })

  test('is frozen closes a socket that needs it, with 1013 within 5 s, and takes it back when it is thawed', async () => {
    const { sender, receiver, S } = await pair(A, B)
    redis.freeze()
    S.data(1, 1, 'to the other node')
    const { value, ms } = await timed(S.closed())
    expect(value).toEqual({ code: 1013, reason: 'unavailable' })
    expect(ms).toBeLessThan(ANSWERED_WITHIN_MS)
    const late = new WireSocket(A.url, sender.sessionId)
    await late.opened()
    late.send(JSON.stringify({ type: 'attach', token: sender.token, channels: [] }))
    const refused = await timed(late.closed())
    expect(refused.value).toMatchObject({ code: 1013 })
    expect(refused.ms).toBeLessThan(ANSWERED_WITHIN_MS)
    redis.thaw()
    await untilReady()
    const again = await WireSocket.attach(A.url, sender)
    const R = await WireSocket.attach(B.url, receiver)
    const { received = 0 } = again.view.channels[0] ?? {}
    // The frame may have been taken in the end: then it is a duplicate, and still comes once.
    again.data(1, 1, 'to the other node')
    await R.until(() => R.received >= 1)
    expect(received).toBeLessThanOrEqual(1)
    expect(R.texts).toEqual(['to the other node'])
  })

  test('is away does not hold up two ends on one node: their frames are in its memory', async () => {
    const { S, R } = await pair(A, A)
    await redis.kill()
    await untilUnready()
    S.data(1, 1, 'without Redis')
    await R.until(() => R.texts.includes('without Redis'))
    R.ack(1, 1)
    await S.until(() => S.messages.some((each) => each.kind === 'ack' && each.seq === 1))
  })

  test('came back empty tells both sides that the session is lost', async () => {
    const { sender, receiver, S, R } = await pair(A, B)
    await redis.restart()
    const ends = await Promise.all([S.closed(), R.closed()])
    for (const [i, { code }] of ends.entries()) {
      if (code === 4404) continue
      // The attach came while there was no server: the client is told on its return.
      expect(code).toBe(1013)
      const { url, member } = i === 0 ? { url: A.url, member: sender } : { url: B.url, member: receiver }
      const attachAgain = async () => {
        const again = new WireSocket(url, member.sessionId)
        await again.opened()
        again.send(JSON.stringify({ type: 'attach', token: member.token, channels: [] }))
        return (await again.closed()).reason
      }
      // A node that has not noticed yet that its connection is gone says that it is ready.
      await expect.poll(attachAgain).not.toBe('unavailable')
      expect(await attachAgain()).toBe('session_not_found')
    }
  })

  test('came back empty ends a long poll, which says that the session is lost', async () => {
    const sender = await open(A)
    const { version } = (await view(A, sender)).json<{ version: string }>()
    const held = view(A, sender, `?version=${version}&waitMs=25000`)
    await redis.restart()
    const { value, ms } = await timed(held)
    expect(['unavailable', 'session_not_found']).toContain(value.problem().code)
    expect(ms).toBeLessThan(10_000)
  })

  test('is out of memory reports it, refuses what is new, and lets what is there come to its end', async () => {
    const { sender, receiver, S, R } = await pair(A, B)
    S.data(1, 1, 'before')
    await R.until(() => R.received === 1)
    await redis.command('CONFIG', 'SET', 'maxmemory', '1mb')
    await untilUnready()
    expect((await create()).problem().code).toBe('unavailable')
    R.ack(1, 1)
    await S.until(() => S.messages.some((each) => each.kind === 'ack' && each.seq === 1))
    S.data(1, 2, 'too much now')
    expect(await S.closed()).toEqual({ code: 1013, reason: 'unavailable' })
    const done = await call(B.url, 'DELETE', `/v1/sessions/${receiver.sessionId}/receivers/${receiver.receiverCode}`, {
      token: receiver.token,
    })
    expect(done.status).toBe(204)
    expect((await end(A, sender)).status).toBe(204)
    await redis.command('CONFIG', 'SET', 'maxmemory', '0')
    await untilReady()
    expect((await create()).status).toBe(201)
  })

  test('is slow reports it, and still works', async () => {
    await untilReady()
    // A script that keeps the server busy for a while, again and again.
    const busy =
      "local t = redis.call('TIME')[1] * 1000000 + redis.call('TIME')[2]; while redis.call('TIME')[1] * 1000000 + redis.call('TIME')[2] < t + 1500000 do end"
    const blocking = redis.command('EVAL', busy, '0')
    await untilUnready()
    await blocking
    expect((await create()).status).toBe(201)
    await untilReady()
  })

  test('was away is found by every node, and new sessions go over both', async () => {
    await redis.kill()
    await expect.poll(statuses).toEqual([503, 503])
    await redis.restart()
    await expect.poll(statuses).toEqual([200, 200])
    const { S, R } = await pair(A, B)
    S.data(1, 1, 'over both')
    await R.until(() => R.texts.includes('over both'))
  })
})

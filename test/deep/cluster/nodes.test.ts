import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EPITAPH_MS } from '../../../src/protocol/limits.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { call } from '../../support/http.ts'
import { describeRedis, type RedisServer, startRedis } from '../../support/redis-server.ts'
import { publicKey } from '../../support/relay.ts'
import { NO_SERVER_STATE, type RunningNode } from '../../support/server.ts'
import { WireSocket } from '../../support/wire-socket.ts'
import { decide, end, freshCode, join, type Member, open, pair, view } from './party.ts'
import { startTwo } from './two-nodes.ts'

describeRedis('two nodes', () => {
  let redis: RedisServer
  let A: RunningNode
  let B: RunningNode
  beforeAll(async () => {
    redis = await startRedis()
    ;[A, B] = await startTwo(redis.url, { clock: new FakeClock() })
  })
  afterAll(async () => {
    await A.close()
    await B.close()
    await redis.stop()
  })

  describe('frames', () => {
    test('of two ends on one node never leave it', async () => {
      const { sender, S, R } = await pair(A, A)
      S.data(1, 1, 'here')
      await R.until(() => R.texts.includes('here'))
      const keys = await redis.keys()
      expect(keys.filter((key) => key.includes(sender.sessionId))).toEqual([`pairlay:{${sender.sessionId}}`])
    })

    test('of a channel whose end moves to another node are sent again from there, and none is lost', async () => {
      const { sender, receiver, S, R } = await pair(A, A)
      S.data(1, 1, 'one')
      await R.until(() => R.received === 1)
      S.data(1, 2, 'two')
      R.cut()
      const moved = await WireSocket.attach(B.url, receiver, [{ channel: 1, received: 1, acked: 0 }])
      // The sender's node has frames where the other node cannot see them: its socket must say again where it is.
      expect(await S.closed()).toEqual({ code: 4409, reason: 'resume_required' })
      const back = await WireSocket.attach(A.url, sender, [{ channel: 1, received: 0, acked: 1 }])
      expect(back.view.channels).toMatchObject([{ received: 1, acked: 1 }])
      back.data(1, 2, 'two')
      await moved.until(() => moved.texts.includes('two'))
      expect(moved.texts).toEqual(['two'])
    })

    test('sent before the other end comes on another node are sent again: their writer attaches anew', async () => {
      const sender = await open(A)
      const receiver = await join(B, sender.senderCode)
      const R = await WireSocket.attach(B.url, receiver)
      R.data(1, 1, 'm1')
      const S = await WireSocket.attach(A.url, sender)
      await expect(R.closed()).resolves.toEqual({ code: 4409, reason: 'resume_required' })
      const again = await WireSocket.attach(B.url, receiver)
      again.data(1, 1, 'm1')
      await S.until(() => S.texts.includes('m1'))
    })

    test('before anything was sent a channel moves without anybody having to attach again', async () => {
      const sender = await open(A)
      const receiver = await join(A, sender.senderCode)
      const S = await WireSocket.attach(A.url, sender)
      await S.until(() => S.view.channels.length === 1)
      const R = await WireSocket.attach(B.url, receiver)
      await S.until(() => S.view.receivers[0]?.present === true)
      R.data(1, 1, 'm1')
      await S.until(() => S.texts.includes('m1'))
      S.data(1, 1, 'm2')
      await R.until(() => R.texts.includes('m2'))
    })
  })

  describe('what only one may have', () => {
    test('a sender code asked for at two nodes at once is given to one, 50 times', async () => {
      for (let round = 0; round < 50; round++) {
        const body = { clientId: freshCode(), senderCode: freshCode() }
        const answers = await Promise.all([A, B].map(({ url }) => call(url, 'POST', '/v1/sessions', { body })))
        expect(answers.map(({ status }) => status).sort()).toEqual([201, 409])
      }
    })

    test('a decision made at two nodes at once stands as one, and both say which, 30 times', async () => {
      for (let round = 0; round < 30; round++) {
        const sender = await open(A)
        const { receiverCode } = await join(B, sender.senderCode)
        const answers = await Promise.all([
          decide(A, sender, receiverCode, { decision: 'approved' }),
          decide(B, sender, receiverCode, { decision: 'denied' }),
        ])
        expect(answers.map(({ status }) => status).sort()).toEqual([204, 409])
        const state = answers[0]?.status === 204 ? 'approved' : 'denied'
        for (const node of [A, B]) {
          expect((await view(node, sender)).json()).toMatchObject({ receivers: [{ state }] })
        }
      }
    })

    test('receivers who join at two nodes at once get different channels, and no more wait than may', async () => {
      const sender = await open(A)
      const body = (receiverCode: string) => ({ senderCode: sender.senderCode, receiverCode, publicKey: publicKey(1) })
      const joins = Array.from({ length: 12 }, (_, i) =>
        call((i % 2 ? A : B).url, 'POST', '/v1/receivers', { body: body(`receiver-${i}`) }),
      )
      const answers = await Promise.all(joins)
      const joined = answers.filter(({ status }) => status === 201)
      const channels = joined.map((each) => each.json<{ channel: number }>().channel)
      expect(channels.sort((one, other) => one - other)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1))
      // Nobody of them is there, so that those who came first make way.
      const { receivers } = (await view(B, sender)).json<{ receivers: { state: string }[] }>()
      expect(receivers.filter(({ state }) => state === 'pending')).toHaveLength(8)
    })

    test('a role that attaches at two nodes at once has one socket: the other is closed with 4001, 20 times', async () => {
      for (let round = 0; round < 20; round++) {
        const sender = await open(A)
        const sockets = [A, B].map(({ url }) => new WireSocket(url, sender.sessionId))
        const message = JSON.stringify({ type: 'attach', token: sender.token, channels: [] })
        await Promise.all(sockets.map((socket) => socket.opened()))
        for (const socket of sockets) socket.send(message)
        const closed = await Promise.race(sockets.map((socket) => socket.closed()))
        expect(closed).toEqual({ code: 4001, reason: 'superseded' })
        await end(A, sender)
        expect((await Promise.all(sockets.map((socket) => socket.closed()))).map(({ code }) => code).sort()).toEqual([
          4001, 4410,
        ])
      }
    })

    test('a client id has so many sessions over all nodes', async () => {
      const clientId = freshCode()
      for (let i = 0; i < 32; i++) await open(i % 2 ? A : B, { clientId })
      const body = { clientId, senderCode: freshCode() }
      expect((await call(A.url, 'POST', '/v1/sessions', { body })).problem().code).toBe('too_many_sessions')
    })
  })

  describe('over HTTP', () => {
    const frames = (node: RunningNode, { sessionId, token }: Member, method: string, seq: number, text?: string) =>
      call(node.url, method, `/v1/sessions/${sessionId}/channels/1/frames/${seq}`, {
        token,
        ...(text === undefined ? {} : { raw: { text, type: 'application/octet-stream' } }),
      })
    const attach = (node: RunningNode, { sessionId, token }: Member) =>
      call(node.url, 'PUT', `/v1/sessions/${sessionId}/attachment`, { token, body: { channels: [] } })

    test('a client may ask another node each time', async () => {
      const sender = await open(A)
      const receiver = await join(B, sender.senderCode)
      await attach(A, sender)
      await attach(B, receiver)
      expect((await frames(A, receiver, 'PUT', 1, 'm1')).json()).toMatchObject({ received: 1, acked: 0 })
      expect((await frames(B, receiver, 'PUT', 2, 'm3')).json()).toMatchObject({ received: 2, acked: 0 })
      expect((await frames(B, sender, 'GET', 1)).text).toBe('m1')
      expect((await frames(A, sender, 'GET', 2)).text).toBe('m3')
      expect((await frames(B, sender, 'DELETE', 2)).status).toBe(204)
      const polled = await view(A, receiver, '?waitMs=0&channels=1.0.0')
      expect(polled.json()).toMatchObject({ channels: [{ channel: 1, received: 2, acked: 2 }] })
    })
  })

  test('a node keeps nothing of a session whose sockets have left it', async () => {
    const [C, D] = await startTwo(redis.url, { clock: new FakeClock() })
    const { sender, S, R } = await pair(C, D)
    S.data(1, 1, 'x')
    await R.until(() => R.received === 1)
    await end(C, sender)
    await Promise.all([S.closed(), R.closed()])
    for (const node of [C, D]) {
      await expect.poll(() => node.counters()).toEqual(NO_SERVER_STATE)
      await node.close()
    }
  })
})

describeRedis('time over two nodes', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.stop())

  test('a session expires once, everywhere, and a minute later nothing of it is left', async () => {
    const clock = new FakeClock()
    const [A, B] = await startTwo(redis.url, { clock })
    const { sender, S, R } = await pair(A, B)
    S.data(1, 1, 'x')
    await R.until(() => R.received === 1)
    clock.advance(900_000)
    await Promise.all([A.tick(), B.tick()])
    expect(await S.closed()).toMatchObject({ code: 4410 })
    expect(await R.closed()).toMatchObject({ code: 4410 })
    expect(S.view).toMatchObject({ state: 'closed', reason: 'expired' })
    expect((await view(B, sender)).json()).toMatchObject({ state: 'closed', reason: 'expired' })
    clock.advance(EPITAPH_MS)
    await Promise.all([A.tick(), B.tick()])
    expect((await view(A, sender)).status).toBe(404)
    const ofNodes = ['pairlay:nodes', 'pairlay:schema', 'pairlay:source-key']
    expect((await redis.keys()).filter((key) => !ofNodes.includes(key))).toEqual([])
    await A.close()
    await B.close()
    expect((await redis.keys()).toSorted()).toEqual(['pairlay:schema', 'pairlay:source-key'])
  })

  test('every key has a time-out, none beyond its session’s deadline and a minute', async () => {
    const [A, B] = await startTwo(redis.url, { clock: new FakeClock() })
    const { S, R } = await pair(A, B)
    S.data(1, 1, 'x')
    R.data(1, 1, 'y')
    await R.until(() => R.received === 1)
    await S.until(() => S.received === 1)
    const timeouts = await redis.timeouts()
    // About no session: it outlives all that a node may have left.
    expect(timeouts.get('pairlay:schema')).toBeGreaterThan(0)
    timeouts.delete('pairlay:schema')
    expect(timeouts.size).toBeGreaterThanOrEqual(9)
    // An hour more, because the clock of the server may be set.
    const most = 900_000 + EPITAPH_MS + 3_600_000
    for (const [key, left] of timeouts) {
      expect(left, key).toBeGreaterThan(0)
      expect(left, key).toBeLessThanOrEqual(most)
    }
    await A.close()
    await B.close()
  })

  test('an ended node is soon seen as such: who was there is not present any more', async () => {
    const clock = new FakeClock()
    const [A, B] = await startTwo(redis.url, { clock })
    const { S, R } = await pair(A, B)
    // B says nothing any more, and has not said that it leaves.
    clock.advance(6_000)
    await A.tick()
    await S.until(() => S.view.receivers[0]?.present === false)
    await B.tick()
    await A.tick()
    await S.until(() => S.view.receivers[0]?.present === true)
    R.cut()
    await A.close()
    await B.close()
  })
})

import { describe, expect, test } from 'vitest'
import { LONG_POLL_MAX_MS } from '../../src/protocol/limits.ts'
import { expectRefusal } from '../support/refusal.ts'
import { opened, publicKey, settled, TestRelay } from '../support/relay.ts'

describe('creating a session', () => {
  const request = { clientId: 'a client', senderCode: 'a-code' }

  test('gives an id, a token, the time that is left and the limits as granted', async () => {
    const node = new TestRelay()
    expect(await node.relay.createSession({ ...request, ttlSeconds: 60, maxReceivers: 3 }, 'a source')).toEqual({
      sessionId: expect.stringMatching(/^[\w-]{22}$/),
      token: expect.stringMatching(/^[\w-]{43}$/),
      expiresInMs: 60_000,
      limits: { windowBytes: 8 * 4096, maxFrameBytes: 4096, maxReceivers: 3, ttlSeconds: 60 },
      features: [],
    })
  })

  test('is refused beyond the sessions of one client address, whatever client id it gives', async () => {
    const node = new TestRelay({ settings: { maxSessionsPerSource: 2 } })
    const attacker = (i: number) =>
      node.relay.createSession({ clientId: `client ${i}`, senderCode: `code-${i}` }, '192.0.2.1')
    for (let i = 0; i < 2; i++) await attacker(i)
    await expectRefusal(() => attacker(2), 'too_many_sessions')
    await node.relay.createSession({ clientId: 'a client', senderCode: 'code-3' }, '192.0.2.2')
  })
})

describe('joining', () => {
  test('gives the id of the session, a token, the channel, the time that is left and the limits', async () => {
    const { node, sender } = await opened({ ttlSeconds: 60, maxReceivers: 2 })
    node.clock.advance(12_345)
    const request = { senderCode: sender.senderCode, receiverCode: 'receiver', publicKey: publicKey(1) }
    expect(await node.relay.join(request, 'a source')).toEqual({
      sessionId: sender.sessionId,
      token: expect.stringMatching(/^[\w-]{43}$/),
      channel: 1,
      expiresInMs: 47_655,
      limits: { windowBytes: 8 * 4096, maxFrameBytes: 4096, maxReceivers: 2, ttlSeconds: 60 },
      features: [],
      profile: 'AQ',
    })
  })
})

describe('a long poll', () => {
  async function scene() {
    const { node, sender } = await opened()
    const { version } = await node.view(sender)
    const answers: string[] = []
    const poll = (waitMs: number, asked: string | undefined = version) => {
      const answer = node.relay.view(sender.sessionId, sender.token, { version: asked, waitMs })
      answer.then((view) => answers.push(view.version)).catch(() => {})
      return answer
    }
    return { node, sender, version, answers, poll }
  }

  test('is held while its version is current, and answered with the next change', async () => {
    const { node, sender, version, answers, poll } = await scene()
    void poll(25_000)
    await settled()
    await node.tick()
    expect(answers).toEqual([])
    expect(node.counters().watchers).toBe(1)
    await settled(node.join(sender.senderCode))
    expect(answers).toHaveLength(1)
    expect(answers).not.toContain(version)
    expect(node.counters().watchers).toBe(0)
  })

  test('is answered with the same view when its time is up, and not earlier', async () => {
    const { node, version, answers, poll } = await scene()
    void poll(10_000)
    await node.pass(9_999)
    expect(answers).toEqual([])
    await node.pass(1)
    expect(answers).toEqual([version])
    expect(node.counters().watchers).toBe(0)
  })

  test(`is held ${LONG_POLL_MAX_MS} ms at most`, async () => {
    const { node, answers, poll } = await scene()
    const attacker = poll(3_600_000)
    await node.pass(LONG_POLL_MAX_MS - 1)
    expect(answers).toEqual([])
    await node.pass(1)
    expect(answers).toHaveLength(1)
    await attacker
  })

  test('goes on being held over a wake-up that changed nothing', async () => {
    const { node, sender, answers, poll } = await scene()
    await node.relay.retireCode(sender.sessionId, sender.token)
    const { version } = await node.view(sender)
    void poll(25_000, version)
    await settled()
    await settled(node.relay.retireCode(sender.sessionId, sender.token))
    expect(answers).toEqual([])
    expect(node.counters().watchers).toBe(1)
    await node.pass(25_000)
    expect(answers).toEqual([version])
  })

  test('is answered with the closed view when the session ends or expires, and not held after that', async () => {
    const { node, sender, poll } = await scene()
    const held = poll(25_000)
    await settled()
    await node.close(sender)
    const view = await held
    expect(view).toMatchObject({ state: 'closed', reason: 'closed_by_sender' })
    expect(await poll(25_000, view.version)).toEqual(view)
    const expiring = await node.open({ ttlSeconds: 30 })
    await node.pass(29_000)
    const { version } = await node.view(expiring)
    const last = node.relay.view(expiring.sessionId, expiring.token, { version, waitMs: 25_000 })
    await node.pass(1_000)
    expect(await last).toMatchObject({ state: 'closed', reason: 'expired' })
    expect(node.counters().watchers).toBe(0)
  })

  test('fails when its session is gone altogether', async () => {
    const { node, sender, poll } = await scene()
    const held = poll(25_000)
    const failed = expectRefusal(() => held, 'session_not_found')
    await settled()
    await node.sessions.delete(sender.sessionId)
    node.look(sender.sessionId)
    await failed
    expect(node.counters().watchers).toBe(0)
  })

  test('does not hold others up: many of them on one session are all answered', async () => {
    const { node, sender, answers, poll } = await scene()
    for (let i = 0; i < 50; i++) void poll(25_000)
    await settled()
    expect(node.counters().watchers).toBe(1)
    await settled(node.join(sender.senderCode))
    expect(answers).toHaveLength(50)
    expect(node.counters().watchers).toBe(0)
  })
})

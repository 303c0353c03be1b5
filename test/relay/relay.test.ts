import { describe, expect, test } from 'vitest'
import { EPITAPH_MS, LONG_POLL_MAX_MS } from '../../src/protocol/limits.ts'
import type { RelayError } from '../../src/relay/errors.ts'
import { FakeSecrets } from '../support/fake-secrets.ts'
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

  test('takes the operator’s time-out when the client asks for none, and one receiver', async () => {
    const node = new TestRelay({ settings: { sessionTtlSeconds: 120, maxReceivers: 5 } })
    const { expiresInMs, limits } = await node.relay.createSession(request, 'a source')
    expect([expiresInMs, limits]).toMatchObject([120_000, { ttlSeconds: 120, maxReceivers: 1 }])
  })

  test('grants the operator’s maximum to who asks for more, and says so', async () => {
    const node = new TestRelay({ settings: { maxSessionTtlSeconds: 600, maxReceivers: 2 } })
    const attacker = { ...request, ttlSeconds: 3600, maxReceivers: 8 }
    const { expiresInMs, limits } = await node.relay.createSession(attacker, 'a source')
    expect([expiresInMs, limits]).toMatchObject([600_000, { ttlSeconds: 600, maxReceivers: 2 }])
  })

  test('is refused for a code in use, and the owner notices nothing', async () => {
    const { node, sender } = await opened()
    const before = await node.view(sender)
    const attacker = () => node.open({ senderCode: sender.senderCode })
    await expectRefusal(attacker, 'code_in_use')
    expect(await node.view(sender)).toEqual(before)
    expect(node.counters().sessions).toBe(1)
  })

  test('is refused beyond MAX_SESSIONS, epitaphs included, and works again when one is gone', async () => {
    const { node, sender } = await opened({}, { settings: { maxSessions: 2 } })
    await node.open()
    await node.close(sender)
    const attacker = () => node.open()
    await expectRefusal(attacker, 'at_capacity')
    await node.pass(EPITAPH_MS)
    await node.open()
  })

  test('is refused beyond the sessions of one client address, whatever client id it gives', async () => {
    const node = new TestRelay({ settings: { maxSessionsPerSource: 2 } })
    const attacker = (i: number) =>
      node.relay.createSession({ clientId: `client ${i}`, senderCode: `code-${i}` }, '192.0.2.1')
    for (let i = 0; i < 2; i++) await attacker(i)
    await expectRefusal(() => attacker(2), 'too_many_sessions')
    await node.relay.createSession({ clientId: 'a client', senderCode: 'code-3' }, '192.0.2.2')
  })

  test('is refused beyond the sessions of one client id, and works again when one is closed', async () => {
    const { node, sender } = await opened({ clientId: 'attacker' }, { settings: { maxSessionsPerClient: 2 } })
    await node.open({ clientId: 'attacker' })
    const attacker = () => node.open({ clientId: 'attacker' })
    await expectRefusal(attacker, 'too_many_sessions')
    await node.open({ clientId: 'another' })
    await node.close(sender)
    await attacker()
  })

  test('gives different ids and tokens every time', async () => {
    const node = new TestRelay()
    const made = [await node.open(), await node.open(), await node.open()]
    expect(new Set(made.flatMap((each) => [each.sessionId, each.token])).size).toBe(6)
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

  test('gets the sender’s profile, and shows its own to the sender and itself', async () => {
    const { node, sender } = await opened({ profile: 'AgEC' })
    const request = { senderCode: sender.senderCode, receiverCode: 'phone', publicKey: publicKey(1), profile: 'AgM' }
    const joined = await node.relay.join(request, 'a source')
    expect(joined.profile).toBe('AgEC')
    expect((await node.view(sender)).receivers).toMatchObject([{ profile: 'AgM' }])
    expect((await node.view({ sessionId: joined.sessionId, token: joined.token })).receivers).toMatchObject([
      { profile: 'AgM' },
    ])
  })

  test('is shown to the sender with key and name', async () => {
    const { node, sender } = await opened()
    const socket = await node.attach(sender)
    await settled(node.join(sender.senderCode, { receiverCode: 'phone', publicKey: publicKey(7), name: 'Pixel' }))
    expect(socket.view.receivers).toEqual([
      {
        receiverCode: 'phone',
        channel: 1,
        state: 'pending',
        publicKey: publicKey(7),
        profile: 'AQ',
        name: 'Pixel',
        present: false,
      },
    ])
  })

  test('has one and the same answer for every code that does not work', async () => {
    const node = new TestRelay({ settings: { maxReceivers: 1 } })
    const codes = { unknown: 'never-seen', retired: '', closed: '', expired: '', 'used up': '' }
    const retired = await node.open()
    await node.relay.retireCode(retired.sessionId, retired.token)
    codes.retired = retired.senderCode
    const closed = await node.open()
    await node.close(closed)
    codes.closed = closed.senderCode
    const full = await node.open()
    await node.approve(full, await node.join(full.senderCode))
    codes['used up'] = full.senderCode
    const expired = await node.open({ ttlSeconds: 30 })
    node.clock.advance(30_000)
    codes.expired = expired.senderCode
    const answers = new Set<string>()
    for (const senderCode of Object.values(codes)) {
      const attacker = () => node.join(senderCode)
      await expectRefusal(attacker, 'session_not_found')
      const answer = await attacker().catch((error: RelayError) => [error.code, error.message, error.detail])
      answers.add(JSON.stringify(answer))
    }
    expect(answers.size).toBe(1)
  })

  test('is refused for a receiver code that was used, and the session stays as it is', async () => {
    const { node, sender } = await opened()
    await node.join(sender.senderCode, { receiverCode: 'same' })
    const before = await node.view(sender)
    const attacker = () => node.join(sender.senderCode, { receiverCode: 'same' })
    await expectRefusal(attacker, 'receiver_code_in_use')
    expect(await node.view(sender)).toEqual(before)
  })

  test('the same receiver code works in another session', async () => {
    const node = new TestRelay()
    const [one, two] = [await node.open(), await node.open()]
    await node.join(one.senderCode, { receiverCode: 'same' })
    await node.join(two.senderCode, { receiverCode: 'same' })
  })
})

describe('commands', () => {
  async function scene() {
    const { node, sender } = await opened()
    const [one, two] = [await node.join(sender.senderCode), await node.join(sender.senderCode)]
    const stranger = { sessionId: sender.sessionId, token: new FakeSecrets(1_000_000).token() }
    const other = await node.open()
    const foreigner = { sessionId: sender.sessionId, token: other.token }
    const { relay } = node
    const commands = {
      view: (by: { token: string }) => node.view({ ...sender, token: by.token }),
      decide: (by: { token: string }) => node.approve({ ...sender, token: by.token }, one),
      'end a receiver': (by: { token: string }) => node.end({ ...sender, token: by.token }, one),
      'retire the code': (by: { token: string }) => relay.retireCode(sender.sessionId, by.token),
      'close the session': (by: { token: string }) => relay.closeSession(sender.sessionId, by.token),
    }
    return { node, sender, one, two, stranger, foreigner, commands }
  }

  test('with a token of nobody or of another session are unauthorized, and nothing changes', async () => {
    const { node, sender, stranger, foreigner, commands } = await scene()
    const before = await node.view(sender)
    for (const attacker of [stranger, foreigner]) {
      for (const command of Object.values(commands)) await expectRefusal(() => command(attacker), 'unauthorized')
    }
    expect(await node.view(sender)).toEqual(before)
  })

  test('of the sender are forbidden to a receiver, and nothing changes', async () => {
    const { node, sender, one: attacker, commands } = await scene()
    const before = await node.view(sender)
    for (const name of ['decide', 'retire the code', 'close the session'] as const) {
      await expectRefusal(() => commands[name](attacker), 'forbidden')
    }
    expect(await node.view(sender)).toEqual(before)
  })

  test('that would end another receiver, or none, are forbidden to a receiver', async () => {
    const { node, sender, one, two: attacker } = await scene()
    const before = await node.view(sender)
    await expectRefusal(() => node.end(attacker, one), 'forbidden')
    await expectRefusal(() => node.end(attacker, { receiverCode: 'nobody' }), 'forbidden')
    expect(await node.view(sender)).toEqual(before)
  })

  test('about a receiver nobody knows are receiver_not_found for the sender', async () => {
    const { node, sender } = await scene()
    await expectRefusal(() => node.approve(sender, { receiverCode: 'nobody' }), 'receiver_not_found')
    await expectRefusal(() => node.end(sender, { receiverCode: 'nobody' }), 'receiver_not_found')
  })

  test('about a session nobody knows are session_not_found, whatever the token', async () => {
    const { node, sender } = await scene()
    const nowhere = { sessionId: new FakeSecrets(1_000_000).sessionId(), token: sender.token }
    await expectRefusal(() => node.view(nowhere), 'session_not_found')
    await expectRefusal(() => node.close(nowhere), 'session_not_found')
    await expectRefusal(() => node.relay.retireCode(nowhere.sessionId, nowhere.token), 'session_not_found')
    await expectRefusal(() => node.approve(nowhere, { receiverCode: 'x' }), 'session_not_found')
    await expectRefusal(() => node.end(nowhere, { receiverCode: 'x' }), 'session_not_found')
  })

  test('may be repeated and then change nothing', async () => {
    const { node, sender, one, two } = await scene()
    const twice = async (command: () => Promise<unknown>) => {
      await command()
      const { version } = await node.view(sender)
      await command()
      expect((await node.view(sender)).version).toBe(version)
    }
    await twice(() => node.approve(sender, one))
    await twice(() => node.relay.retireCode(sender.sessionId, sender.token))
    await twice(() => node.end(one, one))
    const denial = { decision: 'denied', reason: 'handshake_failed' } as const
    await twice(() => node.relay.decide(sender.sessionId, sender.token, two.receiverCode, denial))
    await twice(() => node.end(two, two))
    await twice(() => node.close(sender))
  })

  test('a denial without a reason is a rejection', async () => {
    const { node, sender, one } = await scene()
    await node.relay.decide(sender.sessionId, sender.token, one.receiverCode, { decision: 'denied' })
    const rejected = { decision: 'denied', reason: 'rejected' } as const
    await node.relay.decide(sender.sessionId, sender.token, one.receiverCode, rejected)
    expect((await node.view(one)).receivers).toMatchObject([{ state: 'denied', reason: 'rejected' }])
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

  test('is answered at once when its version is not current, when it has none, or when it does not wait', async () => {
    const { version, answers, poll } = await scene()
    void poll(25_000, 'another')
    void poll(25_000, '')
    void poll(0)
    await settled()
    expect(answers).toEqual([version, version, version])
  })

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

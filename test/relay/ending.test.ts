import { describe, expect, test } from 'vitest'
import { EPITAPH_MS } from '../../src/protocol/limits.ts'
import type { CloseReason, ReceiverState } from '../../src/protocol/view.ts'
import { expectRefusal } from '../support/refusal.ts'
import { type JoinedReceiver, type Member, NOTHING_LEFT, opened, paired, settled, TestRelay } from '../support/relay.ts'

const TTL_MS = 900_000

describe('the epitaph', () => {
  async function closedPair() {
    const { node, sender, receiver, senderSocket, receiverSockets } = await paired()
    await settled(node.close(sender))
    return { node, sender, receiver: receiver, senderSocket, receiverSockets }
  }

  test('a token that is not of the session learns nothing', async () => {
    const { node, sender } = await closedPair()
    const other = await node.open()
    const attacker = { sessionId: sender.sessionId, token: other.token }
    await expectRefusal(() => node.view(attacker), 'unauthorized')
    await expectRefusal(() => node.close(attacker), 'unauthorized')
    expect((await node.attach(attacker)).closedWith).toBe('unauthorized')
  })

  test(`ends after ${EPITAPH_MS} ms: then there is nothing, and the code is free`, async () => {
    const { node, sender, receiver } = await closedPair()
    const { senderCode } = sender
    await node.pass(EPITAPH_MS)
    for (const member of [sender, receiver]) {
      await expectRefusal(() => node.view(member), 'session_not_found')
      expect((await node.attach(member)).closedWith).toBe('session_not_found')
    }
    await expectRefusal(() => node.close(sender), 'session_not_found')
    expect(node.counters()).toEqual(NOTHING_LEFT)
    const next = await node.open({ senderCode })
    await expectRefusal(() => node.view({ ...next, token: sender.token }), 'unauthorized')
  })
})

describe('the deadline', () => {
  test('ends the session to the millisecond, without anybody having noticed', async () => {
    const { node, sender, receiver, senderSocket, receiverSocket } = await paired()
    node.clock.advance(TTL_MS - 1)
    expect(await node.view(sender)).toMatchObject({ state: 'open', expiresInMs: 1 })
    const late = await node.join(sender.senderCode)
    node.clock.advance(1)
    expect(await node.view(sender)).toMatchObject({ state: 'closed', reason: 'expired', expiresInMs: 0 })
    await expectRefusal(() => node.join(sender.senderCode), 'session_not_found')
    await expectRefusal(() => node.approve(sender, late), 'session_gone')
    await expectRefusal(() => node.end(receiver, receiver), 'session_gone')
    await expectRefusal(() => node.relay.retireCode(sender.sessionId, sender.token), 'session_gone')
    await settled(senderSocket.data(1, 1))
    expect(receiverSocket.frames).toEqual([])
    expect(node.discards).toEqual(['channel_ended'])
  })

  test('an attach after it gets the closed view and then session_gone, also when it is the first to notice', async () => {
    const { node, sender } = await opened()
    node.clock.advance(TTL_MS)
    const socket = await node.attach(sender)
    expect(socket.sent).toMatchObject([{ kind: 'view', view: { state: 'closed', reason: 'expired' } }])
    expect(socket.closedWith).toBe('session_gone')
  })

  test('closing after it finds the session expired', async () => {
    const { node, sender } = await opened()
    node.clock.advance(TTL_MS)
    await node.close(sender)
    expect(await node.view(sender)).toMatchObject({ state: 'closed', reason: 'expired' })
  })

  test('tells every socket at the next tick', async () => {
    const { node, senderSocket, receiverSockets } = await paired()
    await node.pass(TTL_MS)
    for (const socket of [senderSocket, ...receiverSockets]) {
      expect(socket.view).toMatchObject({ state: 'closed', reason: 'expired' })
      expect(socket.closedWith).toBe('session_gone')
    }
  })

  test('is not moved by anything that happens', async () => {
    const { node, sender, receiver, senderSocket } = await paired()
    for (let second = 1; second < 900; second++) {
      node.clock.advance(1_000)
      if (second % 100 === 0) {
        senderSocket.data(1, second / 100)
        await node.join(sender.senderCode)
        await node.attach(receiver)
        await node.tick()
      }
    }
    expect((await node.view(sender)).expiresInMs).toBe(1_000)
  })

  test('an epitaph that nobody swept for long is over with the second tick', async () => {
    const { node, sender } = await opened()
    node.clock.advance(TTL_MS + EPITAPH_MS)
    await node.tick()
    await node.tick()
    await expectRefusal(() => node.view(sender), 'session_not_found')
    expect(node.counters()).toEqual(NOTHING_LEFT)
  })
})

describe('draining', () => {
  test('every socket gets the closed view with shutting_down, then going_away', async () => {
    const node = new TestRelay()
    const [one, two] = [await node.pair(2), await node.pair()]
    await settled(node.relay.drain())
    for (const socket of [one.senderSocket, ...one.receiverSockets, two.senderSocket, ...two.receiverSockets]) {
      expect(socket.sent.at(-1)).toMatchObject({ kind: 'view', view: { state: 'closed', reason: 'shutting_down' } })
      expect(socket.closedWith).toBe('going_away')
      expect(socket.violations).toBe(0)
    }
    expect(node.counters()).toMatchObject({ sockets: 0, mailboxes: 0, grantedBytes: 0, unackedBytes: 0 })
  })

  test('a socket that has not attached gets going_away', async () => {
    const { node, sender } = await opened()
    const socket = node.connect(sender.sessionId)
    await settled(node.relay.drain())
    expect(socket.closedWith).toBe('going_away')
  })

  test('a socket that comes later gets going_away at once', async () => {
    const { node, sender } = await opened()
    await node.relay.drain()
    const socket = await node.attach(sender)
    expect(socket.closedWith).toBe('going_away')
    expect(socket.sent).toEqual([])
    expect(node.counters().sockets).toBe(0)
  })

  test('a stuck socket does not hold it up', async () => {
    const { node, senderSocket, receiverSocket: attacker } = await paired()
    attacker.room = 1
    attacker.answersClose = false
    await settled(senderSocket.data(1, 1))
    await node.relay.drain()
    expect(attacker.closedWith).toBe('going_away')
    expect(attacker.violations).toBe(0)
    expect(senderSocket.closedWith).toBe('going_away')
  })

  test('a long poll is answered with the closed view', async () => {
    const { node, sender } = await opened()
    const { version } = await node.view(sender)
    const held = node.relay.view(sender.sessionId, sender.token, { version, waitMs: 25_000 })
    await settled()
    await node.relay.drain()
    expect(await held).toMatchObject({ state: 'closed', reason: 'shutting_down' })
    expect(node.counters().watchers).toBe(0)
  })

  test('creates and joins are refused with going_away, and nothing is held any more', async () => {
    const { node, sender } = await opened()
    await node.relay.drain()
    expect(node.relay.unready).toBe('going_away')
    await expectRefusal(() => node.open(), 'going_away')
    await expectRefusal(() => node.join(sender.senderCode), 'going_away')
    const { version } = await node.view(sender)
    const view = await node.relay.view(sender.sessionId, sender.token, { version, waitMs: 25_000 })
    expect(view.version).toBe(version)
  })

  test('a session that ended before keeps its reason', async () => {
    const { node, sender } = await paired()
    await node.close(sender)
    await node.relay.drain()
    expect(await node.view(sender)).toMatchObject({ reason: 'closed_by_sender' })
  })
})

describe('nothing is left of a session', () => {
  interface Scene {
    readonly node: TestRelay
    readonly sender: Member
    readonly receivers: readonly JoinedReceiver[]
  }
  const roads: Record<CloseReason, (scene: Scene) => Promise<void>> = {
    completed: async ({ node, sender, receivers }) => {
      const { receivers: rows } = await node.view(sender)
      for (const [index, receiver] of receivers.entries()) {
        if (rows[index]?.state === 'approved') await node.end(receiver, receiver)
      }
      await node.close(sender)
    },
    closed_by_sender: ({ node, sender }) => node.close(sender),
    expired: ({ node }) => node.pass(TTL_MS),
    shutting_down: ({ node }) => node.relay.drain(),
  }
  const states: Record<ReceiverState, (scene: Scene, receiver: JoinedReceiver) => Promise<void>> = {
    pending: async () => {},
    approved: ({ node, sender }, receiver) => node.approve(sender, receiver),
    denied: ({ node, sender }, { receiverCode }) =>
      node.relay.decide(sender.sessionId, sender.token, receiverCode, { decision: 'denied' }),
    left: ({ node }, receiver) => node.end(receiver, receiver),
    done: async ({ node, sender }, receiver) => {
      await node.approve(sender, receiver)
      await node.end(receiver, receiver)
    },
    revoked: async ({ node, sender }, receiver) => {
      await node.approve(sender, receiver)
      await node.end(sender, receiver)
    },
  }

  /** Two approved receivers and a third in the state to be tested, frames in every direction, and a long poll. */
  async function busy(reach: (typeof states)[ReceiverState]) {
    const { node, sender, receivers: approved, senderSocket, receiverSockets } = await paired(2)
    const third = await node.join(sender.senderCode)
    const scene: Scene = { node, sender, receivers: [...approved, third] }
    receiverSockets.push(await node.attach(third))
    for (const [index, socket] of receiverSockets.entries()) {
      senderSocket.data(index + 1, 1, new Uint8Array(1000))
      socket.data(index + 1, 1, new Uint8Array(1000))
    }
    await settled()
    await reach(scene, third)
    await settled()
    const { version } = await node.view(sender)
    const poll = node.relay.view(sender.sessionId, sender.token, { version, waitMs: 25_000 })
    await settled()
    expect(node.counters()).toMatchObject({ sockets: 4, watchers: 1 })
    expect(node.counters().unackedBytes).toBeGreaterThanOrEqual(4 * 1008)
    return { scene, poll, sockets: [senderSocket, ...receiverSockets] }
  }

  for (const [reason, end] of Object.entries(roads)) {
    for (const [state, reach] of Object.entries(states)) {
      // With an approval taken back a session does not count as completed.
      const expected = reason === 'completed' && state === 'revoked' ? 'closed_by_sender' : reason

      test(`that ended ${reason} with a receiver ${state}`, async () => {
        const { scene, poll } = await busy(reach)
        const { node, sender } = scene
        await end(scene)
        await settled()
        await poll
        expect(await node.view(sender)).toMatchObject({ state: 'closed', reason: expected })
        // The session, its code and its deadline; nothing else outlives the end.
        expect(node.counters()).toEqual({ ...NOTHING_LEFT, sessions: 1, storeEntries: 3 })
        await node.pass(EPITAPH_MS)
        expect(node.counters()).toEqual(NOTHING_LEFT)
        expect(node.failures).toEqual([])
      })

      // A session nobody is attached to is not told of a shutdown: it goes with the process.
      if (reason === 'shutting_down') continue
      test(`that ended ${reason} with a receiver ${state}, after everybody had lost the connection`, async () => {
        const { scene, poll, sockets } = await busy(reach)
        const { node, sender } = scene
        for (const socket of sockets) socket.vanish()
        await settled()
        expect(node.counters().sockets).toBe(0)
        await end(scene)
        await settled()
        await poll
        expect(await node.view(sender)).toMatchObject({ state: 'closed', reason: expected })
        expect(node.counters()).toEqual({ ...NOTHING_LEFT, sessions: 1, storeEntries: 3 })
        await node.pass(EPITAPH_MS)
        expect(node.counters()).toEqual(NOTHING_LEFT)
      })
    }
  }
})

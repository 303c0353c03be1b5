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

  test('tells every socket at the next tick', async () => {
    const { node, senderSocket, receiverSockets } = await paired()
    await node.pass(TTL_MS)
    for (const socket of [senderSocket, ...receiverSockets]) {
      expect(socket.view).toMatchObject({ state: 'closed', reason: 'expired' })
      expect(socket.closedWith).toBe('session_gone')
    }
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

      // A session nobody is attached to is not told of a shutdown: it goes with the process.
      test.each(reason === 'shutting_down' ? [false] : [false, true])(
        `that ended ${reason} with a receiver ${state}, after everybody had lost the connection: %s`,
        async (lost) => {
          const { scene, poll, sockets } = await busy(reach)
          const { node, sender } = scene
          if (lost) {
            for (const socket of sockets) socket.vanish()
            await settled()
            expect(node.counters().sockets).toBe(0)
          }
          await end(scene)
          await settled()
          await poll
          expect(await node.view(sender)).toMatchObject({ state: 'closed', reason: expected })
          // The session, its code and its deadline; nothing else outlives the end.
          expect(node.counters()).toEqual({ ...NOTHING_LEFT, sessions: 1, storeEntries: 3 })
          await node.pass(EPITAPH_MS)
          expect(node.counters()).toEqual(NOTHING_LEFT)
          expect(node.failures).toEqual([])
        },
      )
    }
  }
})

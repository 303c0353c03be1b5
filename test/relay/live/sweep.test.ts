import { describe, expect, test } from 'vitest'
import { PENDING_ABSENT_MS } from '../../../src/protocol/limits.ts'
import type { SessionStore } from '../../../src/relay/ports.ts'
import { opened, settled, TestRelay } from '../../support/relay.ts'

/** A relay whose store fails on one session, as on a document that nobody can read. */
function failingOn(broken: { sessionId: string }) {
  const bug = new TypeError('a bug')
  const wrapSessions = (store: SessionStore): SessionStore => ({
    create: (session, caps) => store.create(session, caps),
    findByCode: (code) => store.findByCode(code),
    get: async (id) => {
      if (id === broken.sessionId) throw bug
      return store.get(id)
    },
    update: (id, change) => store.update(id, change),
    delete: (id) => store.delete(id),
    due: () => store.due(),
  })
  return { node: new TestRelay({ wrapSessions }), bug }
}

describe('the sweep', () => {
  test('goes past a session that fails, says so once, and ends what is due behind it', async () => {
    const broken = { sessionId: '' }
    const { node, bug } = failingOn(broken)
    broken.sessionId = (await node.open({ ttlSeconds: 30 })).sessionId
    const other = await node.open({ ttlSeconds: 31 })
    await node.pass(40_000)
    expect((await node.view(other)).state).toBe('closed')
    expect(node.failures).toEqual([bug])
  })

  test('ends a pending receiver that stays away, tells the sender, and gives back what it held', async () => {
    const { node, sender } = await opened()
    const senderSocket = await node.attach(sender)
    const attacker = await node.join(sender.senderCode)
    await node.pass(PENDING_ABSENT_MS - 1_000)
    expect(senderSocket.view.receivers).toMatchObject([{ state: 'pending' }])
    await node.pass(1_000)
    expect(senderSocket.view).toMatchObject({ receivers: [{ state: 'left' }], channels: [] })
    expect((await node.view(attacker)).receivers).toMatchObject([{ state: 'left' }])
    expect(node.counters()).toMatchObject({ grants: 0, mailboxes: 0 })
  })

  test('leaves a receiver that the sender has answered with its second frame, over either transport', async () => {
    const { node, sender } = await opened()
    const [one, other] = [await node.join(sender.senderCode), await node.join(sender.senderCode)]
    const senderSocket = await node.attach(sender)
    for (const seq of [1, 2]) senderSocket.data(one.channel, seq)
    await settled()
    const { sessionId, token } = sender
    for (const seq of [1, 2]) {
      await node.relay.putFrame({ sessionId, token, channel: other.channel, seq }, new Uint8Array(1))
    }
    const unanswered = await node.join(sender.senderCode)
    senderSocket.data(unanswered.channel, 1)
    await node.pass(2 * PENDING_ABSENT_MS)
    expect(senderSocket.view.receivers.map(({ state }) => state)).toEqual(['pending', 'pending', 'left'])
  })

  test('closes the socket of a receiver whose row has made way for others', async () => {
    const { node, sender } = await opened()
    const attacker = await node.join(sender.senderCode)
    const socket = await node.attach(attacker)
    await node.end(attacker, attacker)
    for (let i = 0; i < 32; i++) {
      const next = await node.join(sender.senderCode)
      await node.end(next, next)
    }
    await settled()
    expect(socket.closedWith).toBe('unauthorized')
    expect(node.counters()).toMatchObject({ grants: 0, mailboxes: 0, sockets: 0 })
  })
})

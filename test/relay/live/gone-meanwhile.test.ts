import { beforeEach, describe, expect, test } from 'vitest'
import { MemoryMailboxStore } from '../../../src/store/memory/mailboxes.ts'
import { Gate } from '../../support/gate.ts'
import { settled, TestRelay } from '../../support/relay.ts'
import { clusterOf } from './two-nodes.ts'

/** A node of several whose stores answer late where a test says so, and sockets that go while it waits for them. */
describe('a node keeps nothing for a socket that went', () => {
  let sessions: Gate
  let mailboxes: Gate
  let node: TestRelay
  beforeEach(() => {
    sessions = new Gate()
    mailboxes = new Gate()
    node = new TestRelay({
      cluster: clusterOf('this one', new MemoryMailboxStore()),
      wrapSessions: (store) => sessions.behind(store),
      wrapMailboxes: (store) => mailboxes.behind(store),
    })
  })

  const nothing = { grants: 0, grantedBytes: 0, mailboxes: 0, sockets: 0 }

  /** A session with two channels, and nobody on them any more. */
  async function leftBehind() {
    const { sender, senderSocket, receiverSockets } = await node.pair(2)
    for (const socket of [senderSocket, ...receiverSockets]) socket.vanish()
    await settled()
    expect(node.counters()).toMatchObject(nothing)
    return sender
  }

  test('while the session was read again', async () => {
    const { sender, senderSocket, receiverSockets } = await node.pair()
    sessions.hold('get')
    await settled(node.look(sender.sessionId))
    for (const socket of [senderSocket, ...receiverSockets]) socket.vanish()
    await settled()
    await settled(sessions.open())
    expect(node.counters()).toMatchObject(nothing)
  })

  test('while its channels were opened', async () => {
    const sender = await leftBehind()
    mailboxes.hold('open')
    const late = await node.attach(sender)
    await settled(late.vanish())
    await settled(mailboxes.open())
    expect(node.counters()).toMatchObject(nothing)
  })

  test('while another took its place, and went too', async () => {
    const sender = await leftBehind()
    mailboxes.hold('open')
    const first = node.connect(sender.sessionId)
    await settled(first.attach(sender.token))
    const second = node.connect(sender.sessionId)
    await settled(second.attach(sender.token))
    expect(first.closedWith).toBe('superseded')
    second.vanish()
    while (mailboxes.waiting > 1) {
      await settled(mailboxes.releaseNewest())
    }
    await settled(mailboxes.open())
    expect(node.counters()).toMatchObject(nothing)
  })

  test('while another took its place, and leaves to that one what it has', async () => {
    const { sender, senderSocket, receiverSockets } = await node.pair(2)
    for (const socket of receiverSockets) socket.vanish()
    const again = await node.attach(sender)
    await settled()
    expect(senderSocket.closedWith).toBe('superseded')
    expect(again.view.channels.map(({ channel, window }) => [channel, window > 0])).toEqual([
      [1, true],
      [2, true],
    ])
    expect(node.counters()).toMatchObject({ grants: 4, mailboxes: 4, sockets: 1 })
  })
})

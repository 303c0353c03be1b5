import { describe, expect, test } from 'vitest'
import { ATTACH_TIMEOUT_MS, EPITAPH_MS } from '../../../src/protocol/limits.ts'
import type { RelaySettings } from '../../../src/relay/relay.ts'
import { join } from '../../../src/relay/session/joining.ts'
import { decide, retireCode, revoke } from '../../../src/relay/session/transitions.ts'
import { eachCall } from '../../support/each-call.ts'
import { Gate } from '../../support/gate.ts'
import { expectRefusal, refusalOf } from '../../support/refusal.ts'
import { NOTHING_LEFT, settled, TestRelay } from '../../support/relay.ts'
import { newReceiver } from '../../support/session-values.ts'

/** A relay whose stores answer late where a test says so, as a store on another machine does. */
function slowNode(settings: Partial<RelaySettings> = {}) {
  const [sessions, mailboxes] = [new Gate(), new Gate()]
  const node = new TestRelay({
    settings,
    wrapSessions: (store) => sessions.behind(store),
    wrapMailboxes: (store) => mailboxes.behind(store),
  })
  return { node, sessions, mailboxes }
}

describe('while the store has not answered yet', () => {
  test('a socket that timed out during its attach leaves no presence behind', async () => {
    const { node, sessions } = slowNode()
    const sender = await node.open()
    const receiver = await node.join(sender.senderCode)
    sessions.hold('update')
    const socket = await node.attach(sender)
    node.clock.advance(ATTACH_TIMEOUT_MS)
    await node.tick()
    expect(socket.closedWith).toBe('attach_timeout')
    await settled(sessions.open())
    expect((await node.view(receiver)).senderPresent).toBe(false)
    expect(socket.sent).toEqual([])
    expect(node.counters().sockets).toBe(0)
  })

  test('the first view waits until every channel of the attach is open', async () => {
    const { node, mailboxes } = slowNode()
    const { sender, senderSocket, receiverSockets } = await node.pair(2)
    for (const channel of [1, 2]) for (const seq of [1, 2]) senderSocket.data(channel, seq)
    await settled()
    for (const key of ['1/s2r', '2/s2r'] as const) await node.mailboxes.drop([`${sender.sessionId}/${key}`])
    senderSocket.vanish()
    mailboxes.hold('open')
    const again = await node.attach(sender, [
      { channel: 1, received: 0, acked: 1 },
      { channel: 2, received: 0, acked: 2 },
    ])
    // Somebody else changes the session meanwhile, which is a reason to show a view.
    await settled(node.relay.retireCode(sender.sessionId, sender.token))
    expect(again.sent).toEqual([])
    await settled(mailboxes.open())
    expect(again.sent[0]).toMatchObject({
      kind: 'view',
      view: {
        joinable: false,
        channels: [
          { received: 1, acked: 1 },
          { received: 2, acked: 2 },
        ],
      },
    })
    expect(receiverSockets.map((each) => each.closedWith)).toEqual(['resume_required', 'resume_required'])
  })

  test('of two sockets that attach to one role at the same time, the later attach stays', async () => {
    const { node, sessions } = slowNode()
    const sender = await node.open()
    sessions.hold('update')
    const first = await node.attach(sender)
    const second = await node.attach(sender)
    expect(sessions.waiting).toBe(2)
    await settled(sessions.open())
    expect(first.closedWith).toBe('superseded')
    expect(second.closedWith).toBeUndefined()
    expect(second.view.version).toBe((await node.view(sender)).version)
    expect(node.counters().sockets).toBe(1)
  })

  test('the later attach stays even when the store answers the earlier one last', async () => {
    const { node, sessions } = slowNode()
    const sender = await node.open()
    sessions.hold('update')
    const first = await node.attach(sender)
    const second = await node.attach(sender)
    await settled(sessions.releaseNewest())
    await settled(sessions.open())
    expect(first.closedWith).toBe('superseded')
    expect(second.closedWith).toBeUndefined()
    expect(node.counters().sockets).toBe(1)
  })

  test('an approval that came too late keeps no grant', async () => {
    const { node, sessions } = slowNode()
    const sender = await node.open()
    const receiver = await node.join(sender.senderCode)
    sessions.hold('get')
    const approval = refusalOf(() => node.approve(sender, receiver))
    await settled()
    const leaving = node.end(receiver, receiver)
    await settled()
    // The receiver's own read is released first, and it leaves; then the sender's, which still says pending.
    const late = sessions.waiting
    expect(late).toBe(2)
    sessions.open()
    await leaving
    expect(['receiver_gone', undefined]).toContain(await approval)
    await settled()
    await settled(node.close(sender))
    expect(node.counters()).toMatchObject({ grants: 0, grantedBytes: 0, mailboxes: 0 })
  })

  test('an old answer that comes after a newer one shows nothing any more', async () => {
    const { node, sessions } = slowNode()
    const sender = await node.open()
    const socket = await node.attach(sender)
    sessions.hold('get')
    node.look(sender.sessionId)
    await node.sessions.update(sender.sessionId, retireCode)
    await settled(node.look(sender.sessionId))
    await settled(sessions.releaseNewest())
    const { length } = socket.views
    expect(socket.view.joinable).toBe(false)
    await settled(sessions.open())
    expect(socket.views).toHaveLength(length)
  })

  test('a join into a session that is closed meanwhile keeps neither grant nor mailbox', async () => {
    const { node, sessions } = slowNode()
    const sender = await node.open()
    sessions.hold('update')
    const joining = refusalOf(() => node.join(sender.senderCode))
    await settled()
    expect(sessions.waiting).toBe(1)
    const closing = node.close(sender)
    await settled()
    sessions.open()
    await closing
    await joining
    await settled()
    expect(node.counters()).toMatchObject({ grants: 0, grantedBytes: 0, mailboxes: 0 })
  })

  test('a frame that was stored just before its channel ended does not bring its grant back', async () => {
    const { node, mailboxes } = slowNode()
    const { sender, receiver, senderSocket } = await node.pair()
    mailboxes.hold('append')
    await settled(senderSocket.data(1, 1))
    expect(mailboxes.waiting).toBe(1)
    await settled(node.end(sender, receiver))
    await settled(mailboxes.open())
    expect(node.counters()).toMatchObject({ grants: 0, grantedBytes: 0, mailboxes: 0 })
    await node.close(sender)
    await node.pass(EPITAPH_MS)
    expect(node.counters()).toEqual(NOTHING_LEFT)
  })

  test('frames of one socket stay in order', async () => {
    const { node, mailboxes } = slowNode()
    const { senderSocket, receiverSocket } = await node.pair()
    mailboxes.hold('append')
    for (let seq = 1; seq <= 5; seq++) senderSocket.data(1, seq)
    for (let seq = 1; seq <= 5; seq++) {
      await settled()
      expect(mailboxes.waiting).toBe(1)
      mailboxes.release()
    }
    await settled()
    expect(receiverSocket.seqs()).toEqual([1, 2, 3, 4, 5])
  })

  test('frames within their window wait for it, however many bytes they are', async () => {
    const MIB = 1024 * 1024
    const { node, mailboxes } = slowNode({ maxFrameBytes: MIB, windowBytes: MIB, memoryBudgetBytes: 64 * MIB })
    const { senderSocket, receiverSocket } = await node.pair()
    mailboxes.hold('append')
    for (const seq of [1, 2, 3]) senderSocket.data(1, seq, new Uint8Array(300_000))
    await settled(mailboxes.open())
    expect(senderSocket.closedWith).toBeUndefined()
    expect(receiverSocket.seqs()).toEqual([1, 2, 3])
  })

  test('a wake-up during a read is not lost', async () => {
    const { node, mailboxes } = slowNode()
    const { senderSocket, receiverSocket } = await node.pair()
    mailboxes.hold('read')
    await settled(senderSocket.data(1, 1))
    expect(mailboxes.waiting).toBe(1)
    await settled(mailboxes.release())
    // The next read has found nothing and has not said so yet.
    expect(mailboxes.waiting).toBe(1)
    await settled(senderSocket.data(1, 2))
    await settled(mailboxes.open())
    expect(receiverSocket.seqs()).toEqual([1, 2])
  })

  test('a socket that becomes congested after its session has ended is closed too', async () => {
    const { node, mailboxes } = slowNode()
    const { sender, senderSocket, receiverSocket: stuck } = await node.pair()
    mailboxes.hold('read')
    await settled(senderSocket.data(1, 1))
    expect(mailboxes.waiting).toBe(1)
    stuck.room = 1
    const closing = node.close(sender)
    await settled()
    mailboxes.open()
    await closing
    await settled()
    expect(stuck.closedWith).toBe('session_gone')
    expect(stuck.violations).toBe(0)
  })

  test('a view shows what the session became while it was being made', async () => {
    const { node, mailboxes } = slowNode()
    const { sender, senderSocket } = await node.pair()
    mailboxes.hold('position')
    await settled(node.relay.retireCode(sender.sessionId, sender.token))
    const receiver = await node.join(sender.senderCode).catch(() => undefined)
    expect(receiver).toBeUndefined()
    await settled(node.close(sender))
    await settled(mailboxes.open())
    expect(senderSocket.view).toMatchObject({ state: 'closed', reason: 'closed_by_sender' })
    expect(senderSocket.closedWith).toBe('session_gone')
  })
})

describe('when another node has changed the session, and the wake-up has not come yet', () => {
  test('an approval counts before a frame is refused', async () => {
    const { node } = slowNode()
    const sender = await node.open()
    const receiver = await node.join(sender.senderCode)
    const [senderSocket, receiverSocket] = [await node.attach(sender), await node.attach(receiver)]
    for (let seq = 1; seq <= 4; seq++) receiverSocket.data(1, seq)
    await node.sessions.update(sender.sessionId, (session, now) =>
      decide(session, receiver.receiverCode, 'approved', now),
    )
    await settled(receiverSocket.data(1, 5))
    expect(receiverSocket.closedWith).toBeUndefined()
    expect(senderSocket.seqs()).toEqual([1, 2, 3, 4, 5])
  })

  test('a join counts before a channel is refused', async () => {
    const { node } = slowNode()
    const sender = await node.open()
    const socket = await node.attach(sender)
    await node.sessions.update(sender.sessionId, (session, now) => join(session, newReceiver('r'), now))
    await settled(socket.ack(1, 0))
    expect(socket.closedWith).toBeUndefined()
    expect(socket.view?.channels).toMatchObject([{ channel: 1 }])
  })

  test('an end counts before a frame is kept', async () => {
    const { node } = slowNode()
    const { sender, receiver, senderSocket } = await node.pair()
    await node.sessions.update(sender.sessionId, (session, now) => revoke(session, receiver.receiverCode ?? '', now))
    await node.mailboxes.drop([`${sender.sessionId}/1/s2r`])
    await settled(senderSocket.data(1, 1))
    expect(senderSocket.closedWith).toBeUndefined()
    expect(node.discards).toEqual(['channel_ended'])
  })
})

describe('when the store fails', () => {
  /** A node whose stores throw when told to. */
  function brokenNode() {
    let broken = false
    const breaking = <T extends object>(store: T): T =>
      eachCall(store, async (call) => {
        if (broken) throw new Error('the store is down')
        return call()
      })
    const node = new TestRelay({ wrapSessions: breaking, wrapMailboxes: breaking })
    const fail = (now: boolean) => {
      broken = now
    }
    return { node, fail }
  }

  test('a frame ends its socket with internal, the failure is reported, and a re-attach goes on', async () => {
    const { node, fail } = brokenNode()
    const { sender, senderSocket, receiverSocket } = await node.pair()
    fail(true)
    await settled(senderSocket.data(1, 1))
    expect(senderSocket.closedWith).toBe('internal')
    expect(node.failures.length).toBeGreaterThan(0)
    fail(false)
    const again = await node.attach(sender)
    await settled(again.data(1, 1))
    expect(again.closedWith).toBeUndefined()
    expect(receiverSocket.seqs()).toEqual([1])
  })

  test('an attach ends its socket with internal', async () => {
    const { node, fail } = brokenNode()
    const sender = await node.open()
    fail(true)
    const socket = await node.attach(sender)
    expect(socket.closedWith).toBe('internal')
    expect(socket.sent).toEqual([])
  })

  test('a command fails with what the store threw, never with a refusal that is not true', async () => {
    const { node, fail } = brokenNode()
    const sender = await node.open()
    fail(true)
    await expect(node.close(sender)).rejects.toThrow('the store is down')
    fail(false)
    await expectRefusal(() => node.open({ senderCode: sender.senderCode }), 'code_in_use')
  })
})

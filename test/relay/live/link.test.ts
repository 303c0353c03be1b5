import { describe, expect, test } from 'vitest'
import { paired, settled } from '../../support/relay.ts'

describe('what goes out on a socket', () => {
  test('everything that waits comes after a drain in the order view, acks, data', async () => {
    const { node, sender, senderSocket, receiverSockets } = await paired()
    senderSocket.room = 0
    const [receiverSocket] = receiverSockets
    await settled(receiverSocket?.data(1, 1))
    const before = senderSocket.sent.length
    await settled(senderSocket.data(1, 1), receiverSocket?.data(1, 2))
    await settled(receiverSocket?.ack(1, 1))
    await settled(node.relay.retireCode(sender.sessionId, sender.token))
    await settled(senderSocket.drain())
    expect(senderSocket.sent.slice(before).map((each) => each.kind)).toEqual(['view', 'ack', 'data'])
    expect(senderSocket.seqs()).toEqual([1, 2])
  })

  test('of views and acks that could not go out only the latest does', async () => {
    const { node, sender, senderSocket, receiverSocket } = await paired()
    senderSocket.room = 1
    await settled(receiverSocket.data(1, 1))
    const before = senderSocket.sent.length
    for (let seq = 1; seq <= 5; seq++) senderSocket.data(1, seq)
    await settled()
    for (let seq = 1; seq <= 5; seq++) await settled(receiverSocket.ack(1, seq))
    for (let i = 0; i < 5; i++) await node.join(sender.senderCode)
    await settled()
    await settled(senderSocket.drain())
    const after = senderSocket.sent.slice(before)
    expect(after.map((each) => each.kind)).toEqual(['view', 'ack'])
    expect(after).toMatchObject([{ view: { receivers: { length: 6 } } }, { channel: 1, seq: 5 }])
  })

  test('a congested socket gets nothing at all until it has drained', async () => {
    const { node, sender, receivers, senderSocket, receiverSocket: slow } = await paired(2)
    slow.room = 1
    await settled(senderSocket.data(1, 1))
    const before = slow.sent.length
    await settled(senderSocket.data(1, 2), slow.data(1, 1))
    senderSocket.ack(1, 1)
    await node.end(sender, receivers[1] ?? expect.unreachable())
    await settled(node.relay.retireCode(sender.sessionId, sender.token))
    expect(slow.sent).toHaveLength(before)
    expect(slow.violations).toBe(0)
  })

  test('a socket that is congested by an ack or a view gets no more of them either', async () => {
    const { node, sender, senderSocket, receiverSockets, receiverSocket } = await paired(3)
    senderSocket.room = 1
    receiverSocket.data(1, 1)
    for (const channel of [1, 2, 3]) senderSocket.data(channel, 1)
    await settled()
    receiverSockets.forEach((socket, index) => {
      socket.ack(index + 1, 1)
    })
    await settled()
    // Each by itself: a view, then three acks.
    await settled(node.relay.retireCode(sender.sessionId, sender.token))
    for (let i = 0; i < 4; i++) {
      const before = senderSocket.sent.length
      await settled(senderSocket.drain(1))
      expect(senderSocket.sent.length - before).toBe(1)
    }
    expect(senderSocket.violations).toBe(0)
    expect(senderSocket.acks.slice(-3).map((each) => each.channel)).toEqual([1, 2, 3])
  })

  test('a socket that takes one thing at a time gets all frames in order', async () => {
    const { senderSocket, receiverSocket: slow } = await paired()
    slow.room = 1
    for (let seq = 1; seq <= 8; seq++) senderSocket.data(1, seq)
    await settled()
    for (let seq = 1; seq <= 8; seq++) {
      expect(slow.seqs().at(-1)).toBe(seq)
      await settled(slow.drain(1))
    }
    expect(slow.seqs()).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(slow.violations).toBe(0)
  })

  test('a slow receiver does not slow the others, nor the sender', async () => {
    const { senderSocket, receiverSockets } = await paired(3)
    const [slow, ...others] = receiverSockets
    if (slow) slow.room = 0
    for (let seq = 1; seq <= 100; seq++) {
      for (const channel of seq <= 8 ? [1, 2, 3] : [2, 3]) senderSocket.data(channel, seq, new Uint8Array(4088))
      await settled()
      others.forEach((socket, index) => {
        socket.ack(index + 2, seq)
      })
      await settled()
    }
    expect(senderSocket.closedWith).toBeUndefined()
    for (const [index, socket] of others.entries()) expect(socket.seqs(index + 2)).toHaveLength(100)
    expect(slow?.seqs().length).toBeLessThanOrEqual(1)
    await settled(slow?.drain())
    expect(slow?.seqs()).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  })

  test('channels take turns on the sender’s socket', async () => {
    const { senderSocket, receiverSockets, receiverSocket } = await paired(3)
    senderSocket.room = 1
    await settled(receiverSocket.data(1, 1))
    receiverSockets.forEach((socket, index) => {
      for (let seq = index === 0 ? 2 : 1; seq <= 4; seq++) socket.data(index + 1, seq)
    })
    await settled()
    const before = senderSocket.frames.length
    await settled(senderSocket.drain())
    const turns = senderSocket.frames.slice(before).map((each) => each.channel)
    expect([...turns.slice(0, 3)].sort()).toEqual([1, 2, 3])
    expect([...turns.slice(3, 6)].sort()).toEqual([1, 2, 3])
    expect(turns).toHaveLength(11)
  })

  test('nothing is sent twice, and nothing after the close', async () => {
    const { node, sender, senderSocket, receiverSocket } = await paired()
    receiverSocket.answersClose = false
    for (let seq = 1; seq <= 4; seq++) senderSocket.data(1, seq)
    await settled()
    senderSocket.data(1, 5)
    await settled(node.close(sender))
    await settled(receiverSocket.drain())
    expect(receiverSocket.seqs()).toEqual([...new Set(receiverSocket.seqs())])
    expect(receiverSocket.closedWith).toBe('session_gone')
    expect(receiverSocket.violations).toBe(0)
  })

  test('a socket that is congested when its session ends is closed without the last view', async () => {
    const { node, sender, senderSocket, receiverSocket: stuck } = await paired()
    stuck.room = 1
    await settled(senderSocket.data(1, 1))
    const views = stuck.views.length
    await settled(node.close(sender))
    expect(stuck.closedWith).toBe('session_gone')
    expect(stuck.views).toHaveLength(views)
  })
})

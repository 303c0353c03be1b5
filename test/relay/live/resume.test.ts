import { describe, expect, test } from 'vitest'
import { paired, settled } from '../../support/relay.ts'

/** A pair whose sender has sent so many frames. */
async function pair(frames = 0) {
  const { node, sender, receiver, senderSocket, receiverSocket } = await paired()
  for (let seq = 1; seq <= frames; seq++) senderSocket.data(1, seq)
  await settled()
  const forget = (direction: 's2r' | 'r2s') => node.mailboxes.drop([`${sender.sessionId}/1/${direction}`])
  return { node, sender, receiver, senderSocket, receiverSocket, forget }
}

describe('a re-attach', () => {
  test('of the writer acks none of its own frames, whatever it says of acks', async () => {
    const { node, sender } = await pair(3)
    for (const acked of [2, 3, 500]) {
      const attacker = await node.attach(sender, [{ channel: 1, received: 0, acked }])
      expect(attacker.view.channels).toMatchObject([{ received: 3, acked: 0 }])
    }
    expect(node.counters().unackedBytes).toBe(3 * 256)
  })
})

describe('a forgotten mailbox', () => {
  test('closes a writer’s socket with resume_required at its next frame', async () => {
    const { senderSocket, forget } = await pair()
    await forget('s2r')
    await settled(senderSocket.data(1, 1))
    expect(senderSocket.closedWith).toBe('resume_required')
  })

  test('closes a reader’s socket with resume_required at its next ack', async () => {
    const { senderSocket, receiverSocket, forget } = await pair()
    await settled(senderSocket.data(1, 1))
    await forget('s2r')
    await settled(receiverSocket.ack(1, 1))
    expect(receiverSocket.closedWith).toBe('resume_required')
  })

  test('starts again at what the writer knows to be acked, and makes the reader resume', async () => {
    const { node, sender, receiverSocket, forget } = await pair(3)
    await settled(receiverSocket.ack(1, 1))
    await forget('s2r')
    const again = await node.attach(sender, [{ channel: 1, received: 0, acked: 1 }])
    expect(again.view.channels).toMatchObject([{ received: 1, acked: 1 }])
    expect(receiverSocket.closedWith).toBe('resume_required')
  })

  test('starts again at what the reader has processed, if that is more, and makes the writer resume', async () => {
    const { node, sender, receiver, senderSocket, receiverSocket, forget } = await pair(3)
    await forget('s2r')
    receiverSocket.vanish()
    await node.attach(receiver, [{ channel: 1, received: 2, acked: 0 }])
    expect(senderSocket.closedWith).toBe('resume_required')
    const again = await node.attach(sender, [{ channel: 1, received: 0, acked: 0 }])
    expect(again.view.channels).toMatchObject([{ received: 2, acked: 2 }])
  })

  test('loses nothing: after both have resumed the reader has every frame once, in order', async () => {
    const { node, sender, receiver, senderSocket, receiverSocket, forget } = await pair(4)
    await settled(receiverSocket.ack(1, 2))
    await forget('s2r')
    await forget('r2s')
    await settled(senderSocket.data(1, 5))
    expect(senderSocket.closedWith).toBe('resume_required')
    // The sender knows of the ack of 2, the receiver has processed 3.
    const writer = await node.attach(sender, [{ channel: 1, received: 0, acked: 2 }])
    expect(receiverSocket.closedWith).toBe('resume_required')
    for (let seq = (writer.view.channels[0]?.received ?? 0) + 1; seq <= 5; seq++) writer.data(1, seq)
    const reader = await node.attach(receiver, [{ channel: 1, received: 3, acked: 0 }])
    expect(reader.seqs()).toEqual([4, 5])
    expect(writer.acks.at(-1)).toEqual({ channel: 1, seq: 3 })
    expect(writer.closedWith).toBeUndefined()
  })

  test('of one channel leaves the sockets of the other receivers alone', async () => {
    const { node, sender, senderSocket, receiverSockets } = await paired(2)
    await node.mailboxes.drop([`${sender.sessionId}/1/s2r`])
    await settled(senderSocket.data(1, 1))
    await node.attach(sender)
    expect(receiverSockets.map((each) => each.closedWith)).toEqual(['resume_required', undefined])
  })

  test('of a channel that has ended discards instead of closing', async () => {
    const { node, sender, receiver, senderSocket } = await pair()
    await node.end(sender, receiver)
    await settled(senderSocket.data(1, 1))
    expect(senderSocket.closedWith).toBeUndefined()
    expect(node.discards).toEqual(['channel_ended'])
  })
})

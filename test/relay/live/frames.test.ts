import { describe, expect, test } from 'vitest'
import { HANDSHAKE_MAX_SEQ } from '../../../src/protocol/limits.ts'
import { opened, paired, settled } from '../../support/relay.ts'

/** A session with one pending receiver, both attached. */
async function pendingPair() {
  const { node, sender } = await opened()
  const receiver = await node.join(sender.senderCode)
  const senderSocket = await node.attach(sender)
  const receiverSocket = await node.attach(receiver)
  return { node, sender, receiver, senderSocket, receiverSocket }
}

/** The same, approved, and the sender has sent so many frames. */
async function approvedPair(frames = 0) {
  const pair = await pendingPair()
  await settled(pair.node.approve(pair.sender, pair.receiver))
  for (let seq = 1; seq <= frames; seq++) pair.senderSocket.data(1, seq)
  await settled()
  return pair
}

describe('data', () => {
  test('that came already is discarded, counted and answered with the cumulative ack', async () => {
    const { node, senderSocket, receiverSocket } = await approvedPair(3)
    await settled(receiverSocket.ack(1, 2))
    const before = senderSocket.acks.length
    await settled(senderSocket.data(1, 2, 'forged'))
    expect(senderSocket.acks.slice(before)).toEqual([{ channel: 1, seq: 2 }])
    expect(receiverSocket.frames.map((each) => each.text)).toEqual(['frame 1', 'frame 2', 'frame 3'])
    expect(node.discards).toEqual(['duplicate'])
    expect(senderSocket.closedWith).toBeUndefined()
  })

  test('of a receiver on the channel of another is refused with invalid_frame, and so is an ack', async () => {
    const { node, senderSocket, receiverSockets } = await paired(3)
    await settled(senderSocket.data(1, 1))
    const [victim, attacker, second] = receiverSockets
    await settled(attacker?.data(1, 1, 'in another’s name'), second?.ack(1, 1))
    expect(attacker?.closedWith).toBe('invalid_frame')
    expect(second?.closedWith).toBe('invalid_frame')
    expect(senderSocket.frames).toEqual([])
    expect(node.counters().unackedBytes).toBe(256)
    expect(victim?.closedWith).toBeUndefined()
  })
})

describe('before the approval', () => {
  test(`seq ${HANDSHAKE_MAX_SEQ + 1} is refused with invalid_frame`, async () => {
    const { senderSocket, receiverSocket: attacker } = await pendingPair()
    for (let seq = 1; seq <= HANDSHAKE_MAX_SEQ; seq++) attacker.data(1, seq)
    await settled()
    await settled(attacker.data(1, HANDSHAKE_MAX_SEQ + 1))
    expect(attacker.closedWith).toBe('invalid_frame')
    expect(senderSocket.seqs()).toEqual([1, 2])
  })

  test('eight pending receivers hold 64 KiB at most, whatever everybody sends', async () => {
    const { node, sender } = await opened()
    const senderSocket = await node.attach(sender)
    for (let channel = 1; channel <= 8; channel++) {
      const attacker = await node.attach(await node.join(sender.senderCode))
      for (let seq = 1; seq <= 2; seq++) attacker.data(channel, seq, new Uint8Array(2040))
      for (let seq = 1; seq <= 2; seq++) senderSocket.data(channel, seq, new Uint8Array(2040))
      await settled()
      await settled(attacker.data(channel, 3, new Uint8Array(1)))
      expect(attacker.closedWith).toBe('invalid_frame')
    }
    expect(senderSocket.closedWith).toBeUndefined()
    expect(node.counters()).toMatchObject({ unackedBytes: 64 * 1024, grantedBytes: 64 * 1024 })
  })

  test('the view that tells of the approval comes before the frames it allows', async () => {
    const { node, sender, receiver, senderSocket, receiverSocket } = await pendingPair()
    const before = receiverSocket.sent.length
    await node.approve(sender, receiver)
    await settled(senderSocket.data(1, 1, new Uint8Array(4088)))
    expect(receiverSocket.sent.slice(before)).toMatchObject([
      { kind: 'view', view: { receivers: [{ state: 'approved' }] } },
      { kind: 'data', seq: 1 },
    ])
  })
})

describe('acks', () => {
  test('above what the relay holds raise it and are passed on, and the frames they cover are duplicates', async () => {
    const { node, sender, senderSocket, receiverSocket } = await approvedPair()
    await settled(senderSocket.data(1, 1))
    await settled(receiverSocket.ack(1, 5))
    expect(senderSocket.acks.at(-1)).toEqual({ channel: 1, seq: 5 })
    expect((await node.view(sender)).channels).toMatchObject([{ received: 5, acked: 5 }])
    await settled(senderSocket.data(1, 5), senderSocket.data(1, 6))
    expect(receiverSocket.seqs()).toEqual([1, 6])
    expect(senderSocket.closedWith).toBeUndefined()
  })
})

describe('after the end of a channel', () => {
  const endings = {
    denied: ({ node, sender, receiver }) =>
      node.relay.decide(sender.sessionId, sender.token, receiver.receiverCode, { decision: 'denied' }),
    left: ({ node, receiver }) => node.end(receiver, receiver),
    done: async ({ node, sender, receiver }) => {
      await node.approve(sender, receiver)
      await node.end(receiver, receiver)
    },
    revoked: async ({ node, sender, receiver }) => {
      await node.approve(sender, receiver)
      await node.end(sender, receiver)
    },
  } satisfies Record<string, (pair: Awaited<ReturnType<typeof pendingPair>>) => Promise<void>>

  for (const [state, end] of Object.entries(endings)) {
    test(`${state}: frames and acks are discarded and counted, nobody loses a socket, and nothing is held`, async () => {
      const pair = await pendingPair()
      const { node, senderSocket, receiverSocket } = pair
      await settled(senderSocket.data(1, 1), receiverSocket.data(1, 1))
      await end(pair)
      await settled()
      expect(node.counters()).toMatchObject({ mailboxes: 0, unackedBytes: 0, grants: 0, grantedBytes: 0 })
      const seen = [senderSocket.sent.length, receiverSocket.sent.length]
      senderSocket.data(1, 2)
      senderSocket.ack(1, 1)
      receiverSocket.data(1, 99, new Uint8Array(4000))
      receiverSocket.ack(1, 1)
      await settled()
      expect(node.discards).toEqual(Array(4).fill('channel_ended'))
      expect([senderSocket.closedWith, receiverSocket.closedWith]).toEqual([undefined, undefined])
      expect([senderSocket.sent.length, receiverSocket.sent.length]).toEqual(seen)
      expect(node.counters()).toMatchObject({ mailboxes: 0, unackedBytes: 0, grants: 0, grantedBytes: 0 })
    })
  }

  test('what waited for a receiver that has ended is not sent to it', async () => {
    const { node, sender, receiver, senderSocket, receiverSocket } = await approvedPair()
    receiverSocket.room = 0
    await settled(senderSocket.data(1, 1))
    await settled(node.end(sender, receiver))
    await settled(receiverSocket.drain())
    expect(receiverSocket.seqs().length).toBeLessThanOrEqual(1)
    expect(receiverSocket.view.receivers).toMatchObject([{ state: 'revoked' }])
  })
})

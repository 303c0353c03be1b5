import { describe, expect, test } from 'vitest'
import { MISSED_PINGS_MAX, SILENCE_MS } from '../../../src/protocol/limits.ts'
import { opened, paired, settled } from '../../support/relay.ts'

describe('a silent socket', () => {
  test(`gets the view after ${SILENCE_MS} ms in which nothing was sent, with the time that is left, and not earlier`, async () => {
    const { node, sender } = await opened()
    const socket = await node.attach(sender)
    node.clock.advance(SILENCE_MS - 1)
    await node.tick()
    expect(socket.views).toHaveLength(1)
    node.clock.advance(1)
    await node.tick()
    expect(socket.views).toHaveLength(2)
    expect(socket.view.expiresInMs).toBe(900_000 - SILENCE_MS)
    expect(socket.view.version).toBe(socket.views[0]?.version)
    node.clock.advance(SILENCE_MS)
    await node.tick()
    expect(socket.views).toHaveLength(3)
  })

  test('gets none as long as something else was sent', async () => {
    const { node, senderSocket, receiverSocket } = await paired()
    const before = receiverSocket.views.length
    for (let seq = 1; seq <= 5; seq++) {
      node.clock.advance(SILENCE_MS - 1)
      await settled(senderSocket.data(1, seq))
      await node.tick()
    }
    expect(receiverSocket.views).toHaveLength(before ?? 0)
  })

  test(`is pinged every ${SILENCE_MS} ms, whatever else is sent`, async () => {
    const { node, senderSocket, receiverSocket } = await paired()
    for (let seq = 1; seq <= 4; seq++) {
      senderSocket.data(1, seq)
      await node.pass(SILENCE_MS)
    }
    expect(receiverSocket.pings).toBe(4)
    expect(receiverSocket.destroyed).toBe(false)
  })

  test(`that leaves ${MISSED_PINGS_MAX} pings unanswered is cut, and is present no more`, async () => {
    const { node, receiver, senderSocket, receiverSocket: stopped } = await paired()
    stopped.answersPings = false
    await node.pass(3 * SILENCE_MS - 1)
    expect([stopped.pings, stopped.destroyed]).toEqual([2, false])
    expect(senderSocket.view.receivers).toMatchObject([{ present: true }])
    await node.pass(1)
    expect([stopped.pings, stopped.destroyed]).toEqual([2, true])
    expect(stopped.closedWith).toBeUndefined()
    expect(senderSocket.view.receivers).toMatchObject([{ present: false }])
    expect(senderSocket.destroyed).toBe(false)
    expect(node.counters().sockets).toBe(1)
    const again = await node.attach(receiver)
    expect(again.closedWith).toBeUndefined()
  })

  test('that answers every other ping stays', async () => {
    const { node, sender } = await opened()
    const socket = await node.attach(sender)
    socket.answersPings = false
    for (let i = 0; i < 10; i++) {
      await node.pass(SILENCE_MS)
      if (i % 2 === 1) socket.pong()
    }
    expect(socket.destroyed).toBe(false)
  })

  test('that answers no ping stays as long as something comes on it', async () => {
    const { node, senderSocket, receiverSocket: busy } = await paired()
    busy.answersPings = false
    for (let seq = 1; seq <= 6; seq++) {
      await settled(senderSocket.data(1, seq))
      busy.ack(1, seq)
      await node.pass(SILENCE_MS)
    }
    expect(busy.destroyed).toBe(false)
    await node.pass(2 * SILENCE_MS)
    expect(busy.destroyed).toBe(true)
  })

  test('that is congested and silent is cut like any other', async () => {
    const { node, senderSocket, receiverSocket: stuck } = await paired()
    stuck.answersPings = false
    stuck.room = 1
    await settled(senderSocket.data(1, 1))
    await node.pass(3 * SILENCE_MS)
    expect(stuck.destroyed).toBe(true)
    expect(stuck.violations).toBe(0)
  })

  test('before its attach gets neither views nor pings', async () => {
    const { node, sender } = await opened()
    const attacker = node.connect(sender.sessionId)
    await node.pass(SILENCE_MS)
    expect(attacker.sent).toEqual([])
    expect(attacker.pings).toBe(0)
  })
})

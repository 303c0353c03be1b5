import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HANDSHAKE_WINDOW_BYTES } from '../../src/protocol/limits.ts'
import { Budget } from '../../src/relay/budget.ts'
import type { MailboxKey } from '../../src/relay/ports.ts'
import { holds } from '../support/property.ts'
import { expectRefusal } from '../support/refusal.ts'
import { settled, TestRelay } from '../support/relay.ts'

const KEYS: MailboxKey[] = ['one/1/s2r', 'one/1/r2s', 'one/2/s2r', 'two/1/s2r']

const command = fc.oneof(
  fc.record({
    do: fc.constant('raise' as const),
    keys: fc.uniqueArray(fc.constantFrom(...KEYS), { minLength: 1, maxLength: 2 }),
    bytes: fc.nat({ max: 600 }),
  }),
  fc.record({ do: fc.constant('release' as const), key: fc.constantFrom(...KEYS) }),
  fc.record({ do: fc.constant('reserve' as const), bytes: fc.nat({ max: 600 }) }),
  fc.record({ do: fc.constant('unreserve' as const) }),
)

describe('the budget', () => {
  holds(
    'never promises more than its limit, never lowers a grant, and gives all or nothing',
    200,
    fc.array(command, { maxLength: 100, size: 'max' }),
    (commands) => {
      const limit = 1000
      const budget = new Budget(limit)
      const reserved: number[] = []
      const grants = () => KEYS.map((key) => budget.grantOf(key))
      const sum = (numbers: number[]) => numbers.reduce((total, each) => total + each, 0)
      for (const each of commands) {
        const before = grants()
        const free = limit - sum(before) - sum(reserved)
        switch (each.do) {
          case 'raise': {
            const more = sum(each.keys.map((key) => Math.max(0, each.bytes - budget.grantOf(key))))
            const raised = budget.raise(each.keys, each.bytes)
            expect(raised).toBe(more <= free)
            for (const [index, key] of KEYS.entries()) {
              const asked = raised && each.keys.includes(key) ? each.bytes : 0
              expect(budget.grantOf(key)).toBe(Math.max(before[index] ?? 0, asked))
            }
            break
          }
          case 'release':
            budget.release(each.key)
            expect(budget.grantOf(each.key)).toBe(0)
            break
          case 'reserve': {
            const taken = budget.reserve(each.bytes)
            expect(taken).toBe(each.bytes <= free)
            if (taken) reserved.push(each.bytes)
            break
          }
          case 'unreserve':
            budget.unreserve(reserved.pop() ?? 0)
            break
          default:
            each satisfies never
        }
        expect(budget.granted).toBe(sum(grants()))
        expect(budget.granted + sum(reserved)).toBeLessThanOrEqual(limit)
      }
    },
  )

  test('releasing what was never granted changes nothing', () => {
    const budget = new Budget(100)
    budget.release('one/1/s2r')
    expect([budget.granted, budget.size]).toEqual([0, 0])
  })
})

describe('what the relay promises', () => {
  const FRAME = 10_000
  const settings = (memoryBudgetBytes: number) => ({ maxFrameBytes: FRAME, windowBytes: 8 * FRAME, memoryBudgetBytes })

  test('a join takes a handshake window in both directions, an approval a full frame', async () => {
    const node = new TestRelay({ settings: settings(1_000_000) })
    const sender = await node.open()
    const receiver = await node.join(sender.senderCode)
    expect(node.counters()).toMatchObject({ grants: 2, grantedBytes: 2 * HANDSHAKE_WINDOW_BYTES })
    expect((await node.view(sender)).channels).toMatchObject([{ window: HANDSHAKE_WINDOW_BYTES }])
    await node.approve(sender, receiver)
    expect(node.counters()).toMatchObject({ grants: 2, grantedBytes: 2 * FRAME })
    expect((await node.view(sender)).channels).toMatchObject([{ window: FRAME }])
    expect((await node.view(receiver)).channels).toMatchObject([{ window: FRAME }])
  })

  test('a join beyond the budget is refused with at_capacity and changes nothing', async () => {
    const node = new TestRelay({ settings: settings(4 * HANDSHAKE_WINDOW_BYTES + 1) })
    const sender = await node.open()
    await node.join(sender.senderCode)
    await node.join(sender.senderCode)
    const before = await node.view(sender)
    const attacker = () => node.join(sender.senderCode)
    await expectRefusal(attacker, 'at_capacity')
    expect(await node.view(sender)).toEqual(before)
    expect(node.counters()).toMatchObject({ mailboxes: 4, grants: 4, grantedBytes: 4 * HANDSHAKE_WINDOW_BYTES })
  })

  test('joins at the same time do not together pass the budget', async () => {
    const node = new TestRelay({ settings: settings(6 * HANDSHAKE_WINDOW_BYTES) })
    const sender = await node.open()
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => node.join(sender.senderCode)))
    expect(outcomes.filter((each) => each.status === 'fulfilled')).toHaveLength(3)
    expect(node.relay.budget.granted).toBe(6 * HANDSHAKE_WINDOW_BYTES)
  })

  test('a join that fails gives back what was set aside for it', async () => {
    const node = new TestRelay({ settings: settings(4 * HANDSHAKE_WINDOW_BYTES) })
    const sender = await node.open()
    await node.join(sender.senderCode, { receiverCode: 'same' })
    const twice = () => node.join(sender.senderCode, { receiverCode: 'same' })
    for (let i = 0; i < 20; i++) await expectRefusal(twice, 'receiver_code_in_use')
    const together = await Promise.allSettled([1, 2].map(() => node.join(sender.senderCode, { receiverCode: 'other' })))
    expect(together.map((each) => each.status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(node.relay.budget.granted).toBe(4 * HANDSHAKE_WINDOW_BYTES)
    await node.close(sender)
    const next = await node.open()
    await node.join(next.senderCode)
    await node.join(next.senderCode)
  })

  test('an approval beyond the budget is refused with at_capacity, changes nothing, and works once there is room', async () => {
    const node = new TestRelay({ settings: settings(2 * FRAME + 3 * HANDSHAKE_WINDOW_BYTES) })
    const sender = await node.open()
    const [first, second] = [await node.join(sender.senderCode), await node.join(sender.senderCode)]
    await node.approve(sender, first)
    const before = await node.view(sender)
    const granted = node.counters().grantedBytes
    await expectRefusal(() => node.approve(sender, second), 'at_capacity')
    expect(await node.view(sender)).toEqual(before)
    expect(node.counters().grantedBytes).toBe(granted)
    await node.end(first, first)
    await settled()
    await node.approve(sender, second)
    expect((await node.view(second)).receivers).toMatchObject([{ state: 'approved' }])
  })

  test('approving again and denying take nothing', async () => {
    const node = new TestRelay({ settings: settings(2 * FRAME) })
    const sender = await node.open()
    const [first, second] = [await node.join(sender.senderCode), await node.join(sender.senderCode)]
    await node.relay.decide(sender.sessionId, sender.token, second.receiverCode, { decision: 'denied' })
    await settled()
    await node.approve(sender, first)
    await node.approve(sender, first)
    expect(node.counters()).toMatchObject({ grants: 2, grantedBytes: 2 * FRAME })
  })

  test('a window doubles while the transfer uses it, up to the limit, in its own direction alone', async () => {
    const node = new TestRelay({ settings: settings(1_000_000) })
    const { sender, receivers, senderSocket } = await node.pair()
    const windows = [senderSocket.view.channels[0]?.window]
    for (let seq = 1; seq <= 8; seq++) {
      senderSocket.data(1, seq, new Uint8Array(FRAME - 8))
      await settled()
      const { window } = senderSocket.view.channels[0] ?? {}
      if (window !== windows.at(-1)) windows.push(window)
    }
    expect(windows).toEqual([FRAME, 2 * FRAME, 4 * FRAME, 8 * FRAME])
    expect(senderSocket.closedWith).toBeUndefined()
    expect((await node.view(receivers[0] ?? sender)).channels).toMatchObject([{ window: FRAME }])
    senderSocket.data(1, 9, new Uint8Array(1))
    await settled()
    expect(senderSocket.closedWith).toBe('window_exceeded')
  })

  test('a window doubles when one more full frame would not fit, and not before', async () => {
    const node = new TestRelay({ settings: settings(1_000_000) })
    const { senderSocket } = await node.pair()
    const sent = async (seq: number, ciphertextBytes: number) => {
      senderSocket.data(1, seq, new Uint8Array(ciphertextBytes))
      await settled()
      return senderSocket.view.channels[0]?.window
    }
    expect(await sent(1, 1)).toBe(2 * FRAME)
    expect(await sent(2, FRAME - 8 - 256)).toBe(2 * FRAME)
    expect(await sent(3, 1)).toBe(4 * FRAME)
  })

  test('the last step of a window ends at its limit, not beyond', async () => {
    const node = new TestRelay({ settings: { ...settings(1_000_000), windowBytes: 3 * FRAME } })
    const { senderSocket } = await node.pair()
    for (let seq = 1; seq <= 3; seq++) {
      senderSocket.data(1, seq, new Uint8Array(FRAME - 8))
      await settled()
    }
    expect(senderSocket.view.channels).toMatchObject([{ window: 3 * FRAME }])
    expect(senderSocket.closedWith).toBeUndefined()
  })

  test('a window stays as it is while the budget has no room, and an ack makes it usable again', async () => {
    const node = new TestRelay({ settings: settings(2 * FRAME + FRAME / 2) })
    const { senderSocket, receiverSockets } = await node.pair()
    senderSocket.data(1, 1, new Uint8Array(FRAME - 8))
    await settled()
    expect(senderSocket.view.channels).toMatchObject([{ window: FRAME }])
    receiverSockets[0]?.ack(1, 1)
    await settled()
    senderSocket.data(1, 2, new Uint8Array(FRAME - 8))
    await settled()
    expect(senderSocket.closedWith).toBeUndefined()
    expect(node.relay.budget.granted).toBe(2 * FRAME)
  })

  test('a window that has grown is not lowered by acks, a detach or a repeated approval', async () => {
    const node = new TestRelay({ settings: settings(1_000_000) })
    const { sender, receivers, senderSocket, receiverSockets } = await node.pair()
    senderSocket.data(1, 1, new Uint8Array(FRAME - 8))
    await settled()
    receiverSockets[0]?.ack(1, 1)
    senderSocket.vanish()
    await settled()
    if (receivers[0]) await node.approve(sender, receivers[0])
    expect((await node.view(sender)).channels).toMatchObject([{ window: 2 * FRAME }])
  })

  test('an attacker who fills every window holds no more than the budget', async () => {
    const node = new TestRelay({ settings: settings(20 * FRAME) })
    const sockets = []
    for (let session = 0; session < 3; session++) {
      const { senderSocket, receiverSockets } = await node.pair(2)
      sockets.push({ attacker: senderSocket, channels: [1, 2] })
      receiverSockets.forEach((attacker, index) => {
        sockets.push({ attacker, channels: [index + 1] })
      })
    }
    for (let seq = 1; seq <= 10; seq++) {
      for (const { attacker, channels } of sockets) {
        for (const channel of channels) if (!attacker.closedWith) attacker.data(channel, seq, new Uint8Array(FRAME - 8))
        await settled()
      }
    }
    const { unackedBytes, grantedBytes } = node.counters()
    expect(grantedBytes).toBeLessThanOrEqual(20 * FRAME)
    expect(unackedBytes).toBeLessThanOrEqual(grantedBytes)
    expect(unackedBytes).toBeGreaterThan(10 * FRAME)
  })
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ABSENT_GIVES_BACK_MS,
  HANDSHAKE_WINDOW_BYTES,
  LONG_POLL_MAX_MS,
  PENDING_ABSENT_MS,
  POLL_LEASE_MS,
} from '../../../src/protocol/limits.ts'
import { Pool } from '../../../src/relay/channel/pool.ts'
import type { FakeSocket } from '../../support/fake-socket.ts'
import { holds } from '../../support/property.ts'
import { expectRefusal } from '../../support/refusal.ts'
import { type JoinedReceiver, type Member, opened, settled, TestRelay } from '../../support/relay.ts'

const SOURCES = ['one', 'two', 'three', '']

describe('a pool', () => {
  const step = fc.record({
    source: fc.constantFrom(...SOURCES),
    bytes: fc.integer({ min: 1, max: 400 }),
    back: fc.boolean(),
  })

  holds(
    'never holds more than its limit, nor a source more than its share, and knows the fullest',
    200,
    fc.array(step, { maxLength: 100, size: 'max' }),
    (steps) => {
      const [limit, share] = [1000, 500]
      const pool = new Pool(limit, share)
      const held = new Map(SOURCES.map((source) => [source, 0]))
      const of = (source: string) => held.get(source) ?? 0
      const sum = () => SOURCES.reduce((total, source) => total + of(source), 0)
      for (const { source, bytes, back } of steps) {
        if (back) {
          const given = Math.min(bytes, of(source))
          pool.giveBack(source, given)
          held.set(source, of(source) - given)
        } else {
          const fits = sum() + bytes <= limit && (source === '' || of(source) + bytes <= share)
          expect(pool.take(source, bytes)).toBe(fits)
          if (fits) held.set(source, of(source) + bytes)
        }
        expect(pool.taken).toBe(sum())
        for (const each of SOURCES) expect(pool.takenBy(each)).toBe(of(each))
        const most = Math.max(of('one'), of('two'), of('three'))
        if (most === 0) expect(pool.fullest).toBeUndefined()
        else expect(of(pool.fullest ?? '')).toBe(most)
      }
    },
  )
})

const FRAME = 200_000
const BOTH = 2 * HANDSHAKE_WINDOW_BYTES
const settings = (memoryBudgetBytes: number) => ({ maxFrameBytes: FRAME, windowBytes: 8 * FRAME, memoryBudgetBytes })
/** A budget with room for so many handshakes, of which one source may have an eighth, but one at least. */
const forHandshakes = (count: number) => settings(8 * count * BOTH)
/** A budget with room for so many channels that transfer, with windows of one frame. */
const forTransfers = (count: number) => settings(Math.ceil((count * 2 * FRAME * 8) / 7) + 8)

const windowOf = (socket: FakeSocket | undefined, channel = 1) =>
  socket?.view.channels.find((row) => row.channel === channel)?.window

/** A node with room for all that a test does. */
const roomy = () => new TestRelay({ settings: settings(100_000_000) })
/** A node with room for so many transfers, whatever address they are from. */
const unlimited = (transfers: number) =>
  new TestRelay({ settings: { ...forTransfers(transfers), limitAddresses: false } })
/** Sends a frame of the largest size. */
const fill = async (socket: FakeSocket, seq: number) => {
  await settled(socket.data(1, seq, new Uint8Array(FRAME - 8)))
}

describe('a channel', () => {
  test('has the window of a handshake from the join on, and a full frame when it is approved and both ends are there', async () => {
    const node = roomy()
    const sender = await node.open()
    const receiver = await node.join(sender.senderCode)
    expect(node.counters()).toMatchObject({ grants: 2, grantedBytes: BOTH })
    await node.approve(sender, receiver)
    expect((await node.view(sender)).channels).toMatchObject([{ window: HANDSHAKE_WINDOW_BYTES }])
    const senderSocket = await node.attach(sender)
    expect(windowOf(senderSocket)).toBe(HANDSHAKE_WINDOW_BYTES)
    const receiverSocket = await node.attach(receiver)
    expect([windowOf(senderSocket), windowOf(receiverSocket)]).toEqual([FRAME, FRAME])
    expect(node.counters()).toMatchObject({ grants: 2, grantedBytes: 2 * FRAME })
  })

  test('that was attached at both ends before the approval has a full frame with it, in one view', async () => {
    const node = roomy()
    const sender = await node.open()
    const receiver = await node.join(sender.senderCode)
    const sockets = [await node.attach(sender), await node.attach(receiver)]
    await settled(node.approve(sender, receiver))
    for (const { views } of sockets) {
      expect(views.at(-1)).toMatchObject({ receivers: [{ state: 'approved' }], channels: [{ window: FRAME }] })
      expect(views.at(-2)?.receivers).toMatchObject([{ state: 'pending' }])
    }
  })

  test('keeps what it has for 60 s while an end is away, then gives back the window and what is held, and both resume', async () => {
    const node = roomy()
    const { receiver, sender, senderSocket, receiverSocket } = await node.pair()
    await fill(senderSocket, 1)
    await settled(receiverSocket.vanish())
    await node.pass(ABSENT_GIVES_BACK_MS - 1_000)
    expect(node.counters()).toMatchObject({ grantedBytes: 3 * FRAME, unackedBytes: FRAME })
    expect(senderSocket.closedWith).toBeUndefined()
    await node.pass(1_000)
    expect(senderSocket.closedWith).toBe('resume_required')
    expect(node.counters()).toMatchObject({ grantedBytes: 0, unackedBytes: 0 })
    const again = await node.attach(sender, [{ channel: 1, received: 0, acked: 0 }])
    expect(again.view.channels).toMatchObject([{ received: 0, acked: 0, window: HANDSHAKE_WINDOW_BYTES }])
    await node.attach(receiver, [{ channel: 1, received: 0, acked: 0 }])
    expect(again.closedWith).toBeUndefined()
    expect(windowOf(again)).toBe(FRAME)
  })

  test('keeps what it has while no end is away for 60 s, though there is always one away', async () => {
    const node = roomy()
    const { receiver, sender, senderSocket, receiverSocket } = await node.pair()
    await settled(receiverSocket.vanish())
    await node.pass(ABSENT_GIVES_BACK_MS - 10_000)
    await settled(senderSocket.vanish())
    await node.pass(2_000)
    const again = await node.attach(receiver)
    await node.pass(ABSENT_GIVES_BACK_MS - 3_000)
    expect(again.closedWith).toBeUndefined()
    expect((await node.view(sender)).channels).toMatchObject([{ window: FRAME }])
    await node.pass(1_000)
    expect(again.closedWith).toBe('resume_required')
  })

  test('whose session is over ends with that, however long an end was away', async () => {
    const node = roomy()
    const { senderSocket, receiverSocket } = await node.pair(1, { ttlSeconds: 60 })
    await settled(receiverSocket.vanish())
    node.clock.advance(ABSENT_GIVES_BACK_MS)
    await node.tick()
    expect(senderSocket.closedWith).toBe('session_gone')
  })

  test('whose end asks over HTTP keeps its window for as long as that asks', async () => {
    const node = roomy()
    const { receiver, receiverSocket, senderSocket } = await node.pair()
    const { sessionId, token } = receiver
    await node.relay.attach(sessionId, token, [])
    receiverSocket.vanish()
    for (let i = 0; i < 5; i++) {
      await node.pass(POLL_LEASE_MS - 1_000)
      await node.relay.view(sessionId, token, { version: undefined, waitMs: 0, channels: [] })
    }
    expect(windowOf(senderSocket)).toBe(FRAME)
    await node.pass(POLL_LEASE_MS + ABSENT_GIVES_BACK_MS)
    expect(senderSocket.closedWith).toBe('resume_required')
  })
})

describe('where handshakes have no room', () => {
  test('joins at the same time do not together pass the pool', async () => {
    const { node, sender } = await opened({}, { settings: forHandshakes(3) })
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => node.join(sender.senderCode)))
    expect(outcomes.filter((each) => each.status === 'fulfilled')).toHaveLength(3)
    expect(node.relay.counts.grantedBytes).toBe(3 * BOTH)
  })

  test('a join that fails gives back what was set aside for it', async () => {
    const { node, sender } = await opened({}, { settings: forHandshakes(2) })
    await node.join(sender.senderCode, { receiverCode: 'same' })
    const twice = () => node.join(sender.senderCode, { receiverCode: 'same' }, 'another source')
    for (let i = 0; i < 20; i++) await expectRefusal(twice, 'receiver_code_in_use')
    await node.join(sender.senderCode, {}, 'another source')
    expect(node.relay.counts.grantedBytes).toBe(2 * BOTH)
  })

  test('one source has an eighth of them at most, over all sessions', async () => {
    const node = new TestRelay({ settings: forHandshakes(16) })
    const attacker = async () => {
      const { senderCode } = await node.open()
      await node.join(senderCode, {}, '192.0.2.1')
    }
    for (let i = 0; i < 2; i++) await attacker()
    await expectRefusal(attacker, 'at_capacity')
    const { senderCode } = await node.open()
    await node.join(senderCode, {}, '192.0.2.2')
    await node.join(senderCode, {}, '')
  })

  test('all sources within one wider network have that together, and a join is refused beyond it', async () => {
    const node = new TestRelay({ settings: forHandshakes(16) })
    const join = async (source: string) => {
      const sender = await node.open()
      return node.join(sender.senderCode, {}, source)
    }
    for (let i = 1; i <= 2; i++) await join(`2001:db8:1::/48|2001:db8:1:${i}::`)
    const attacker = () => join('2001:db8:1::/48|2001:db8:1:3::')
    await expectRefusal(attacker, 'at_capacity')
    await join('2001:db8:2::/48|2001:db8:2:1::')
  })

  test('a source that has less takes from the one that has most, whose channel waits and comes back', async () => {
    const node = new TestRelay({ settings: forHandshakes(16) })
    const attackers: { member: Member; socket: FakeSocket }[] = []
    for (let source = 0; source < 8; source++) {
      const sender = await node.open()
      for (let i = 0; i < 2; i++) {
        const member = await node.join(sender.senderCode, {}, `attacker ${source}`)
        attackers.push({ member, socket: await node.attach(member) })
      }
    }
    const sender = await node.open()
    const honest = await node.join(sender.senderCode)
    const socket = await node.attach(honest)
    expect(windowOf(socket)).toBe(HANDSHAKE_WINDOW_BYTES)
    await settled()
    expect(attackers.filter(({ socket }) => socket.closedWith === 'resume_required')).toHaveLength(1)
    expect(node.relay.counts.grantedBytes).toBe(16 * BOTH)
    const waiting = attackers.find(({ socket }) => socket.closedWith !== undefined)
    const again = await node.attach(waiting?.member as Member)
    expect(windowOf(again)).toBe(0)
    await settled(node.end(honest, honest))
    expect(windowOf(again)).toBe(HANDSHAKE_WINDOW_BYTES)
  })

  test('where every source has as little, nobody takes from another', async () => {
    const { node, sender } = await opened({}, { settings: forHandshakes(8) })
    for (let source = 0; source < 8; source++) await node.join(sender.senderCode, {}, `source ${source}`)
    await expectRefusal(async () => node.join((await node.open()).senderCode), 'at_capacity')
  })

  test('approvals that nobody ever uses do not take it: a minute later all of it is free', async () => {
    const node = new TestRelay({ settings: forHandshakes(64) })
    for (let i = 0; i < 8; i++) {
      const attacker = await node.open({ ttlSeconds: 3_600 })
      for (let j = 0; j < 8; j++)
        await node.approve(attacker, await node.join(attacker.senderCode, {}, `attacker ${i}`))
    }
    expect(node.relay.counts.grantedBytes).toBe(64 * BOTH)
    await node.pass(ABSENT_GIVES_BACK_MS)
    expect(node.relay.counts.grantedBytes).toBe(0)
  })
})

/** An approved receiver at each of so many senders, in sessions and from sources of their own, nobody attached. */
async function approvedPairs(node: TestRelay, count: number, source?: string) {
  const pairs: { sender: Member; receiver: JoinedReceiver }[] = []
  for (let i = 0; i < count; i++) {
    const sender = await node.open({}, source)
    const receiver = await node.join(sender.senderCode)
    await node.approve(sender, receiver)
    pairs.push({ sender, receiver })
  }
  return pairs
}

async function attachBoth(node: TestRelay, { sender, receiver }: { sender: Member; receiver: Member }) {
  return [await node.attach(sender), await node.attach(receiver)] as const
}

describe('where transfers have no room', () => {
  test('first come is first served', async () => {
    const node = unlimited(1)
    const pairs = await approvedPairs(node, 4)
    const sockets: FakeSocket[] = []
    for (const pair of pairs) sockets.push((await attachBoth(node, pair))[0])
    const served: (number | undefined)[][] = []
    for (const { receiver } of pairs.slice(0, 3)) {
      await settled(node.end(receiver, receiver))
      served.push(sockets.map((socket) => windowOf(socket)))
    }
    expect(served).toEqual([
      [undefined, FRAME, 4096, 4096],
      [undefined, undefined, FRAME, 4096],
      [undefined, undefined, undefined, FRAME],
    ])
  })

  test('one source has an eighth of it at most, and lets others go before it', async () => {
    const node = new TestRelay({ settings: forTransfers(16) })
    const sockets: FakeSocket[] = []
    for (const pair of await approvedPairs(node, 4, '192.0.2.1')) sockets.push((await attachBoth(node, pair))[0])
    expect(sockets.map((socket) => windowOf(socket))).toEqual([FRAME, FRAME, 4096, 4096])
    const [honest] = await approvedPairs(node, 1)
    expect(windowOf((await attachBoth(node, honest as never))[0])).toBe(FRAME)
  })

  test('windows grow by half of the share of their source, and leave the rest for the first full frames of others', async () => {
    // The share has room for eight transfers.
    const node = new TestRelay({ settings: forTransfers(64) })
    const sockets: FakeSocket[] = []
    for (const pair of await approvedPairs(node, 4, '192.0.2.1')) {
      const [S] = await attachBoth(node, pair)
      sockets.push(S)
      for (let seq = 1; seq * FRAME <= (windowOf(S) ?? 0); seq++) await fill(S, seq)
    }
    expect(sockets.map((socket) => (windowOf(socket) ?? 0) / FRAME)).toEqual([8, 2, 1, 1])
  })

  test('a source that has less takes from receivers that never read, which resume and wait', async () => {
    const node = new TestRelay({ settings: forTransfers(16) })
    const attackers: FakeSocket[] = []
    for (let source = 0; source < 8; source++) {
      for (const pair of await approvedPairs(node, 2, `attacker ${source}`)) {
        attackers.push(...(await attachBoth(node, pair)))
      }
    }
    for (const attacker of attackers) await fill(attacker, 1)
    expect(node.counters().unackedBytes).toBe(32 * FRAME)
    const [honest] = await approvedPairs(node, 1)
    const [S] = await attachBoth(node, honest as never)
    await settled()
    expect(windowOf(S)).toBe(FRAME)
    expect(attackers.filter(({ closedWith }) => closedWith === 'resume_required')).toHaveLength(2)
    expect(node.counters().unackedBytes).toBe(30 * FRAME)
  })

  test('a held poll is answered when its window is granted', async () => {
    const node = unlimited(1)
    const [first, second] = await approvedPairs(node, 2)
    await attachBoth(node, first as never)
    const { sender, receiver } = second as { sender: Member; receiver: JoinedReceiver }
    await node.attach(receiver)
    const { relay } = node
    const { version } = await relay.attach(sender.sessionId, sender.token, [])
    await settled()
    const poll = { version, waitMs: LONG_POLL_MAX_MS, channels: [{ channel: 1, fetched: 0, acked: 0 }] }
    const known = await relay.view(sender.sessionId, sender.token, { ...poll, waitMs: 0 })
    const held = relay.view(sender.sessionId, sender.token, { ...poll, version: known.version })
    await settled()
    await node.end(first?.receiver as JoinedReceiver, first?.receiver as JoinedReceiver)
    expect((await held).channels).toMatchObject([{ window: FRAME }])
  })

  test('a window does not grow into the room that another waits for', async () => {
    const node = unlimited(3)
    const [first, second, third] = await approvedPairs(node, 3)
    const [S] = await attachBoth(node, first as never)
    for (let seq = 1; seq <= 2; seq++) await fill(S, seq)
    expect(windowOf(S)).toBe(4 * FRAME)
    const [other] = await attachBoth(node, second as never)
    expect(windowOf(other)).toBe(4096)
    expect(windowOf((await attachBoth(node, third as never))[0])).toBe(4096)
  })

  test('who stays away for long makes room for who waits', async () => {
    const node = unlimited(1)
    const [first, second] = await approvedPairs(node, 2)
    const [, attacker] = await attachBoth(node, first as never)
    const [S] = await attachBoth(node, second as never)
    await settled(attacker.vanish())
    await node.pass(ABSENT_GIVES_BACK_MS)
    expect(windowOf(S)).toBe(FRAME)
  })
})

describe('a pending receiver that stays away', () => {
  test('gives back what it had when it has left', async () => {
    const node = new TestRelay({ settings: forHandshakes(1) })
    const attacker = await node.open()
    await node.join(attacker.senderCode)
    await node.pass(PENDING_ABSENT_MS)
    const { senderCode } = await node.open()
    await node.join(senderCode)
  })
})

describe('a window in use', () => {
  test('stays as it is while there is no room, and an ack makes it usable again', async () => {
    const node = unlimited(1)
    const { senderSocket, receiverSocket } = await node.pair()
    await fill(senderSocket, 1)
    expect(senderSocket.view.channels).toMatchObject([{ window: FRAME }])
    await settled(receiverSocket.ack(1, 1))
    await fill(senderSocket, 2)
    expect(senderSocket.closedWith).toBeUndefined()
    expect(node.relay.counts.grantedBytes).toBe(2 * FRAME)
  })

  test('is not lowered by acks, a short absence or a repeated approval', async () => {
    const node = roomy()
    const { sender, receiver, senderSocket, receiverSocket } = await node.pair()
    await fill(senderSocket, 1)
    await settled(receiverSocket.ack(1, 1), senderSocket.vanish())
    await node.approve(sender, receiver)
    expect((await node.view(sender)).channels).toMatchObject([{ window: 2 * FRAME }])
  })

  test('an attacker who fills every window holds no more than the budget', async () => {
    const node = new TestRelay({ settings: { ...settings(20 * FRAME), limitAddresses: false } })
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

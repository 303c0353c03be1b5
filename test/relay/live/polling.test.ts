import { describe, expect, test } from 'vitest'
import { LONG_POLL_MAX_MS, POLL_LEASE_MS } from '../../../src/protocol/limits.ts'
import type { AttachedChannels } from '../../../src/protocol/requests.ts'
import type { SessionStore } from '../../../src/relay/ports.ts'
import { eachCall } from '../../support/each-call.ts'
import { Gate } from '../../support/gate.ts'
import { expectRefusal } from '../../support/refusal.ts'
import { type Member, opened, paired, settled, TestRelay } from '../../support/relay.ts'

/** Section 5.9 as the domain has it: who is present without a socket, and what a poll waits for. */

const X = new Uint8Array([1])

/** The calls of a client without a socket. */
function over(node: TestRelay, { sessionId, token }: Member, attachment?: string) {
  const { relay } = node
  return {
    attach: (channels: AttachedChannels = []) => relay.attach(sessionId, token, channels),
    poll: (channels: { channel: number; fetched: number; acked: number }[] = [], waitMs = 0, version?: string) =>
      relay.view(sessionId, token, { version, waitMs, channels, attachment }),
    put: (seq: number, ciphertext = X, channel = 1) =>
      relay.putFrame({ sessionId, token, channel, seq, attachment }, ciphertext),
    get: (seq: number, channel = 1) => relay.fetchFrame({ sessionId, token, channel, seq, attachment }),
    ack: (seq: number, channel = 1) => relay.ackFrames({ sessionId, token, channel, seq, attachment }),
  }
}

/** A session with an approved receiver, both attached over HTTP. */
async function pairOverHttp(node = new TestRelay()) {
  const sender = await node.open()
  const receiver = await node.join(sender.senderCode)
  await node.approve(sender, receiver)
  const [S, R] = [over(node, sender), over(node, receiver)]
  await S.attach()
  await R.attach()
  return { node, sender, receiver, S, R }
}

/** A relay that counts what is asked of its store of sessions. */
function countingNode() {
  const asked = { update: 0, get: 0 }
  const wrapSessions = (store: SessionStore): SessionStore =>
    eachCall(store, (call, method) => {
      if (method === 'update' || method === 'get') asked[method]++
      return call()
    })
  return { node: new TestRelay({ wrapSessions }), asked }
}

describe('presence without a socket', () => {
  const presentIn = async (node: TestRelay, receiver: Member) => (await node.view(receiver)).senderPresent

  test('lasts for a minute after the attach, to the millisecond, though nothing is changed then', async () => {
    const { node, receiver } = await pairOverHttp()
    const { version } = await node.view(receiver)
    node.clock.advance(POLL_LEASE_MS - 1)
    expect(await presentIn(node, receiver)).toBe(true)
    node.clock.advance(1)
    expect(await node.view(receiver)).toMatchObject({ senderPresent: false, version })
  })

  test('is renewed by polls, of which only one in half a minute changes the session', async () => {
    const { node, asked } = countingNode()
    const { receiver, S } = await pairOverHttp(node)
    const { version } = await node.view(receiver)
    asked.update = 0
    for (let second = 0; second < 300; second++) {
      node.clock.advance(1_000)
      await S.poll()
      expect(await node.view(receiver)).toMatchObject({ senderPresent: true, version })
    }
    expect(asked.update).toBe(10)
  })

  test('is not renewed by a view that is only looked at, nor by frames', async () => {
    const { node, sender, receiver, S } = await pairOverHttp()
    node.clock.advance(POLL_LEASE_MS - 1_000)
    await node.view(sender)
    await S.put(1)
    node.clock.advance(1_000)
    expect(await presentIn(node, receiver)).toBe(false)
  })

  test('that had lapsed comes back with the next poll, and that is a change', async () => {
    const { node, receiver, S } = await pairOverHttp()
    node.clock.advance(POLL_LEASE_MS)
    const { version } = await node.view(receiver)
    const held = node.relay.view(receiver.sessionId, receiver.token, { version, waitMs: LONG_POLL_MAX_MS })
    await settled()
    await S.poll()
    expect((await held).senderPresent).toBe(true)
    expect((await held).version).not.toBe(version)
  })

  test('ends a socket of the role, and is ended by one: polls do not bring it back', async () => {
    const { node, sender, receiver, senderSocket } = await paired()
    const S = over(node, sender)
    await settled(S.attach())
    expect(senderSocket.closedWith).toBe('superseded')
    expect(await presentIn(node, receiver)).toBe(true)
    const again = await node.attach(sender)
    await settled(again.vanish())
    await S.poll()
    expect(await presentIn(node, receiver)).toBe(false)
  })

  test('of the late detach of a superseded socket is not the end of it', async () => {
    const sessions = new Gate()
    const node = new TestRelay({ wrapSessions: (store) => sessions.behind(store) })
    const { sender, receiver, senderSocket } = await node.pair()
    sessions.hold('update')
    senderSocket.vanish()
    const attaching = over(node, sender).attach()
    await settled()
    sessions.open()
    await attaching
    await settled()
    expect(await presentIn(node, receiver)).toBe(true)
  })
})

describe('a poll', () => {
  test.each([
    ['a frame', ({ S }: Pair) => S.put(1)],
    ['an ack', ({ R }: Pair) => R.ack(1)],
    ['a change', ({ node, sender }: Pair) => node.relay.retireCode(sender.sessionId, sender.token)],
  ])('misses no change between its reading and its waiting: %s', async (what, change) => {
    const sessions = new Gate()
    const node = new TestRelay({ wrapSessions: (store) => sessions.behind(store) })
    const pair = await pairOverHttp(node)
    const { sender, S, R } = pair
    if (what === 'an ack') await S.put(1)
    const { version } = await node.view(sender)
    sessions.hold('get')
    const knows = [{ channel: 1, fetched: what === 'an ack' ? 1 : 0, acked: 0 }]
    let answered = false
    const held = (what === 'an ack' ? S : R).poll(knows, LONG_POLL_MAX_MS, version).then((view) => {
      answered = true
      return view
    })
    await settled()
    // The poll has read, and does not know yet what. The change is made meanwhile.
    const changing = change(pair)
    await settled()
    while (sessions.waiting > 1) {
      await settled(sessions.releaseNewest())
    }
    await changing
    await settled(sessions.open())
    expect(answered).toBe(true)
    await held
  })

  test('of a denied stranger does not look again for the frames of others', async () => {
    const { node, asked } = countingNode()
    const { sender, senderSocket, receiverSocket } = await node.pair()
    const attacker = await node.join(sender.senderCode)
    await node.relay.decide(sender.sessionId, sender.token, attacker.receiverCode, { decision: 'denied' })
    const { version } = await node.view(attacker)
    void over(node, attacker).poll([{ channel: 2, fetched: 0, acked: 0 }], LONG_POLL_MAX_MS, version)
    await settled()
    const { get } = asked
    await settled(senderSocket.data(1, 1), receiverSocket.ack(1, 1))
    expect(senderSocket.acks.at(-1)).toEqual({ channel: 1, seq: 1 })
    expect(asked.get).toBe(get)
  })

  test('is not answered for what it knows, nor for the frames of others', async () => {
    const { node, sender, receiver, S, R } = await pairOverHttp()
    await S.put(1)
    const { version } = await node.view(receiver)
    let answered = false
    void R.poll([{ channel: 1, fetched: 1, acked: 0 }], LONG_POLL_MAX_MS, version).then(() => {
      answered = true
    })
    await settled()
    // Its own frames, and acks of them, which it does not wait for either: nobody acks what was not sent.
    await R.put(1)
    await settled()
    expect(answered).toBe(false)
    await S.put(2)
    await settled()
    expect(answered).toBe(true)
    await node.close(sender)
  })
})

type Pair = Awaited<ReturnType<typeof pairOverHttp>>

describe('frames of a relay that has forgotten', () => {
  test('neither come nor go: every call says resume_required, and an attach opens both directions again', async () => {
    const { node, sender, S, R } = await pairOverHttp()
    for (const seq of [1, 2]) await S.put(seq)
    await R.ack(1)
    for (const direction of ['s2r', 'r2s'] as const) node.mailboxes.drop([`${sender.sessionId}/1/${direction}`])
    await expectRefusal(() => S.put(3), 'resume_required')
    await expectRefusal(() => R.get(2), 'resume_required')
    await expectRefusal(() => R.ack(2), 'resume_required')
    expect((await S.poll()).channels).toMatchObject([{ received: 0, acked: 0, available: 0 }])
    expect((await R.attach([{ channel: 1, received: 1, acked: 0 }])).channels).toMatchObject([{ available: 1 }])
    expect((await S.attach([{ channel: 1, received: 0, acked: 1 }])).channels).toMatchObject([
      { received: 1, acked: 1 },
    ])
    await S.put(2)
    expect(await R.get(2)).toEqual(X)
  })

  test('a socket at the other end has to resume too', async () => {
    const { node, sender, receivers, receiverSocket } = await paired()
    for (const direction of ['s2r', 'r2s'] as const) node.mailboxes.drop([`${sender.sessionId}/1/${direction}`])
    await over(node, sender).attach()
    await settled()
    expect(receiverSocket.closedWith).toBe('resume_required')
    expect(receivers).toHaveLength(1)
  })
})

describe('an attach over HTTP has a name', () => {
  test('by which every call of an older one is refused with superseded, a held poll too', async () => {
    const { node, sender, receiver, R } = await pairOverHttp()
    const first = await R.attach()
    const older = over(node, receiver, first.attachment)
    await over(node, sender).put(1)
    const held = older.poll(
      [{ channel: 1, fetched: 1, acked: 0 }],
      LONG_POLL_MAX_MS,
      (await node.view(receiver)).version,
    )
    await R.attach()
    await expectRefusal(() => held, 'superseded')
    for (const call of [() => older.put(1), () => older.get(1), () => older.ack(1)]) {
      await expectRefusal(call, 'superseded')
    }
  })

  test('a socket supersedes it, also when that is gone again', async () => {
    const { node, receiver, R } = await pairOverHttp()
    const older = over(node, receiver, (await R.attach()).attachment)
    const socket = await node.attach(receiver)
    await expectRefusal(() => older.get(1), 'superseded')
    await settled(socket.vanish())
    await expectRefusal(() => older.poll(), 'superseded')
  })

  test('who has ended is told that, and not that it was superseded', async () => {
    const { node, sender, receiver, R } = await pairOverHttp()
    const left = over(node, receiver, (await R.attach()).attachment)
    await node.end(sender, receiver)
    expect((await left.poll()).receivers).toMatchObject([{ state: 'revoked' }])
    await expectRefusal(() => left.get(1), 'receiver_gone')
    const { attachment } = await over(node, sender).attach()
    await node.close(sender)
    expect(await over(node, sender, attachment).poll()).toMatchObject({ state: 'closed' })
  })
})

describe('one seq', () => {
  test('that was acked is refused with frame_refused, whether a later one is held or none', async () => {
    const { S, R } = await pairOverHttp()
    await S.put(1)
    await S.put(2)
    await R.ack(1)
    await expectRefusal(() => R.get(1), 'frame_refused')
    await R.ack(2)
    for (const seq of [1, 2]) await expectRefusal(() => R.get(seq), 'frame_refused')
    expect(await R.get(3)).toBeUndefined()
  })
})

describe('a relay that stops', () => {
  test('ends the sessions of those who are between two polls', async () => {
    const { node, S, R } = await pairOverHttp()
    await node.relay.drain()
    expect(await S.poll()).toMatchObject({ state: 'closed', reason: 'shutting_down' })
    expect(await R.attach()).toMatchObject({ state: 'closed', reason: 'shutting_down' })
  })

  test('knows of those who have asked within a minute, however long ago they attached', async () => {
    const { node, S } = await pairOverHttp()
    for (let i = 0; i < 3; i++) {
      await node.pass(POLL_LEASE_MS - 1_000)
      await S.poll()
    }
    expect(node.relay.awaitsPolls).toBe(true)
  })

  test('knows nothing of who has not asked for a minute, or never did', async () => {
    const { node } = await pairOverHttp()
    const looking = await node.open()
    await node.view(looking)
    await node.pass(POLL_LEASE_MS - 1)
    expect(node.relay.awaitsPolls).toBe(true)
    await node.pass(1)
    expect(node.relay.awaitsPolls).toBe(false)
  })

  test('takes no new attach', async () => {
    const { node, sender } = await opened()
    await node.relay.drain()
    await expectRefusal(() => over(node, sender).attach(), 'going_away')
  })
})

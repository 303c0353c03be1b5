import { beforeEach, describe, expect, test } from 'vitest'
import { ABSENT_GIVES_BACK_MS, HANDSHAKE_WINDOW_BYTES, SILENCE_MS } from '../../../src/protocol/limits.ts'
import { RelayError } from '../../../src/relay/errors.ts'
import type { MailboxStore } from '../../../src/relay/ports.ts'
import type { MemorySessionStore } from '../../../src/store/memory/sessions.ts'
import type { FakeSocket } from '../../support/fake-socket.ts'
import { expectRefusal } from '../../support/refusal.ts'
import { settled } from '../../support/relay.ts'
import { TwoNodes } from './two-nodes.ts'

/** Contents of the data frames that a socket was sent. */
function textsOf({ sent }: FakeSocket): string[] {
  return sent.flatMap((each) => (each.kind === 'data' ? [each.text] : []))
}

/** The next change of a session is made at once, and answered when the function that comes back is called. */
function answerLate(store: MemorySessionStore): () => void {
  const update = store.update.bind(store)
  let release = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const late = async (...args: Parameters<typeof update>) => {
    Object.assign(store, { update })
    const answer = await update(...args)
    await released
    return answer
  }
  Object.assign(store, { update: late })
  return release
}

let nodes: TwoNodes
beforeEach(() => {
  nodes = new TwoNodes()
})

describe('when one node does not hear what the other says', () => {
  test('frames, acks and an end are seen after 25 s of silence at the latest', async () => {
    const { sender, receiver, S, R } = await nodes.pair()
    nodes.deaf = true
    await settled(S.data(1, 1, 'unheard'))
    expect(textsOf(R)).toEqual([])
    await nodes.pass(SILENCE_MS)
    expect(textsOf(R)).toEqual(['unheard'])
    await settled(R.ack(1, 1))
    expect(S.view?.channels).toMatchObject([{ received: 1, acked: 0 }])
    await nodes.pass(SILENCE_MS)
    expect(S.view?.channels).toMatchObject([{ received: 1, acked: 1 }])
    await settled(nodes.B.end(receiver, receiver))
    expect(S.view?.receivers).toMatchObject([{ state: 'approved' }])
    await nodes.pass(SILENCE_MS)
    expect(S.view?.receivers).toMatchObject([{ state: 'done' }])
    await nodes.B.close(sender)
    await nodes.pass(SILENCE_MS)
    expect(S.closedWith).toBe('session_gone')
  })

  test('an approval is still shown before the frames that it allowed', async () => {
    const sender = await nodes.A.open()
    const receiver = await nodes.B.join(sender.senderCode)
    const S = await nodes.A.attach(sender)
    const R = await nodes.B.attach(receiver)
    await settled(S.data(1, 1, 'm2'))
    expect(textsOf(R)).toEqual(['m2'])
    nodes.deaf = true
    await nodes.A.approve(sender, receiver)
    for (let seq = 2; seq <= 5; seq++) S.data(1, seq, new Uint8Array(3_000))
    await settled()
    const before = R.sent.length
    nodes.deaf = false
    // Of all that was said, only the last frame is heard.
    await settled(S.data(1, 6, 'x'))
    const [first, ...rest] = R.sent.slice(before)
    expect(first).toMatchObject({ kind: 'view', view: { receivers: [{ state: 'approved' }] } })
    expect(rest.map(({ kind }) => kind)).toEqual(['data', 'data', 'data', 'data', 'data'])
  })

  test('the end of one channel costs a sender that has not heard of it no socket', async () => {
    const { receiver, S } = await nodes.pair()
    await settled(S.data(1, 1, 'x'))
    nodes.deaf = true
    await settled(nodes.B.end(receiver, receiver))
    nodes.A.ears.missed()
    await settled(S.data(1, 2, 'y'))
    expect(S.closedWith).toBeUndefined()
    expect(S.view).toMatchObject({ receivers: [{ state: 'done' }], channels: [] })
  })

  test('a socket that was superseded at the other node learns of it with the next look', async () => {
    const { sender, S } = await nodes.pair()
    nodes.deaf = true
    const newer = await nodes.B.attach(sender)
    expect(S.closedWith).toBeUndefined()
    await nodes.pass(SILENCE_MS)
    expect(S.closedWith).toBe('superseded')
    expect(newer.closedWith).toBeUndefined()
  })
})

describe('a store that has lost frames', () => {
  const forget = (sessionId: string) => nodes.mailboxes.drop([`${sessionId}/1/s2r`])

  test('of a writer has it resume with its next frame', async () => {
    const { sender, S, R } = await nodes.pair()
    await settled(S.data(1, 1, 'one'), S.data(1, 2, 'two'))
    forget(sender.sessionId)
    // As a copy of the store would that was behind.
    await settled(nodes.mailboxes.open(`${sender.sessionId}/1/s2r`, 1), S.data(1, 3, 'three'))
    expect(S.closedWith).toBe('resume_required')
    const again = await nodes.A.attach(sender, [{ channel: 1, received: 0, acked: 0 }])
    expect(again.view?.channels).toMatchObject([{ received: 1 }])
    await settled(again.data(1, 2, 'two'), again.data(1, 3, 'three'))
    expect(textsOf(R)).toEqual(['one', 'two', 'three'])
  })

  test('of a writer that has nothing more to say has it resume when it is next shown where it is', async () => {
    const { sender, S } = await nodes.pair()
    await settled(S.data(1, 1, 'one'))
    forget(sender.sessionId)
    nodes.mailboxes.open(`${sender.sessionId}/1/s2r`, 0)
    await nodes.pass(SILENCE_MS)
    expect(S.closedWith).toBe('resume_required')
  })

  test('or the whole channel, the same', async () => {
    const { sender, S } = await nodes.pair()
    forget(sender.sessionId)
    await nodes.pass(SILENCE_MS)
    expect(S.closedWith).toBe('resume_required')
  })
})

describe('while a shared store is slow', () => {
  test('a socket may send what its window allows, and everything is taken when the store answers', async () => {
    const { S, R } = await nodes.pair()
    const { window } = S.view?.channels[0] ?? { window: 0 }
    expect(window).toBe(4_096)
    nodes.gate.hold('append')
    for (let seq = 1; seq <= 16; seq++) S.data(1, seq, 'x')
    await settled()
    expect(S.closedWith).toBeUndefined()
    await settled(nodes.gate.open())
    expect(textsOf(R)).toHaveLength(16)
  })

  test('a socket that sends more than all it may have unacknowledged is closed with 4002, and keeps nothing', async () => {
    const { S: attacker } = await nodes.pair()
    nodes.gate.hold('append')
    // 4,096 bytes of window, and 65,536 for acks and the like.
    for (let seq = 1; seq <= 17; seq++) attacker.data(1, seq, new Uint8Array(4_000))
    await settled()
    expect(attacker.closedWith).toBeUndefined()
    for (let seq = 18; seq <= 20; seq++) attacker.data(1, seq, new Uint8Array(4_000))
    await settled()
    expect(attacker.closedWith).toBe('window_exceeded')
  })
})

describe('a channel that every node reaches', () => {
  test('is kept to the end of the session, though its receiver was pending when it was opened', async () => {
    const kept: (number | undefined)[] = []
    const open = nodes.mailboxes.open.bind(nodes.mailboxes)
    Object.assign(nodes.mailboxes, {
      open: (...[key, floor, keepMs]: Parameters<MailboxStore['open']>) => {
        kept.push(keepMs)
        return open(key, floor)
      },
    })
    await nodes.pair()
    // Both ends open both directions.
    expect(kept).toEqual([900_000, 900_000, 900_000, 900_000])
  })
})

describe('a window that was given back', () => {
  test('is not shown before its frames are gone from where every node reaches them', async () => {
    const { S, R } = await nodes.pair()
    await settled(S.data(1, 1, new Uint8Array(4_088)))
    const grown = [{ window: 8_192 }]
    expect(S.view.channels).toMatchObject(grown)
    await settled(R.vanish())
    nodes.gate.hold('drop')
    await nodes.pass(ABSENT_GIVES_BACK_MS)
    await nodes.pass(SILENCE_MS)
    await settled()
    expect(nodes.gate.waiting).toBeGreaterThan(0)
    expect(S.view.channels).toMatchObject(grown)
    await settled(nodes.gate.open())
    expect(S.view.channels).toMatchObject(grown)
    expect(S.closedWith).toBe('resume_required')
  })
})

describe('a join that the store answers late', () => {
  test('pays once for a channel that a socket of its node has seen first', async () => {
    const sender = await nodes.A.open()
    await nodes.A.attach(sender)
    const answer = answerLate(nodes.sessions)
    const joining = nodes.A.join(sender.senderCode)
    await settled()
    nodes.A.look(sender.sessionId)
    answer()
    await joining
    await settled()
    expect(nodes.A.counters()).toMatchObject({ grants: 2, grantedBytes: 2 * HANDSHAKE_WINDOW_BYTES })
    await settled(nodes.A.close(sender))
    expect(nodes.A.counters()).toMatchObject({ grants: 0, grantedBytes: 0 })
  })

  test('keeps no window where the last socket of its session has gone meanwhile', async () => {
    const sender = await nodes.A.open()
    const S = await nodes.A.attach(sender)
    const answer = answerLate(nodes.sessions)
    const joining = nodes.A.join(sender.senderCode)
    await settled()
    await settled(S.vanish())
    answer()
    await joining
    await settled()
    expect(nodes.A.counters()).toMatchObject({ grants: 0, grantedBytes: 0 })
  })
})

describe('a store that was away when a socket went', () => {
  test('is told a second later, and again until it has heard', async () => {
    const { sender, receiver, R } = await nodes.pair()
    const update = nodes.sessions.update.bind(nodes.sessions)
    const isPresent = async () => (await nodes.A.view(sender)).receivers.map(({ present }) => present)
    Object.assign(nodes.sessions, { update: () => Promise.reject(new RelayError('unavailable')) })
    await settled(R.vanish())
    await nodes.B.tick()
    expect(await isPresent()).toEqual([true])
    Object.assign(nodes.sessions, { update })
    await nodes.pass(1_000)
    await settled()
    expect(await isPresent()).toEqual([false])
    const again = await nodes.B.attach(receiver)
    await nodes.pass(1_000)
    await settled()
    expect(await isPresent()).toEqual([true])
    expect(again.closedWith).toBeUndefined()
    let told = 0
    const counted = (...args: Parameters<typeof update>) => {
      told++
      return update(...args)
    }
    Object.assign(nodes.sessions, { update: counted })
    await nodes.pass(2_000)
    expect(told).toBe(0)
  })
})

describe('a role that attaches over HTTP', () => {
  test('leaves nothing to give up at the node that it asked', async () => {
    const dropped: unknown[] = []
    const sender = await nodes.A.open()
    const receiver = await nodes.A.join(sender.senderCode)
    await nodes.A.relay.attach(receiver.sessionId, receiver.token, [])
    const drop = nodes.A.mailboxes.drop.bind(nodes.A.mailboxes)
    Object.assign(nodes.A.mailboxes, {
      drop: (keys: Parameters<typeof drop>[0]) => {
        dropped.push(...keys)
        return drop(keys)
      },
    })
    await nodes.sessions.delete(sender.sessionId)
    await settled(nodes.A.look(sender.sessionId))
    expect(dropped).toEqual([])
  })
})

describe('a channel that moves', () => {
  test('is read once, though two looks at the session find that it has moved', async () => {
    const sender = await nodes.A.open()
    const receiver = await nodes.B.join(sender.senderCode)
    const S = await nodes.A.attach(sender)
    nodes.own.hold('position')
    const R = await nodes.B.attach(receiver)
    await settled(R.data(1, 1, 'm1'), nodes.A.look(sender.sessionId))
    expect(nodes.own.waiting).toBeGreaterThan(1)
    // The looks end one after the other.
    while (nodes.own.waiting > 0) {
      await settled(nodes.own.release(1))
    }
    expect(textsOf(S)).toEqual(['m1'])
  })

  test('is waited for with what comes on it', async () => {
    const sender = await nodes.A.open()
    const receiver = await nodes.B.join(sender.senderCode)
    const S = await nodes.A.attach(sender)
    nodes.gate.hold('open')
    const R = nodes.B.connect(receiver.sessionId)
    await settled(R.attach(receiver.token))
    await settled(nodes.A.look(sender.sessionId))
    await settled(S.data(1, 1, 'before it is open'))
    await settled(nodes.gate.open())
    expect(S.closedWith).toBeUndefined()
    expect(textsOf(R)).toEqual(['before it is open'])
  })

  test('because one end has no WebSocket costs the other, which has sent nothing, no reconnect', async () => {
    const sender = await nodes.A.open()
    const receiver = await nodes.A.join(sender.senderCode)
    const S = await nodes.A.attach(sender)
    const { sessionId, token } = receiver
    await settled(nodes.A.relay.attach(sessionId, token, []))
    await settled(S.data(1, 1, 'm2'))
    expect(S.closedWith).toBeUndefined()
    const view = await nodes.A.relay.view(sessionId, token, { version: undefined, waitMs: 0, channels: [] })
    expect(view.channels).toMatchObject([{ available: 1 }])
  })

  test('back to one node stays where it was: its ends do not have to attach again', async () => {
    const { receiver, S, R } = await nodes.pair()
    await settled(S.data(1, 1, 'shared'))
    R.vanish()
    const here = await nodes.A.attach(receiver, [{ channel: 1, received: 1, acked: 0 }])
    await settled(S.data(1, 2, 'still shared'))
    expect(textsOf(here)).toEqual(['still shared'])
    expect(S.closedWith).toBeUndefined()
  })
})

describe('a poll over HTTP', () => {
  test('is waited for by no node that stops: another one goes on', async () => {
    const { sender } = await nodes.pair()
    await nodes.A.relay.attach(sender.sessionId, sender.token, [])
    expect(nodes.A.relay.awaitsPolls).toBe(true)
    await nodes.A.relay.drain()
    expect(nodes.A.relay.awaitsPolls).toBe(false)
  })

  test('that meets the end of a channel shows the end, and never a channel that has lost its frames', async () => {
    const { sender, receiver, R } = await nodes.pair()
    const { relay } = nodes.A
    await settled(relay.attach(sender.sessionId, sender.token, []))
    R.data(1, 1, 'a frame')
    await relay.putFrame({ sessionId: sender.sessionId, token: sender.token, channel: 1, seq: 1 }, new Uint8Array(8))
    nodes.gate.hold('position')
    const channels = [{ channel: 1, fetched: 0, acked: 0 }]
    const polled = relay.view(sender.sessionId, sender.token, { version: undefined, waitMs: 0, channels })
    await settled()
    expect(nodes.gate.waiting).toBe(1)
    await settled(nodes.B.end(receiver, receiver))
    nodes.gate.open()
    expect(await polled).toMatchObject({ receivers: [{ state: 'done' }], channels: [] })
  })

  test('and frames over HTTP may go to any node, the one with the other end’s socket as well: the window is the same', async () => {
    const { sender, S } = await nodes.pair()
    await settled(nodes.A.relay.attach(sender.sessionId, sender.token, []))
    expect(S.closedWith).toBe('superseded')
    const windows = []
    for (let seq = 1; seq <= 4; seq++) {
      const node = seq % 2 === 0 ? nodes.A : nodes.B
      const call = { sessionId: sender.sessionId, token: sender.token, channel: 1, seq }
      windows.push((await node.relay.putFrame(call, new Uint8Array(4_088))).window)
      windows.push((await node.view(sender)).channels[0]?.window)
    }
    expect(new Set(windows)).toEqual(new Set([4 * 4_096]))
    // Nothing is granted for it where the other end has its socket: that has one full frame each way.
    expect(nodes.B.counters().grantedBytes).toBe(2 * 4_096)
  })

  test('shows a window of four full frames, as no node has a grant for who writes without a socket', async () => {
    const { sender, receiver } = await nodes.pair()
    const { relay } = nodes.B
    await settled(relay.attach(sender.sessionId, receiver.token, []))
    const poll = { version: undefined, waitMs: 0, channels: [] }
    const { channels } = await relay.view(sender.sessionId, receiver.token, poll)
    expect(channels).toMatchObject([{ window: 4 * 4_096 }])
    const attacker = (seq: number) =>
      relay.putFrame({ sessionId: sender.sessionId, token: receiver.token, channel: 1, seq }, new Uint8Array(4_088))
    for (let seq = 1; seq <= 4; seq++) await attacker(seq)
    await expectRefusal(() => attacker(5), 'frame_refused')
  })

  test('is held while nothing has come that its caller does not know, and ends with a frame or an ack', async () => {
    const { sender, receiver, S } = await nodes.pair()
    const { relay } = nodes.B
    await settled(relay.attach(sender.sessionId, receiver.token, []))
    const { version } = await nodes.B.view(receiver)
    const poll = (fetched: number, acked: number) => {
      const seen = { version, waitMs: 25_000, channels: [{ channel: 1, fetched, acked }] }
      let ended = false
      const view = relay.view(sender.sessionId, receiver.token, seen).finally(() => {
        ended = true
      })
      return { view, ended: () => ended }
    }
    const first = poll(0, 0)
    await settled()
    expect(first.ended()).toBe(false)
    await settled(S.data(1, 1, 'a frame'))
    expect((await first.view).channels).toMatchObject([{ available: 1, acked: 0 }])
    const call = { sessionId: sender.sessionId, token: receiver.token, channel: 1, seq: 1 }
    await relay.putFrame(call, new Uint8Array(8))
    const second = poll(1, 0)
    await settled()
    expect(second.ended()).toBe(false)
    await settled(S.ack(1, 1))
    expect((await second.view).channels).toMatchObject([{ available: 1, acked: 1 }])
  })
})

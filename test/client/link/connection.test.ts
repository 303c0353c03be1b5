import { describe, expect, test } from 'vitest'
import { PairingError } from '../../../src/client/errors.ts'
import { FrameJoiner } from '../../../src/crypto/fragments.ts'
import { ciphertextOf, FRAME_ACK } from '../../../src/protocol/frame.ts'
import type { CloseReason } from '../../../src/protocol/view.ts'
import { channelRow, VIEW } from '../fake-web-socket.ts'
import {
  attach,
  dropAndWait,
  type FakeWorld,
  fail,
  frameOf,
  pairingErrorOf,
  startedConnection,
  TOKEN,
} from '../support.ts'

/** A connection with one channel, attached. */
function attachedConnection(options = {}) {
  const started = startedConnection(options)
  const channel = started.connection.channel(1)
  channel.verified()
  channel.approved()
  attach(started.world)
  return { ...started, channel }
}

/** Two channels, attached. */
function twoChannels() {
  const attached = attachedConnection()
  const second = attached.connection.channel(2)
  attached.world.socket.show({ channels: [channelRow(), channelRow({ channel: 2 })] })
  return { ...attached, second }
}

describe('attaching', () => {
  test('the first message is the attach, with the place of every channel', async () => {
    const { world, connection } = startedConnection()
    const channel = connection.channel(3)
    world.socket.open()
    expect(world.socket.texts).toEqual([
      { type: 'attach', token: TOKEN, channels: [{ channel: 3, received: 0, acked: 0 }] },
    ])
    world.socket.show({ channels: [channelRow({ channel: 3 })] })
    await channel.send(frameOf(1))
    world.socket.ack(3, 1)
    world.socket.data(3, 1, new Uint8Array(9))
    await channel.receive()
    channel.processed()
    await fail(world)
    world.socket.open()
    expect(world.socket.texts).toEqual([
      { type: 'attach', token: TOKEN, channels: [{ channel: 3, received: 1, acked: 1 }] },
    ])
  })

  test('nothing else goes out before the first view', async () => {
    const { world, connection } = startedConnection()
    const channel = connection.channel(1)
    await channel.send(frameOf(1))
    world.socket.open()
    expect(world.socket.frames).toEqual([])
    world.socket.show({ channels: [channelRow()] })
    expect(world.socket.frames.map(({ seq }) => seq)).toEqual([1])
  })

  test('a later view repeats received for information only', async () => {
    const { world, channel } = attachedConnection()
    await channel.send(frameOf(1))
    world.socket.show({ channels: [channelRow({ received: 0 })] })
    expect(world.socket.frames).toHaveLength(1)
  })
})

describe('losing the socket', () => {
  /** A connection that has waited for 250 ms, 500 ms and 1 s, and is attached again. */
  async function attachedAfterFailures() {
    const attached = attachedConnection({ jitter: 1 })
    await attached.world.time.advance(3_000)
    for (let i = 0; i < 3; i++) await dropAndWait(attached.world)
    attach(attached.world)
    return attached
  }

  test('a socket that lives for 3 s starts the waits anew', async () => {
    const { world } = await attachedAfterFailures()
    await world.time.advance(3_000)
    expect(await dropAndWait(world)).toBe(250)
  })

  test('so does one on which something new came', async () => {
    const frames = await attachedAfterFailures()
    frames.world.socket.data(1, 1, new Uint8Array(1))
    expect(await dropAndWait(frames.world)).toBe(250)

    const acks = await attachedAfterFailures()
    await acks.channel.send(frameOf(1))
    acks.world.socket.ack(1, 1)
    expect(await dropAndWait(acks.world)).toBe(250)
  })

  test('one that attaches and dies at once does not, nor one that says what was said before', async () => {
    const { world } = await attachedAfterFailures()
    expect(await dropAndWait(world)).toBe(2_000)
    attach(world)
    world.socket.ack(1, 0)
    await world.time.advance(2_999)
    expect(await dropAndWait(world)).toBe(4_000)
  })

  test.each([1001, 1006, 1011, 4408, 4409, 1005, 4999])('close code %d is no end', async (code) => {
    const { world, ends } = attachedConnection()
    world.socket.drop(code)
    await world.time.advance(0)
    expect(world.sockets).toHaveLength(2)
    expect(ends).toEqual([])
  })

  test.each([
    [4001, 'superseded'],
    [4002, 'relay_refused'],
    [4400, 'relay_refused'],
    [4401, 'relay_refused'],
    [4403, 'relay_refused'],
    [4404, 'session_lost'],
    [1009, 'relay_refused'],
    [1000, 'relay_refused'],
    [1002, 'relay_refused'],
    [1003, 'relay_refused'],
    [1007, 'relay_refused'],
  ] as const)('close code %d ends it with %s, for good', async (code, expected) => {
    const { world, channel, codes } = attachedConnection()
    world.socket.drop(code)
    await world.time.advance(100_000)
    expect(world.sockets).toHaveLength(1)
    expect(codes()).toEqual([expected])
    expect(await pairingErrorOf(channel.receive())).toBe(expected)
    expect(world.time.outstanding).toBe(0)
  })

  test('4001 because of an attach of its own, given up and handled late, is no end: once for each within 60 s', async () => {
    const { world, ends, codes } = attachedConnection()
    const attachAgain = async () => {
      await world.time.advance(10_000)
      attach(world)
    }
    await fail(world)
    world.socket.open()
    await world.time.advance(10_000)
    await attachAgain()
    world.socket.drop(4001)
    expect(ends).toEqual([])
    await attachAgain()
    world.socket.drop(4001)
    expect(codes()).toEqual(['superseded'])

    const later = attachedConnection()
    await fail(later.world)
    later.world.socket.open()
    await later.world.time.advance(10_000)
    later.world.socket.open()
    later.world.socket.show()
    for (let i = 0; i < 6; i++) {
      await later.world.time.advance(10_000)
      later.world.socket.show()
    }
    later.world.socket.drop(4001)
    expect(later.codes()).toEqual(['superseded'])
  })

  test('what a replaced socket still says, that it opens late, or why it closes, means nothing', async () => {
    const { world, views, ends } = startedConnection()
    const [old] = world.sockets
    await world.time.advance(65_000)
    expect(world.sockets.length).toBeGreaterThan(1)
    old.open()
    old.say('rubbish')
    old.show()
    old.drop(4001)
    expect(old.sent).toEqual([])
    expect(views).toEqual([])
    expect(ends).toEqual([])
  })

  test('4410 before any view says that the time is over; after one, the next attach is told why', async () => {
    const early = startedConnection()
    early.world.socket.open()
    early.world.socket.drop(4410)
    expect(early.codes()).toEqual(['expired'])

    const late = attachedConnection()
    await fail(late.world, 1, 4410)
    late.world.socket.open()
    late.world.socket.show({ state: 'closed', reason: 'closed_by_sender' })
    expect(late.codes()).toEqual(['closed_by_sender'])
  })
})

describe('silence', () => {
  test('a socket that says nothing for 60 s is replaced, one that says something is not', async () => {
    const { world } = attachedConnection()
    await world.time.advance(55_000)
    world.socket.show({ channels: [channelRow()] })
    await world.time.advance(55_000)
    expect(world.sockets).toHaveLength(1)
    await world.time.advance(10_000)
    expect(world.sockets).toHaveLength(2)
    expect(world.sockets[0].closed).toBe(true)
  })

  test('any frame is a sign of life', async () => {
    const { world, channel } = attachedConnection()
    await channel.send(frameOf(1))
    await world.time.advance(59_000)
    world.socket.ack(1, 1)
    await world.time.advance(59_000)
    expect(world.sockets).toHaveLength(1)
  })
})

describe('a relay that misbehaves', () => {
  test.each<[string, unknown]>([
    ['text that is not JSON', '{'],
    ['JSON that is not a view', '{"type":"session"}'],
    ['a view with a key __proto__', JSON.stringify(VIEW).replace('{', '{"__proto__":{"state":"open"},')],
    [
      'a view of 33 receivers',
      JSON.stringify({ ...VIEW, receivers: Array(33).fill({ receiverCode: 'ABCD', channel: 1, state: 'left' }) }),
    ],
    ['an unknown frame type', new Uint8Array([9, 0, 0, 1, 0, 0, 0, 1]).buffer],
    ['a data frame without a ciphertext', new Uint8Array([1, 0, 0, 1, 0, 0, 0, 1]).buffer],
    ['a frame that is too short', new Uint8Array(7).buffer],
    ['something that is neither text nor bytes', { length: 8 }],
  ])('C6: %s ends the connection', async (_, data) => {
    const { world: attacker, channel, codes } = attachedConnection()
    attacker.socket.say(data)
    expect(codes()).toEqual(['relay_misbehaved'])
    expect(attacker.socket.closed).toBe(true)
    expect(await pairingErrorOf(channel.receive())).toBe('relay_misbehaved')
    expect(attacker.time.outstanding).toBe(0)
  })

  test('C6: a frame before the first view ends it', () => {
    const { world: attacker, codes } = startedConnection()
    attacker.socket.open()
    attacker.socket.ack(1, 1)
    expect(codes()).toEqual(['relay_misbehaved'])
  })

  test('C3: an ack of what was never sent, which the peer may have made, ends its channel and no other', async () => {
    const { world: attacker, ends, channel, second: other, dropped } = twoChannels()
    attacker.socket.ack(1, 1)
    expect(await pairingErrorOf(channel.receive())).toBe('peer_misbehaved')
    expect(dropped).toEqual(['1 peer_misbehaved'])
    expect(ends).toEqual([])
    await other.send(frameOf(1))
    expect(attacker.socket.frames.map((frame) => frame.channel)).toEqual([2])
  })

  test('holding less than it has acked, after a reconnect, ends the connection', async () => {
    const { world: attacker, channel, codes } = attachedConnection()
    await channel.send(frameOf(1))
    attacker.socket.ack(1, 1)
    await fail(attacker)
    attach(attacker, { received: 0 })
    expect(codes()).toEqual(['relay_misbehaved'])
  })

  test('a huge announced window does not let it fill this client: 64 MiB is the most that waits unread', () => {
    const { world: attacker, ends, channel, dropped } = attachedConnection({ windowBytes: 64 * 1024 * 1024 })
    const frame = new Uint8Array(1024 * 1024 - 8)
    for (let seq = 1; seq <= 64; seq++) attacker.socket.data(1, seq, frame)
    expect(dropped).toEqual([])
    attacker.socket.data(1, 65, new Uint8Array(1))
    expect(dropped).toEqual(['1 peer_misbehaved'])
    expect(channel.isAttached).toBe(false)
    expect(ends).toEqual([])
  })

  test('a frame of a channel that is over, or was never there, is ignored', () => {
    const { world, ends, connection } = attachedConnection()
    connection.drop(1, new PairingError('receiver_left'))
    world.socket.data(1, 1, new Uint8Array(1))
    world.socket.ack(7, 100)
    expect(ends).toEqual([])
  })
})

/** Whatever a peer can send through an honest relay. */
describe('a peer that misbehaves', () => {
  test('C1: leaves a gap: its channel ends, and no other', async () => {
    const { world, second: other, ends, dropped } = twoChannels()
    world.socket.data(1, 2, new Uint8Array(1))
    expect(dropped).toEqual(['1 peer_misbehaved'])
    expect(ends).toEqual([])
    world.socket.data(2, 1, new Uint8Array(3))
    expect(await other.receive()).toHaveLength(3)
  })

  test('C3: acks what was never sent, in a view: its channel ends', () => {
    const { world, dropped, ends } = attachedConnection()
    world.socket.show({ channels: [channelRow({ received: 7, acked: 7 })] })
    expect(dropped).toEqual(['1 peer_misbehaved'])
    expect(ends).toEqual([])
  })

  test('C4: makes a relay refuse one frame three times over HTTP: its channel ends, and the connection goes on', async () => {
    const { world, dropped, ends } = attachedConnection()
    const refuse = async (name: string) => {
      world.socket.onclose?.({ code: 1006, frame: { channel: 1, name, how: 'refused', bytes: 0 } })
      await world.time.advance(10_000)
      attach(world)
    }
    await refuse('GET 1')
    await refuse('GET 1')
    await refuse('GET 2')
    await refuse('GET 1')
    await refuse('GET 1')
    expect(dropped).toEqual([])
    await refuse('GET 1')
    expect(dropped).toEqual(['1 peer_misbehaved'])
    expect(ends).toEqual([])
  })
})

describe('an error that nobody foresaw', () => {
  test.each<[string, (started: ReturnType<typeof attachedConnection>) => void]>([
    ['of a socket', ({ world }) => world.socket.onclose?.({ code: 1006, error: new URIError('malformed') })],
    ['of the app, told of a view', ({ world }) => world.socket.show({ version: 'throws' })],
  ])('C8: %s ends the connection as internal, with its cause', (_, happen) => {
    const started = attachedConnection()
    const { views, ends, codes } = started
    views.push = () => {
      throw new URIError('malformed')
    }
    happen(started)
    expect(codes()).toEqual(['internal'])
    expect(ends[0].cause).toBeInstanceOf(URIError)
  })
})

describe('a window that a relay has no room for', () => {
  test('is told of after 5 s, once, and again after it was there', async () => {
    const { world, channel, told } = attachedConnection()
    channel.send(frameOf(5_000)).catch(() => {})
    await world.time.advance(20_000)
    expect(told).toEqual(['busy 1'])
    world.socket.show({ channels: [channelRow({ window: 8_192 })] })
    await world.time.advance(5_000)
    channel.send(frameOf(9_000)).catch(() => {})
    await world.time.advance(20_000)
    expect(told).toEqual(['busy 1'])
    world.socket.ack(1, 1)
    await world.time.advance(20_000)
    expect(told).toEqual(['busy 1', 'busy 1'])
  })

  test('never is larger than what this client takes, whatever the relay says', async () => {
    const { world, channel } = attachedConnection({ windowBytes: 10_000 })
    world.socket.show({ channels: [channelRow({ window: 2 ** 50 })] })
    for (let i = 0; i < 4; i++) channel.send(frameOf(4_000)).catch(() => {})
    expect(world.socket.frames).toHaveLength(2)
  })
})

describe('frames that something on the way does not take', () => {
  const failed = (how: 'too_large' | 'cut', bytes: number) => ({
    code: 1006,
    frame: { channel: 1, name: 'PUT 1', how, bytes },
  })

  async function reattach(world: FakeWorld) {
    await world.time.advance(250)
    attach(world, { window: 1_000_000 })
  }

  test('too large: they are halved at once, sent in parts, and the app is told once, and of no lost connection', async () => {
    const { world, channel, told, statuses } = attachedConnection()
    channel.send(frameOf(100_001)).catch(() => {})
    for (const bytes of [100_001, 50_000]) {
      world.socket.onclose?.(failed('too_large', bytes))
      await reattach(world)
    }
    expect(told.filter((each) => each.startsWith('small'))).toEqual(['small 50000'])
    expect(statuses).toEqual(['connected'])
    const { frames } = world.socket
    expect(Math.max(...frames.map(({ bytes }) => bytes.length - 8))).toBeLessThanOrEqual(25_000)
    expect(frames.map(({ seq }) => seq)).toEqual(frames.map((_, i) => i + 1))
    const joiner = new FrameJoiner()
    const joined = frames.map((frame) => joiner.take(ciphertextOf(frame)))
    expect(joined.at(-1)).toEqual(new Uint8Array(100_001).fill(1))
    expect(joined.slice(0, -1).every((whole) => whole === undefined)).toBe(true)
  })

  test('cut once: nothing changes; cut twice at the same size: they are halved', async () => {
    const { world, channel, told } = attachedConnection()
    channel.send(frameOf(100_000)).catch(() => {})
    for (const bytes of [100_000, 90_000, 100_000]) {
      world.socket.onclose?.(failed('cut', bytes))
      await reattach(world)
    }
    expect(told).toEqual([])
    world.socket.onclose?.(failed('cut', 100_000))
    await reattach(world)
    expect(told).toEqual(['small 50000'])
  })

  test('none becomes smaller than 16 KiB', async () => {
    const { world, channel } = attachedConnection()
    channel.send(frameOf(40_000)).catch(() => {})
    for (const bytes of [40_000, 20_000, 16_384, 16_384]) {
      world.socket.onclose?.(failed('too_large', bytes))
      await reattach(world)
    }
    const sizes = world.socket.frames.map(({ bytes }) => bytes.length - 8)
    expect(Math.min(...sizes)).toBeGreaterThan(8_192)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(16_384)
  })
})

describe('the end', () => {
  test.each<[CloseReason | undefined, string]>([
    ['expired', 'expired'],
    ['shutting_down', 'shutting_down'],
    ['closed_by_sender', 'closed_by_sender'],
    ['completed', 'closed_by_sender'],
    [undefined, 'session_lost'],
  ])('a closed view with reason %s is %s to who waits', async (reason, expected) => {
    const { world, codes, channel } = attachedConnection()
    const waiting = pairingErrorOf(channel.receive())
    world.socket.show({ state: 'closed', ...(reason ? { reason } : {}) })
    expect(await waiting).toBe(expected)
    expect(codes()).toEqual([expected])
    expect(world.time.outstanding).toBe(0)
  })

  test('closes the socket, stops every timer, fails every channel, and is announced once', async () => {
    const { world, connection, codes, channel } = attachedConnection()
    connection.end(new PairingError('aborted'))
    connection.end(new PairingError('expired'))
    expect(codes()).toEqual(['aborted'])
    expect(world.socket.closed).toBe(true)
    expect(world.time.outstanding).toBe(0)
    expect(await pairingErrorOf(channel.receive())).toBe('aborted')
    expect(await pairingErrorOf(connection.channel(2).receive())).toBe('aborted')
  })

  test('while it waits to reconnect, the end leaves no timer either', () => {
    const { world, connection } = attachedConnection({ jitter: 1 })
    world.socket.drop()
    connection.end(new PairingError('aborted'))
    expect(world.time.outstanding).toBe(0)
  })
})

describe('flushing', () => {
  test('sends what acks are due and waits until the socket holds nothing', async () => {
    const { world, connection, channel } = attachedConnection()
    world.socket.data(1, 1, new Uint8Array(1))
    await channel.receive()
    channel.processed()
    world.socket.bufferedAmount = 1
    let flushed = false
    void connection.flush().then(() => {
      flushed = true
    })
    expect(world.socket.frames.map(({ type }) => type)).toEqual([FRAME_ACK])
    await world.time.advance(100)
    expect(flushed).toBe(false)
    world.socket.bufferedAmount = 0
    await world.time.advance(5)
    expect(flushed).toBe(true)
  })

  test('waits no longer than 10 s for a socket that takes nothing, and not at all without one', async () => {
    const { world, connection } = attachedConnection({ jitter: 1 })
    world.socket.bufferedAmount = 1
    let flushed = 0
    void connection.flush().then(() => flushed++)
    await world.time.advance(9_990)
    expect(flushed).toBe(0)
    await world.time.advance(20)
    expect(flushed).toBe(1)
    world.socket.drop()
    await connection.flush()
  })
})

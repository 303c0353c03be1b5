import { describe, expect, test } from 'vitest'
import { PairingError } from '../../../src/client/errors.ts'
import { Channel } from '../../../src/client/link/channel.ts'
import { decodeFrame, encodeData, FRAME_ACK } from '../../../src/protocol/frame.ts'
import { frameCost, HANDSHAKE_WINDOW_BYTES } from '../../../src/protocol/limits.ts'
import type { ChannelRow } from '../../../src/protocol/view.ts'
import { settled } from '../fake-time.ts'
import { channelRow } from '../fake-web-socket.ts'
import { FakeWorld, frameOf, pairingErrorOf } from '../support.ts'

const WINDOW = 1_000_000

function attachedChannel(row = channelRow(), maxInboundCost = WINDOW) {
  const { environment, time } = new FakeWorld()
  const channel = new Channel(1, maxInboundCost, environment)
  channel.verified()
  channel.approved()
  const sent: { type: number; seq: number }[] = []
  const send = (bytes: Uint8Array, onLeaving?: () => void) => {
    sent.push(pick(bytes))
    onLeaving?.()
  }
  channel.attach(row, send)
  /** Forgets what was sent, and attaches anew. */
  const reattach = (change: Partial<ChannelRow> = {}) => {
    channel.detach()
    sent.length = 0
    channel.attach(channelRow(change), send)
  }
  return { channel, time, sent, send, reattach }
}

function pick(bytes: Uint8Array): { type: number; seq: number } {
  const { type, seq } = decodeFrame(bytes)
  return { type, seq }
}

const dataOf = (seq: number, length = 100) => decodeFrame(encodeData(1, seq, new Uint8Array(length)))
const acks = (sent: { type: number; seq: number }[]) =>
  sent.filter(({ type }) => type === FRAME_ACK).map(({ seq }) => seq)
const datas = (sent: { type: number; seq: number }[]) =>
  sent.filter(({ type }) => type !== FRAME_ACK).map(({ seq }) => seq)

/** Reports whether a promise is settled once everything that can happen has happened. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true
  const settle = () => {
    pending = false
  }
  promise.then(settle, settle)
  await settled()
  return pending
}

describe('the memory of a frame', () => {
  const free: string[] = []
  const sending = async (channel: Channel, name: string) => {
    await channel.send(frameOf(200), { onFree: () => free.push(name) })
  }

  test('is free once it was acked, and not before', async () => {
    free.length = 0
    const { channel } = attachedChannel()
    await sending(channel, 'first')
    await sending(channel, 'second')
    channel.takeAck(1)
    expect(free).toEqual(['first'])
  })

  test('is not free when an earlier socket may still hold it', async () => {
    free.length = 0
    const { channel, reattach } = attachedChannel()
    await sending(channel, 'sent twice')
    reattach()
    await sending(channel, 'sent once')
    channel.takeAck(2)
    expect(free).toEqual(['sent once'])
  })

  test('nor when it was made into smaller ones on the way', async () => {
    free.length = 0
    const { channel, reattach } = attachedChannel()
    await sending(channel, 'sent, then split')
    channel.limitFrames(100)
    reattach()
    channel.takeAck(2)
    expect(free).toEqual([])
  })
})

describe('sending', () => {
  test('a frame that would pass the window is held back until an ack makes room, and send waits with it', async () => {
    const { channel, sent } = attachedChannel(channelRow({ window: 1000 }))
    await channel.send(frameOf(492))
    await channel.send(frameOf(492))
    const third = channel.send(frameOf(892))
    for (const acked of [0, 1]) {
      channel.takeAck(acked)
      expect(await isPending(third)).toBe(true)
      expect(datas(sent)).toEqual([1, 2])
    }
    channel.takeAck(2)
    await third
    expect(datas(sent)).toEqual([1, 2, 3])
  })

  test('a small frame costs as much as the protocol says it does', async () => {
    const { channel, sent } = attachedChannel(channelRow({ window: 1023 }))
    for (let i = 0; i < 4; i++) void channel.send(frameOf(1))
    await settled()
    expect(frameCost(1)).toBe(256)
    expect(datas(sent)).toEqual([1, 2, 3])
  })

  test('a window that grows lets waiting frames go, and one that is said to shrink does not', async () => {
    const { channel, sent } = attachedChannel(channelRow({ window: 256 }))
    await channel.send(frameOf(1))
    const second = channel.send(frameOf(1))
    channel.grow(100)
    expect(datas(sent)).toEqual([1])
    channel.grow(512)
    await second
    channel.grow(100)
    channel.takeAck(1)
    await channel.send(frameOf(1))
    expect(datas(sent)).toEqual([1, 2, 3])
  })

  test('without a socket frames are taken as long as the window has room, and then wait', async () => {
    const channel = new Channel(1, WINDOW, new FakeWorld().environment)
    const room = HANDSHAKE_WINDOW_BYTES / 256
    for (let i = 0; i < room; i++) await channel.send(frameOf(1))
    expect(await isPending(channel.send(frameOf(1)))).toBe(true)
  })

  test('without a socket what was acked takes no room', async () => {
    const { channel } = attachedChannel(channelRow({ window: 256 }))
    await channel.send(frameOf(1))
    channel.takeAck(1)
    channel.detach()
    expect(await isPending(channel.send(frameOf(1)))).toBe(false)
  })

  test('no more is under way than the window of this side, whatever the relay grants', () => {
    const { channel, sent } = attachedChannel(channelRow({ window: 4096 }), 512)
    for (let i = 0; i < 4; i++) void channel.send(frameOf(1))
    expect(datas(sent)).toEqual([1, 2])
    channel.grow(8192)
    expect(datas(sent)).toEqual([1, 2])
  })

  test('flushed waits for the ack of everything sent before it, and for nothing sent after', async () => {
    const { channel } = attachedChannel()
    await channel.send(frameOf(1))
    await channel.send(frameOf(1))
    const flushed = channel.flushed()
    await channel.send(frameOf(1))
    channel.takeAck(1)
    expect(await isPending(flushed)).toBe(true)
    channel.takeAck(2)
    expect(await isPending(flushed)).toBe(false)
  })

  test('each frame is reported once when it is acked, in order', async () => {
    const { channel } = attachedChannel()
    const reported: number[] = []
    for (let i = 1; i <= 3; i++) await channel.send(frameOf(1), { onAcked: () => void reported.push(i) })
    channel.takeAck(2)
    expect(reported).toEqual([1, 2])
    for (const seq of [1, 2, 3, 3]) channel.takeAck(seq)
    expect(reported).toEqual([1, 2, 3])
  })

  test('each frame is reported when it leaves, and not while the window has no room', () => {
    const { channel, reattach } = attachedChannel(channelRow({ window: 256 }))
    const reported: number[] = []
    for (let i = 1; i <= 3; i++) void channel.send(frameOf(1), { onSent: () => void reported.push(i) })
    expect(reported).toEqual([1])
    reattach({ received: 1, window: 512 })
    expect(reported).toEqual([1, 2])
    channel.takeAck(2)
    expect(reported).toEqual([1, 2, 3])
  })
})

describe('receiving', () => {
  test('frames come out in order, those that came while nobody asked too', async () => {
    const { channel } = attachedChannel()
    channel.takeData(dataOf(1, 10))
    channel.takeData(dataOf(2, 20))
    expect((await channel.receive()).length).toBe(10)
    expect((await channel.receive()).length).toBe(20)
    const third = channel.receive()
    expect(await isPending(third)).toBe(true)
    channel.takeData(dataOf(3, 30))
    expect((await third).length).toBe(30)
  })

  test('a duplicate is dropped unread', async () => {
    const { channel } = attachedChannel()
    channel.takeData(dataOf(1, 10))
    channel.takeData(dataOf(1, 999))
    channel.takeData(dataOf(2, 20))
    expect([(await channel.receive()).length, (await channel.receive()).length]).toEqual([10, 20])
  })

  test('65,536 bytes of processed frames are acked at once, in one ack', async () => {
    const { channel, sent } = attachedChannel()
    channel.takeData(dataOf(1, 32_760))
    channel.takeData(dataOf(2, 32_760))
    await channel.receive()
    channel.processed()
    expect(acks(sent)).toEqual([])
    await channel.receive()
    channel.processed()
    expect(acks(sent)).toEqual([2])
  })

  test('less than that is acked after 10 ms', async () => {
    const { channel, sent, time } = attachedChannel()
    for (const acked of [[1], [1, 2]]) {
      channel.takeData(dataOf(acked.length))
      await channel.receive()
      channel.processed()
      await time.advance(9)
      expect(acks(sent)).toEqual(acked.slice(0, -1))
      await time.advance(1)
      expect(acks(sent)).toEqual(acked)
      expect(time.outstanding).toBe(0)
    }
  })

  test('a frame that was handed out and not processed is not acked, nor is one that nobody asked for', async () => {
    const { channel, sent, time } = attachedChannel()
    for (let seq = 1; seq <= 3; seq++) channel.takeData(dataOf(seq))
    await channel.receive()
    channel.processed()
    await channel.receive()
    await time.advance(1_000)
    expect(acks(sent)).toEqual([1])
    expect(channel.resume()).toEqual({ channel: 1, received: 1, acked: 0 })
  })

  test('what is processed between the attach message and the first view is acked after it', async () => {
    const { channel, sent, send } = attachedChannel()
    channel.takeData(dataOf(1))
    await channel.receive()
    channel.detach()
    expect(channel.resume().received).toBe(0)
    channel.processed()
    channel.attach(channelRow(), send)
    expect(acks(sent)).toEqual([1])
  })

  test('what the attach message said is not said again', async () => {
    const { channel, send, sent } = attachedChannel()
    channel.takeData(dataOf(1))
    await channel.receive()
    channel.detach()
    channel.processed()
    expect(channel.resume().received).toBe(1)
    channel.attach(channelRow(), send)
    expect(acks(sent)).toEqual([])
  })
})

describe('resuming', () => {
  test('everything the relay does not hold is sent again, byte for byte', async () => {
    const { environment } = new FakeWorld()
    const channel = new Channel(1, WINDOW, environment)
    const first: Uint8Array[] = []
    const second: Uint8Array[] = []
    channel.attach(channelRow(), (bytes) => void first.push(bytes.slice()))
    for (let fill = 1; fill <= 4; fill++) await channel.send(frameOf(300, fill))
    channel.takeAck(1)
    channel.detach()
    channel.attach(channelRow({ received: 3, acked: 2 }), (bytes) => void second.push(bytes.slice()))
    expect(second).toEqual(first.slice(3))
    expect(channel.resume().acked).toBe(2)
  })

  test('a smaller window after a resume is kept to', async () => {
    const { channel, sent, reattach } = attachedChannel(channelRow({ window: 2048 }))
    for (let i = 0; i < 4; i++) await channel.send(frameOf(1))
    reattach({ window: 512, received: 1 })
    expect(datas(sent)).toEqual([2])
    channel.takeAck(1)
    expect(datas(sent)).toEqual([2, 3])
  })

  test('an ack that overtakes the resending moves it on', async () => {
    const { channel, sent, reattach } = attachedChannel()
    for (let i = 0; i < 4; i++) await channel.send(frameOf(1))
    reattach({ window: 256 })
    expect(datas(sent)).toEqual([1])
    channel.takeAck(3)
    expect(datas(sent)).toEqual([1, 4])
    void channel.send(frameOf(1))
    expect(datas(sent)).toEqual([1, 4])
  })

  test('a channel that the relay has no row for stays without a socket', async () => {
    const { channel, sent, send } = attachedChannel()
    channel.detach()
    channel.attach(undefined, send)
    await channel.send(frameOf(1))
    expect(channel.isAttached).toBe(false)
    expect(sent).toEqual([])
  })
})

describe('a relay that lies', () => {
  async function sentTwo() {
    const { channel, send } = attachedChannel(channelRow({ window: 512 }))
    await channel.send(frameOf(1))
    await channel.send(frameOf(1))
    void channel.send(frameOf(1)).catch(() => {})
    return { channel, send }
  }

  test.each([
    ['to hold less than it has acked', { received: 0, acked: 0 }],
    ['that it passed on what it does not hold', { received: 1, acked: 2 }],
  ])('%s is refused', async (_, row) => {
    const { channel: attacker, send } = await sentTwo()
    attacker.takeAck(1)
    attacker.detach()
    expect(await pairingErrorOf(() => attacker.attach(channelRow(row), send))).toBe('relay_misbehaved')
  })

  test('to hold a frame that still waits for room is refused, though the frame exists', async () => {
    const { channel: attacker, send } = await sentTwo()
    attacker.detach()
    expect(await pairingErrorOf(() => attacker.attach(channelRow({ received: 3 }), send))).toBe('peer_misbehaved')
  })

  test('an ack of a frame that still waits for room is refused, though the frame exists', async () => {
    const { channel: attacker } = await sentTwo()
    expect(await pairingErrorOf(() => attacker.takeAck(3))).toBe('peer_misbehaved')
    attacker.takeAck(2)
    expect(await pairingErrorOf(() => attacker.takeAck(3))).toBe(undefined)
  })

  test('an ack of a frame that was sent on an earlier socket is believed', async () => {
    const { channel, send } = await sentTwo()
    channel.detach()
    channel.attach(channelRow({ window: 256 }), send)
    channel.takeAck(2)
    expect(channel.resume().acked).toBe(2)
  })

  test('a gap is refused', async () => {
    const { channel: attacker } = attachedChannel()
    attacker.takeData(dataOf(1))
    expect(await pairingErrorOf(() => attacker.takeData(dataOf(3)))).toBe('peer_misbehaved')
  })

  test('C2: more than the window is refused, however much of it was handed out', async () => {
    const attacker = attachedChannel(channelRow(), 10_000).channel
    for (let seq = 1; seq <= 9; seq++) attacker.takeData(dataOf(seq, 1_000))
    for (let i = 0; i < 9; i++) await attacker.receive()
    expect(await pairingErrorOf(() => attacker.takeData(dataOf(10, 1_000)))).toBe('peer_misbehaved')
  })

  test.each([
    [2_032, undefined],
    [2_033, 'peer_misbehaved'],
  ])('before it is verified it takes 4,096 of cost: 2,048 bytes, and %d of another frame', async (length, error) => {
    const attacker = new Channel(1, WINDOW, new FakeWorld().environment)
    attacker.takeData(dataOf(1, 2_048))
    expect(await pairingErrorOf(() => attacker.takeData(dataOf(2, length)))).toBe(error)
  })

  test('before it is verified it takes two frames, before it is approved three', async () => {
    const attacker = new Channel(1, WINDOW, new FakeWorld().environment)
    for (const seq of [1, 2]) attacker.takeData(dataOf(seq))
    expect(await pairingErrorOf(() => attacker.takeData(dataOf(3)))).toBe('peer_misbehaved')
    attacker.verified()
    attacker.takeData(dataOf(3))
    expect(await pairingErrorOf(() => attacker.takeData(dataOf(4)))).toBe('peer_misbehaved')
  })

  test('tiny frames cannot hold more memory than they pay for', async () => {
    const attacker = attachedChannel(channelRow(), 2_560).channel
    for (let seq = 1; seq <= 10; seq++) attacker.takeData(dataOf(seq, 1))
    expect(await pairingErrorOf(() => attacker.takeData(dataOf(11, 1)))).toBe('peer_misbehaved')
  })

  test('what was processed makes room', async () => {
    const { channel } = attachedChannel(channelRow(), 2_560)
    for (let seq = 1; seq <= 100; seq++) {
      channel.takeData(dataOf(seq, 1))
      await channel.receive()
      channel.processed()
    }
    expect(channel.resume().received).toBe(100)
  })
})

describe('the end of a channel', () => {
  test('whatever waits, or comes later, throws what ended it', async () => {
    const { channel } = attachedChannel(channelRow({ window: 256 }))
    await channel.send(frameOf(1))
    const waiting = [channel.send(frameOf(1)), channel.flushed(), channel.receive()].map(pairingErrorOf)
    channel.fail(new PairingError('superseded'))
    expect(await Promise.all(waiting)).toEqual(['superseded', 'superseded', 'superseded'])
    expect(await pairingErrorOf(channel.send(frameOf(1)))).toBe('superseded')
    expect(await pairingErrorOf(channel.flushed())).toBe('superseded')
    expect(await pairingErrorOf(channel.receive())).toBe('superseded')
  })

  test('the first error stands', async () => {
    const { channel } = attachedChannel()
    channel.fail(new PairingError('expired'))
    channel.fail(new PairingError('aborted'))
    expect(await pairingErrorOf(channel.receive())).toBe('expired')
  })

  test('what came before can still be read, and what was acked before counts as flushed', async () => {
    const { channel } = attachedChannel()
    await channel.send(frameOf(1))
    channel.takeAck(1)
    channel.takeData(dataOf(1, 11))
    channel.fail(new PairingError('closed_by_sender'))
    expect((await channel.receive()).length).toBe(11)
    await channel.flushed()
  })

  test('nothing is sent any more and no timer is left, not even by what is processed later', async () => {
    for (const processedBefore of [true, false]) {
      const { channel, sent, time } = attachedChannel()
      channel.takeData(dataOf(1))
      channel.takeData(dataOf(2))
      await channel.receive()
      if (processedBefore) channel.processed()
      channel.fail(new PairingError('aborted'))
      expect(time.outstanding).toBe(0)
      await channel.receive()
      channel.processed()
      expect(time.outstanding).toBe(0)
      expect(sent).toEqual([])
    }
  })
})

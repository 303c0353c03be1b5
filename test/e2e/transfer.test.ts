import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  bytesSource,
  type Offer,
  type ReceiveProgress,
  type SendProgress,
  type Source,
  streamSource,
} from '../../src/client/index.ts'
import { ALLOWANCE_BYTES } from '../../src/client/transfer/incoming-offer.ts'
import { decodeFrame, FRAME_ACK } from '../../src/protocol/frame.ts'
import { DEFAULT_SETTINGS } from '../support/relay.ts'
import { hasFrames } from '../support/setting.ts'
import { bytesOf, collect, errorOf, firstOffer, outcomeOf, pair, sendAll, sha256, take } from './people.ts'
import { setting, startRelay, type TestRelay } from './setting.ts'
import { DeviceWorld, NOTHING_LEFT_HERE, until } from './world.ts'

let relay: TestRelay

beforeEach(async () => {
  relay = await startRelay()
})
afterEach(() => relay.end())

/** A source that gives pieces as a test says, and counts what was asked of it. */
function sourceOf(pieces: () => AsyncIterable<Uint8Array>, size?: number): Source {
  return { name: 'a', ...(size === undefined ? { once: true } : { size }), open: pieces }
}

/** A source that gives something, and then nothing more for ever. */
function stuckSource(): Source {
  return sourceOf(async function* () {
    yield bytesOf(300_000)
    await new Promise(() => {})
  })
}

describe('what arrives is what was sent', () => {
  test('at every border of a chunk and of a frame', async () => {
    const { sender, receiver } = await pair(relay.url)
    const sizes = [0, 1]
    for (const border of [65_536, 4 * 65_536, 8 * 65_536]) {
      for (const around of [-129, -128, -127, -1, 0, 1]) sizes.push(border + around)
    }
    const collecting = collect(receiver)
    for (const [i, size] of sizes.entries()) {
      expect((await sender.send([bytesSource(bytesOf(size, i), 'a')])).map(outcomeOf)).toEqual([size])
    }
    await sender.close()
    const transfers = await collecting
    expect(transfers.map(([item]) => item.bytes)).toEqual(sizes)
    expect(transfers.map(([item]) => item.sha256)).toEqual(sizes.map((size, i) => sha256(bytesOf(size, i))))
  })

  test('several items in one transfer, empty ones among them', async () => {
    const { sender, receiver } = await pair(relay.url)
    const collecting = collect(receiver)
    const sizes = [0, 10, 0, 300_000, 65_536, 1, 0]
    const sources = sizes.map((size, i) => bytesSource(bytesOf(size, i), `file ${i} – ü 📦`, 'text/plain'))
    expect((await sender.send(sources)).map(outcomeOf)).toEqual([365_547])
    await sender.close()
    expect(await collecting).toEqual([
      sizes.map((size, i) => ({
        path: `file ${i} – ü 📦`,
        type: 'text/plain',
        size,
        bytes: size,
        sha256: sha256(bytesOf(size, i)),
      })),
    ])
  })

  test('a thousand items', async () => {
    const { sender, receiver } = await pair(relay.url)
    const collecting = collect(receiver)
    const sources = Array.from({ length: 1_000 }, (_, i) => bytesSource(bytesOf(i % 7, i), `${i}`))
    await sender.send(sources)
    await sender.close()
    const [items] = await collecting
    expect(items.map(({ path, sha256 }) => [path, sha256])).toEqual(
      sources.map(({ name }, i) => [name, sha256(bytesOf(i % 7, i))]),
    )
  })

  test.each([0, 1, 65_536, 1_000_003])('a pipe of %d bytes, whose length nobody knew', async (size) => {
    const { sender, receiver } = await pair(relay.url)
    const collecting = collect(receiver)
    const pieces = new ReadableStream<Uint8Array>({
      start: (controller) => {
        for (let at = 0; at < size; at += 12_345) controller.enqueue(bytesOf(size).subarray(at, at + 12_345))
        controller.close()
      },
    })
    expect((await sender.send([streamSource(pieces, 'pipe')])).map(outcomeOf)).toEqual([size])
    await sender.close()
    expect(await collecting).toEqual([[{ path: 'pipe', bytes: size, sha256: sha256(bytesOf(size)) }]])
  })

  test('nothing at all: a sender that ends without sending offers nothing', async () => {
    const { sender, receiver } = await pair(relay.url)
    const collecting = collect(receiver)
    await sender.close()
    expect(await collecting).toEqual([])
  })

  test('with frames of one chunk, for a relay that allows no larger ones', async () => {
    const small = await startRelay({ settings: { maxFrameBytes: 65_568, windowBytes: 65_568 } })
    const { sender, receiver } = await pair(small.url)
    const collecting = collect(receiver)
    expect(await sendAll(sender, 1_000_000)).toEqual([1_000_000])
    expect((await collecting)[0][0].sha256).toBe(sha256(bytesOf(1_000_000)))
    await small.close()
  })
})

describe('before anything is sent', () => {
  test.each<[string, Source[]]>([
    ['no items', []],
    ['an empty name', [bytesSource(bytesOf(1), '')]],
    ['a name of 256 bytes', [bytesSource(bytesOf(1), 'x'.repeat(256))]],
    ['a path upwards', [bytesSource(bytesOf(1), 'a/../b')]],
    ['half a surrogate pair', [bytesSource(bytesOf(1), '\udc00')]],
    ['100,001 items', Array.from({ length: 100_001 }, (_, i) => bytesSource(bytesOf(0), `${i}`))],
    ['two of one name', Array(2).fill(bytesSource(bytesOf(0), 'x'))],
    ['a pipe among other items', [stuckSource(), bytesSource(bytesOf(1), 'x')]],
  ])('%s is refused, and the pairing is as good as before', async (_, sources) => {
    const { sender, receiver } = await pair(relay.url)
    const collecting = collect(receiver)
    await expect(sender.send(sources)).rejects.toThrow(RangeError)
    expect(await sendAll(sender, 10)).toEqual([10])
    expect(await collecting).toHaveLength(1)
  })
})

describe('progress', () => {
  test.each([0, 1, 70_000, 3_000_000])('of %d bytes only grows, and ends at the total, on both sides', async (size) => {
    const { sender, receiver, receivers } = await pair(relay.url, { receivers: 2 })
    const received: ReceiveProgress[] = []
    const collecting = [
      collect(receiver, { onProgress: (progress) => void received.push(progress) }),
      collect(receivers[1].receiver),
    ]
    const sent: SendProgress[] = []
    await sender.send([bytesSource(bytesOf(size), 'a')], { onProgress: (progress) => void sent.push(progress) })
    const count = sent.length
    await sender.close()
    await Promise.all(collecting)
    for (const { matchNumber, receiverCode } of receivers.map((each) => each.receiver)) {
      const mine = sent.filter((each) => each.matchNumber === matchNumber)
      expect(mine.every((each) => each.receiverCode === receiverCode && each.totalBytes === size)).toBe(true)
      expectGrowth(mine, size)
    }
    if (size > 0) expectGrowth(received, size)
    expect(sent).toHaveLength(count)
  })

  test('of a pipe has no total, and still ends at its bytes', async () => {
    const { sender, receiver } = await pair(relay.url)
    const received: ReceiveProgress[] = []
    const collecting = collect(receiver, { onProgress: (progress) => void received.push(progress) })
    const sent: SendProgress[] = []
    const pipe = streamSource(new Blob([new Uint8Array(500_000)]).stream(), 'pipe')
    await sender.send([pipe], { onProgress: (progress) => void sent.push(progress) })
    await sender.close()
    await collecting
    expectGrowth(sent, 500_000)
    expectGrowth(received, 500_000)
    expect([...sent, ...received].every(({ totalBytes }) => totalBytes === undefined)).toBe(true)
  })

  function expectGrowth(steps: readonly { readonly bytes: number }[], total: number): void {
    const bytes = steps.map((each) => each.bytes)
    expect(bytes).toEqual(bytes.toSorted((a, b) => a - b))
    expect(bytes.at(-1)).toBe(total)
  }
})

describe('stopping', () => {
  test('the sender’s send: the receipt says aborted, the receiver that it was stopped', async () => {
    const { sender, receiver } = await pair(relay.url)
    const abort = new AbortController()
    const end = errorOf(collect(receiver, { onProgress: () => abort.abort() }))
    const receipts = await sender.send([bytesSource(bytesOf(5_000_000), 'a')], { signal: abort.signal })
    expect(receipts.map(outcomeOf)).toEqual(['aborted'])
    expect(await end).toBe('cancelled')
    await sender.close()
  })

  test('with a signal that was aborted before opens no source', async () => {
    const { sender, receiver } = await pair(relay.url)
    const end = errorOf(collect(receiver))
    const source = sourceOf(() => {
      throw new Error('it was opened')
    }, 5)
    expect((await sender.send([source], { signal: AbortSignal.abort() })).map(outcomeOf)).toEqual(['aborted'])
    expect(await end).toBe('cancelled')
  })

  test('the whole session of the sender ends everything at once, though the source has nothing to give', async () => {
    const abort = new AbortController()
    const { sender, receiver, world } = await pair(relay.url, { sender: { signal: abort.signal } })
    const offers = receiver.offers()
    const sending = sender.send([stuckSource()])
    await offers.next()
    const end = errorOf(offers.next())
    abort.abort()
    expect((await sending).map(outcomeOf)).toEqual(['aborted'])
    expect(await end).toBe('closed_by_sender')
    await sender.cancel()
    await until('its socket is closed', () => world.openSockets.size === 0)
    expect(world.left).toEqual(NOTHING_LEFT_HERE)
  })

  test('while the relay does not answer ends everything at once just the same', async () => {
    for (const side of ['sender', 'receiver'] as const) {
      const abort = new AbortController()
      const paired = await pair(relay.url, { [side]: { signal: abort.signal } })
      let answer = () => {}
      const held = new Promise<void>((resolve) => {
        answer = resolve
      })
      const world = side === 'sender' ? paired.world : paired.receiverWorld
      world.onFetch = async (send) => {
        await held
        return send()
      }
      const collecting = errorOf(collect(paired.receiver))
      const sending = side === 'sender' ? paired.sender.send([stuckSource()]) : undefined
      abort.abort()
      if (sending) expect((await sending).map(outcomeOf)).toEqual(['aborted'])
      else await until('the receiver is cut off', () => world.openSockets.size === 0)
      answer()
      await (side === 'sender' ? paired.sender.cancel() : paired.receiver.close())
      expect(await collecting).toBe(side === 'sender' ? 'closed_by_sender' : 'aborted')
      await paired.sender.cancel()
    }
  })

  test('the receiver tells the sender, though the source has nothing to give', async () => {
    const abort = new AbortController()
    const { sender, receiver } = await pair(relay.url, { receiver: { signal: abort.signal } })
    const end = errorOf(collect(receiver, { onProgress: () => abort.abort() }))
    expect((await sender.send([stuckSource()])).map(outcomeOf)).toEqual(['not_delivered'])
    expect(await end).toBe('aborted')
  })

  test('a signal that is aborted while the relay is asked is not overheard', async () => {
    const abort = new AbortController()
    const world = await DeviceWorld.create()
    world.onFetch = async (send) => {
      const answer = await send()
      abort.abort()
      return answer
    }
    const { Sender, Receiver } = await import('../../src/client/index.ts')
    const waiting = await Sender.open({ relay: relay.url })
    const sender = await Sender.open({ relay: relay.url, signal: abort.signal, environment: world.environment })
    expect((await sender.requests().next()).done).toBe(true)
    expect(await errorOf(Sender.open({ relay: relay.url, signal: abort.signal }))).toBe('aborted')

    const other = new AbortController()
    world.onFetch = async (send) => {
      const answer = await send()
      other.abort()
      return answer
    }
    const options = { relay: relay.url, code: waiting.code, signal: other.signal, environment: world.environment }
    const receiver = await Receiver.join(options)
    expect(await errorOf(receiver.verified)).toBe('aborted')
    expect(await errorOf(Receiver.join(options))).toBe('aborted')
    await waiting.cancel()
    await until('nothing is left', () => world.openSockets.size === 0 && world.timers.size === 0)
  })

  test('a second send waits for its turn, and a goodbye in the middle of one is a mistake that changes nothing', async () => {
    const { sender, receiver } = await pair(relay.url)
    const collecting = collect(receiver)
    const sending = sender.send([bytesSource(bytesOf(1_000_000), 'a')])
    const second = sender.send([bytesSource(bytesOf(1), 'b')])
    await expect(sender.close()).rejects.toThrow('something is being sent')
    expect((await sending).map(outcomeOf)).toEqual([1_000_000])
    expect((await second).map(outcomeOf)).toEqual([1])
    const goodbye = sender.close()
    expect(await errorOf(sender.send([bytesSource(bytesOf(1), 'c')]))).toBe('aborted')
    await Promise.all([goodbye, sender.close()])
    expect(await collecting).toHaveLength(2)
  })
})

describe('a source', () => {
  test.each<[string, () => AsyncIterable<Uint8Array>, string, string?, 'pipe'?]>([
    [
      'that gives more than it said',
      async function* () {
        yield bytesOf(300_001)
      },
      'source_changed',
    ],
    [
      'that gives less than it said',
      async function* () {
        yield bytesOf(299_999)
      },
      'source_changed',
    ],
    [
      'that fails on the way',
      async function* () {
        yield bytesOf(299_999)
        throw new Error('EIO: /home/me/secret')
      },
      'source_failed',
      'sender_failed',
    ],
    [
      'that cannot be opened',
      () => {
        throw new Error('ENOENT: /home/me/secret')
      },
      'source_failed',
      'sender_failed',
    ],
    [
      'of unknown size that fails in the middle',
      async function* () {
        yield bytesOf(600_000)
        throw new Error('EPIPE: /home/me/secret')
      },
      'source_failed',
      'sender_failed',
      'pipe',
    ],
  ])('%s is not delivered, and the receiver is told why', async (...[, pieces, expected, told, size]) => {
    const { sender, receiver } = await pair(relay.url)
    const end = errorOf(collect(receiver))
    const [receipt] = await sender.send([sourceOf(pieces, size === 'pipe' ? undefined : 300_000)])
    expect(outcomeOf(receipt)).toBe(expected)
    if (!receipt.delivered) expect(receipt.error.message).not.toContain('secret')
    expect(await end).toBe(told ?? expected)
  })

  test('is asked for nothing before the answer, and then for no more than the allowance before the app has read', async () => {
    let given = 0
    const long = sourceOf(async function* () {
      while (given < 64 * 1024 * 1024) {
        given += 65_536
        yield new Uint8Array(65_536)
      }
    })
    const { sender, receiver } = await pair(relay.url)
    const sending = sender.send([long])
    const { offer } = await firstOffer(receiver)
    expect(given).toBe(0)
    const items = offer.accept()
    await items.next()
    let [last, same] = [given, 0]
    await until('nothing more is asked for', () => {
      same = given > 0 && given === last ? same + 1 : 0
      last = given
      return same === 20
    })
    const { maxFrameBytes } = DEFAULT_SETTINGS
    expect(given).toBeLessThanOrEqual(ALLOWANCE_BYTES + 2 * maxFrameBytes)
    await items.return()
    expect((await sending).map(outcomeOf)).toEqual(['receiver_failed'])
    await sender.cancel()
  })
})

describe('a receiver', () => {
  test('whose last step fails sends no receipt, and the sender is told', async () => {
    const { sender, receiver } = await pair(relay.url)
    const full = new Error('ENOSPC')
    const collecting = collect(receiver, { beforeReceipt: () => Promise.reject(full) }).catch((error) => error)
    expect((await sender.send([bytesSource(bytesOf(100_000), 'a')])).map(outcomeOf)).toEqual(['receiver_failed'])
    expect(await collecting).toBe(full)
  })

  test('is told that its receipt has come before the sender’s app is, so that the app may end at once', async () => {
    const { sender, receiver, world } = await pair(relay.url)
    let ackedThrough = 0
    world.hooks.outgoing = (data) => {
      if (typeof data === 'string') return data
      const { type, seq } = decodeFrame(data)
      if (type === FRAME_ACK) ackedThrough = seq
      return data
    }
    const collecting = collect(receiver)
    await sender.send([bytesSource(bytesOf(10), 'a')])
    // The receiver's hello, its answer and its receipt, after two messages of the handshake.
    expect(ackedThrough).toBe(5)
    expect(world.socket.bufferedAmount).toBe(0)
    await sender.close()
    await collecting
  })

  test('makes the result final before the sender hears of it', async () => {
    const { sender, receiver } = await pair(relay.url)
    const order: string[] = []
    const collecting = collect(receiver, {
      beforeReceipt: async () => {
        await new Promise((resolve) => setImmediate(resolve))
        order.push('final')
      },
    })
    await sender.send([bytesSource(bytesOf(10), 'a')])
    order.push('delivered')
    expect(order).toEqual(['final', 'delivered'])
    await sender.close()
    await collecting
  })

  test.each<[string, (offer: Offer) => Promise<void>, string?]>([
    ['that breaks out in the middle of an item', breakOut, 'receiver_failed'],
    ['that goes on to the next item before it has read this one', skip, 'receiver_failed'],
    ['that cancels an item’s stream', cancelStream, 'receiver_failed'],
    ['that declines', async (offer) => offer.decline(), 'declined'],
    ['that has no room', async (offer) => offer.decline('no_space'), 'no_space'],
    ['that gives up', giveUp, 'cancelled'],
  ])('%s: the sender knows why, nothing counts as delivered, and the next offer arrives', async (_, use, told) => {
    for (const size of [3_000_000, 5]) {
      const { sender, receiver } = await pair(relay.url)
      const first = [bytesSource(bytesOf(size), 'a'), bytesSource(bytesOf(5), 'b')]
      const using = (async () => {
        const offers = receiver.offers()
        await use((await offers.next()).value as Offer).catch(() => {})
        return take((await offers.next()).value as Offer)
      })()
      expect((await sender.send(first)).map(outcomeOf)).toEqual([told])
      expect((await sender.send([bytesSource(bytesOf(7), 'c')])).map(outcomeOf)).toEqual([7])
      expect(await using).toMatchObject([{ path: 'c', bytes: 7 }])
      await sender.close()
    }
  })

  test('accepts an offer once', async () => {
    const { sender, receiver } = await pair(relay.url)
    const using = (async () => {
      for await (const offer of receiver.offers()) {
        await take(offer)
        await expect(take(offer)).rejects.toThrow('an offer is answered once')
      }
    })()
    expect(await sendAll(sender, 3)).toEqual([3])
    await using
  })

  test('has no more offers after the end, however often it asks', async () => {
    const { sender, receiver } = await pair(relay.url)
    const offers = receiver.offers()
    const goodbye = sender.close()
    expect((await offers.next()).done).toBe(true)
    expect((await offers.next()).done).toBe(true)
    await goodbye
    expect(await collect(receiver)).toEqual([])
  })

  test('says what ended the session when there was no goodbye: there may have been more to come', async () => {
    const { sender, receiver } = await pair(relay.url)
    const end = errorOf(collect(receiver))
    await sender.send([bytesSource(bytesOf(3), 'a')])
    await sender.cancel()
    expect(await end).toBe('closed_by_sender')
  })

  // Over HTTP nobody is told anything that was not asked for; of two nodes neither shows what waits for the other.
  test.skipIf(!setting.webSocketsPass || !hasFrames)(
    'whose WebSocket was too slow to tell how the session ended asks again',
    async () => {
      const wide = await startRelay({ settings: { windowBytes: 32 * 1024 * 1024 } })
      const { sender, receiver, receiverWorld } = await pair(wide.url)
      let open = () => {}
      const opened = new Promise<void>((resolve) => {
        open = resolve
      })
      const held = sourceOf(async function* () {
        await opened
        yield new Uint8Array(6_000_000)
      }, 6_000_000)
      const offers = receiver.offers()
      const sending = Array.from({ length: 4 }, () => sender.send([held]))
      const ends = []
      // Each may have as much on its way as is allowed.
      for (const _ of sending) ends.push(errorOf(take((await offers.next()).value as Offer)))
      receiverWorld.socket.pause()
      open()
      await until('the relay has more to say than the network takes', () => wide.counters().unackedBytes > 15_000_000)
      await sender.cancel()
      expect((await Promise.all(sending)).flat().map(outcomeOf)).toEqual(Array(4).fill('aborted'))
      receiverWorld.socket.resume()
      expect(await Promise.all(ends)).toEqual(Array(4).fill('closed_by_sender'))
      expect(receiverWorld.sockets.map(({ closeCode }) => closeCode)[0]).toBe(4410)
      expect(receiverWorld.sockets).toHaveLength(2)
      await wide.close()
    },
  )
})

async function giveUp(offer: Offer): Promise<void> {
  await take(offer, { signal: AbortSignal.abort() })
}

async function breakOut(offer: Offer): Promise<void> {
  for await (const { stream } of offer.accept()) {
    for await (const _ of stream) break
    break
  }
}

async function skip(offer: Offer): Promise<void> {
  for await (const _ of offer.accept());
}

async function cancelStream(offer: Offer): Promise<void> {
  for await (const { stream } of offer.accept()) await stream.cancel()
}

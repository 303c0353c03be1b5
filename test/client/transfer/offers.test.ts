import { describe, expect, test } from 'vitest'
import type { PairedDevice } from '../../../src/client/paired-device.ts'
import { bytesSource, type Source } from '../../../src/client/source.ts'
import type { IncomingItem } from '../../../src/client/transfer/incoming-item.ts'
import type { IncomingOffer } from '../../../src/client/transfer/incoming-offer.ts'
import type { OfferOptions } from '../../../src/client/transfer/outgoing-offer.ts'
import { pairingErrorOf } from '../support.ts'
import { nextOffer, pair } from './pair.ts'

const BYTE = Uint8Array.of(1)
const FILE = Uint8Array.from({ length: 1_000_000 }, (_, index) => index % 251)

async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** The bytes of every item of an offer. */
async function acceptAll(offer: IncomingOffer): Promise<Buffer[]> {
  const items: Buffer[] = []
  for await (const item of offer.accept()) items.push(Buffer.concat(await allOf(item.stream)))
  return items
}

describe('an offer', () => {
  test.each(['sender', 'receiver'] as const)('of the %s arrives as it is, and is confirmed', async (side) => {
    const { until, ...devices } = pair()
    const other = side === 'sender' ? devices.receiver : devices.sender
    const sending = devices[side].send([bytesSource(FILE, 'film.mp4'), bytesSource(new Uint8Array(), 'empty')])
    const offer = await until(nextOffer(other))
    expect([...offer.entries]).toMatchObject([
      { path: 'film.mp4', size: FILE.length },
      { path: 'empty', size: 0 },
    ])
    expect(offer.totalBytes).toBe(FILE.length)
    const items = await until(acceptAll(offer))
    expect(items.map(({ length }) => length)).toEqual([FILE.length, 0])
    expect(items[0]?.equals(FILE)).toBe(true)
    expect(await until(sending)).toMatchObject({ bytes: FILE.length, skipped: 0 })
    expect(await until(offer.confirmed)).toBe(true)
  })

  test('that is declined says so, and the devices stay paired', async () => {
    const { sender, receiver, until } = pair()
    const declined = pairingErrorOf(sender.send([bytesSource(FILE, 'film.mp4')]))
    const first = await until(nextOffer(receiver))
    first.decline('no_space')
    expect(await until(declined)).toBe('no_space')
    const sending = sender.send([bytesSource(FILE.subarray(0, 10), 'note')])
    const second = await until(nextOffer(receiver))
    await until(acceptAll(second))
    expect(await until(sending)).toMatchObject({ bytes: 10 })
  })

  test('that is cut before its answer was not delivered, and the other side received nothing', async () => {
    const { sender, receiver, until, cut } = pair()
    const sending = pairingErrorOf(sender.send([bytesSource(FILE, 'film.mp4')]))
    const offer = await until(nextOffer(receiver))
    await cut()
    expect(await until(sending)).toBe('session_lost')
    expect(await until(pairingErrorOf(acceptAll(offer)))).toBe('session_lost')
    expect(offer.complete).toBe(false)
  })

  test('whose receipt is lost is unconfirmed, and received at the other side', async () => {
    const { sender, receiver, until, cut } = pair()
    const sending = pairingErrorOf(sender.send([bytesSource(FILE, 'film.mp4')]))
    const offer = await until(nextOffer(receiver))
    const accepting = (async () => {
      for await (const item of offer.accept({ beforeReceipt: cut })) await allOf(item.stream)
    })()
    await until(accepting)
    expect(offer.complete).toBe(true)
    expect(await until(sending)).toBe('unconfirmed')
  })

  test('that is cut while its end waits for room in the window is no unconfirmed one', async () => {
    // The first frame of content takes most of the window, and the second waits for its ack.
    const { sender, receiver, until, cut, fallSilent, world } = pair({ window: 300_000 })
    const film = bytesSource(FILE.subarray(0, 300_000), 'film.mp4')
    const sending = pairingErrorOf(sender.send([film], { onAnswer: fallSilent }))
    const offer = await until(nextOffer(receiver))
    const accepting = pairingErrorOf(acceptAll(offer))
    await until(world.time.advance(1_000))
    await cut()
    expect([await until(sending), await until(accepting)]).toEqual(['session_lost', 'session_lost'])
  })

  test('that is withdrawn ends at both sides', async () => {
    const { sender, receiver, until } = pair()
    const abort = new AbortController()
    const sending = pairingErrorOf(sender.send([bytesSource(FILE, 'film.mp4')], { signal: abort.signal }))
    const offer = await until(nextOffer(receiver))
    abort.abort()
    expect(await until(offer.withdrawn)).toMatchObject({ code: 'cancelled' })
    expect(await until(sending)).toBe('aborted')
    expect(await until(pairingErrorOf(acceptAll(offer)))).toBe('cancelled')
  })

  test('that its taker stops ends at both sides', async () => {
    const { sender, receiver, until } = pair()
    const sending = pairingErrorOf(sender.send([bytesSource(FILE, 'film.mp4')]))
    const offer = await until(nextOffer(receiver))
    const abort = new AbortController()
    const accepting = pairingErrorOf(
      (async () => {
        for await (const item of offer.accept({ signal: abort.signal })) {
          abort.abort()
          await allOf(item.stream)
        }
      })(),
    )
    expect(await until(accepting)).toBe('aborted')
    expect(await until(sending)).toBe('cancelled')
  })

  test('that is stopped while everything is made final comes to one word: received', async () => {
    const { sender, receiver, until } = pair()
    const sending = sender.send([bytesSource(FILE, 'film.mp4')])
    const offer = await until(nextOffer(receiver))
    const stop = new AbortController()
    const take = async () => {
      const options = { signal: stop.signal, beforeReceipt: async () => stop.abort() }
      for await (const item of offer.accept(options)) await allOf(item.stream)
    }
    await until(take())
    expect(await until(sending)).toMatchObject({ bytes: FILE.length })
    expect(offer.complete).toBe(true)
    expect([sender.isOver, receiver.isOver]).toEqual([false, false])
  })

  test('of several files leaves one out that changed, and both sides know', async () => {
    const { sender, receiver, until } = pair()
    const changed: Source = {
      name: 'changed',
      size: 500_000,
      open: () => bytesSource(FILE.subarray(0, 300_000), '').open(),
    }
    const sending = sender.send([bytesSource(FILE, 'first'), changed, bytesSource(FILE, 'last')])
    const offer = await until(nextOffer(receiver))
    const seen: [string, number, string | undefined][] = []
    const accepting = (async () => {
      for await (const item of offer.accept()) {
        const { length } = Buffer.concat(await allOf(item.stream))
        seen.push([item.path, length, offer.skipped.get(item.index)])
      }
    })()
    await until(accepting)
    expect(seen).toEqual([
      ['first', FILE.length, undefined],
      ['changed', 300_000, 'changed'],
      ['last', FILE.length, undefined],
    ])
    expect(await until(sending)).toMatchObject({ skipped: 1 })
  })

  test('of which nothing would be left, because all of it changed, is withdrawn', async () => {
    const { sender, receiver, until } = pair()
    const gone = (name: string): Source => ({ ...bytesSource(FILE, name), size: FILE.length + 1 })
    const skipped: string[] = []
    const onSkip = (name: string) => skipped.push(name)
    const sending = pairingErrorOf(sender.send([gone('one'), gone('two')], { onSkip }))
    const offer = await until(nextOffer(receiver))
    expect(await until(pairingErrorOf(acceptAll(offer)))).toBe('source_changed')
    expect(await until(sending)).toBe('source_changed')
    expect(skipped).toEqual(['one'])
  })

  test.each<[string, OfferOptions]>([
    [
      'whose app fails at the answer',
      {
        onAnswer: () => {
          throw new Error('no such row')
        },
      },
    ],
    [
      'whose app fails at the progress',
      {
        onProgress: () => {
          throw new Error('no such bar')
        },
      },
    ],
    [
      'whose token cannot be kept',
      {
        transfers: {
          tokensOf: async () => [],
          put: () => Promise.reject(new Error('no such table')),
          remove: async () => {},
        },
      },
    ],
  ])('%s is taken back, and the devices stay paired', async (_, options) => {
    const { sender, receiver, until } = pair()
    // More than the other device allows at once.
    const film = { ...bytesSource(new Uint8Array(5_000_000), 'film.mp4'), key: 'film' }
    const sending = pairingErrorOf(sender.send([film], options))
    const offer = await until(nextOffer(receiver))
    expect(await until(pairingErrorOf(acceptAll(offer)))).toBe('sender_failed')
    expect(await until(sending)).toBe('internal')
    const again = sender.send([bytesSource(FILE, 'note')])
    await until(acceptAll(await until(nextOffer(receiver))))
    expect(await until(again)).toMatchObject({ bytes: FILE.length })
  })

  test('whose tokens can neither be read nor removed is delivered', async () => {
    const { sender, receiver, until } = pair()
    const broken = () => Promise.reject(new Error('no such table'))
    const transfers = { tokensOf: broken, put: async () => {}, remove: broken }
    const sending = sender.send([{ ...bytesSource(FILE, 'film.mp4'), key: 'film' }], { transfers })
    await until(acceptAll(await until(nextOffer(receiver))))
    expect(await until(sending)).toMatchObject({ bytes: FILE.length })
  })

  test('whose app fails when it hears of the receipt is delivered', async () => {
    const { sender, receiver, until } = pair()
    const onProgress = (bytes: number) => {
      if (bytes === FILE.length) throw new Error('no such bar')
    }
    const sending = sender.send([bytesSource(FILE, 'film.mp4')], { onProgress })
    const offer = await until(nextOffer(receiver))
    for await (const item of offer.accept()) await allOf(item.stream)
    expect(await until(sending)).toMatchObject({ bytes: FILE.length })
    expect([sender.isOver, receiver.isOver]).toEqual([false, false])
  })

  test('beyond four open ones is held back here until one of them is over', async () => {
    const { sender, receiver, until, world } = pair()
    const sending = ['a', 'b', 'c', 'd', 'e'].map((name) => sender.send([bytesSource(BYTE, name)]))
    const items: AsyncGenerator<IncomingItem, void>[] = []
    const first: IncomingItem[] = []
    for (let n = 0; n < 4; n++) {
      const item = (await until(nextOffer(receiver))).accept()
      items.push(item)
      first.push((await until(item.next())).value as IncomingItem)
    }
    const fifth = nextOffer(receiver)
    await until(world.time.advance(1_000))
    expect(await Promise.race([fifth, 'none'])).toBe('none')
    for (const [n, item] of items.entries()) {
      await until(allOf(first[n]?.stream ?? expect.unreachable()))
      await until(item.next())
    }
    await until(acceptAll(await until(fifth)))
    expect((await until(Promise.all(sending))).map(({ bytes }) => bytes)).toEqual([1, 1, 1, 1, 1])
  })

  test('without an answer is answered with closing when its taker says goodbye', async () => {
    const { sender, receiver, until } = pair()
    const sending = pairingErrorOf(sender.send([bytesSource(FILE, 'film.mp4')]))
    const offer = await until(nextOffer(receiver))
    const closing = receiver.close()
    expect(await until(sending)).toBe('closing')
    await until(closing)
    expect(await pairingErrorOf(offer.accept().next())).toBe('closing')
    expect(await until(sender.ended)).toBeUndefined()
  })

  test('is answered with unsupported by a side that takes none', async () => {
    const { sender, receiver, until } = pair({ senderTakes: {} })
    expect(await until(pairingErrorOf(receiver.send([bytesSource(FILE, 'x')])))).toBe('unsupported')
    expect(sender.present).toBe(true)
  })
})

test('each side learns the name that the other gives itself', async () => {
  const { sender, receiver, until } = pair()
  await until(Promise.all([sender.greeted(), receiver.greeted()]))
  expect([sender.name, receiver.name]).toEqual(['receiver', 'sender'])
})

describe('goodbye', () => {
  test('of one side ends both without an error, and both leave', async () => {
    const { sender, receiver, until, left } = pair()
    const offers = allOf(receiver.offers())
    await until(sender.greeted())
    await until(sender.close())
    expect(await until(receiver.ended)).toBeUndefined()
    expect(await until(offers)).toEqual([])
    expect(left.toSorted()).toEqual(['receiver', 'sender'])
  })

  test('crosses a question: its answer is refused here, the asker hears closing, and both end without an error', async () => {
    const { sender, receiver, until } = pair()
    await until(Promise.all([sender.greeted(), receiver.greeted()]))
    const answers: unknown[] = []
    const answering = (async () => {
      for await (const post of sender.posts()) answers.push(await pairingErrorOf(post.reply(post.bytes)))
    })()
    const asking = pairingErrorOf(receiver.ask(Uint8Array.of(1)))
    await until(sender.close())
    await until(answering)
    expect(answers).toEqual(['closing'])
    expect(await until(asking)).toBe('closing')
    expect(await until(receiver.ended)).toBeUndefined()
  })

  test('keeps back posts that had no allowance yet, and both end without an error', async () => {
    const { sender, receiver, until } = pair()
    await until(sender.greeted())
    const posting = [1, 2, 3].map(() => pairingErrorOf(sender.post(new Uint8Array(1024 * 1024))))
    await until(Promise.all(posting.slice(0, 2)))
    const closing = sender.close()
    expect(await until(allOf(receiver.posts()))).toHaveLength(2)
    expect(await until(Promise.all(posting))).toEqual([undefined, undefined, 'closing'])
    await until(closing)
    expect(await until(receiver.ended)).toBeUndefined()
  })
})

describe('posts', () => {
  test('arrive in order, and an answer finds who asked', async () => {
    const { sender, receiver, until } = pair()
    const answering = (async () => {
      for await (const post of receiver.posts()) await post.reply(Uint8Array.from([...post.bytes, 9]))
    })()
    const answers = await until(Promise.all([1, 2, 3].map((byte) => sender.ask(Uint8Array.of(byte)))))
    expect(answers.map(({ bytes, re }) => [[...bytes], re])).toEqual([
      [[1, 9], 1],
      [[2, 9], 2],
      [[3, 9], 3],
    ])
    await until(sender.close())
    await until(answering)
  })

  test('of two sides that each post from inside the loop that reads them come to their end', async () => {
    const { sender, receiver, until } = pair({ window: 262_272 + 8 })
    const bytes = new Uint8Array(200_000)
    const talk = async (device: typeof sender) => {
      await device.post(bytes)
      let heard = 0
      for await (const _ of device.posts()) {
        if (++heard === 30) return
        await device.post(bytes)
      }
    }
    await until(Promise.all([talk(sender), talk(receiver)]))
  })

  test.each<[string, (device: PairedDevice) => Promise<unknown>, ErrorConstructor, string]>([
    ['a text', (device) => device.post('abc' as never), TypeError, 'TextEncoder'],
    ['more than 1 MiB', (device) => device.post(new Uint8Array(1_048_577)), RangeError, 'an offer'],
    ['a type that the peer would not take', (device) => device.post(BYTE, { type: 'x'.repeat(65) }), RangeError, '64'],
    ['a type that is no text', (device) => device.ask(BYTE, { type: 7 as never }), RangeError, 'type is a text'],
    ['an answer to what was not asked', (device) => device.post(BYTE, { re: 1 }), RangeError, 're is'],
  ])(
    'with %s are refused at once, with what to give, and the devices stay paired',
    async (_, attacker, kind, advice) => {
      const { sender, receiver, until } = pair()
      const refused = attacker(sender)
      await expect(refused).rejects.toThrow(kind)
      await expect(refused).rejects.toThrow(advice)
      const answering = receiver.posts().next()
      await until(sender.post(BYTE))
      expect((await until(answering)).value).toMatchObject({ number: 1 })
    },
  )

  test('begin no more after the other side’s goodbye, while an own offer still comes to its end', async () => {
    const { sender, receiver, until } = pair()
    const sending = sender.send([bytesSource(FILE, 'film.mp4')])
    const offer = await until(nextOffer(receiver))
    const items = offer.accept()
    const item = (await until(items.next())).value
    const closing = receiver.close()
    expect(await until(allOf(sender.posts()))).toEqual([])
    expect(await until(pairingErrorOf(sender.post(BYTE)))).toBe('closing')
    if (item) await until(allOf(item.stream))
    await until(items.next())
    expect(await until(sending)).toMatchObject({ bytes: FILE.length })
    await until(closing)
  })

  test('cannot be answered to a side that takes none: it cannot ask, and an answer says so', async () => {
    const { sender, receiver, until } = pair({ senderTakes: {} })
    await expect(sender.ask(BYTE)).rejects.toThrow('takes.posts')
    await until(sender.post(BYTE))
    const post = (await until(receiver.posts().next())).value
    expect(await until(pairingErrorOf(post?.reply(BYTE) ?? Promise.resolve()))).toBe('unsupported')
  })

  test('and offers are not waited for by a side that takes none: that is told at once', async () => {
    const { sender } = pair({ senderTakes: {} })
    await expect(sender.posts().next()).rejects.toThrow('takes.posts')
    await expect(sender.offers().next()).rejects.toThrow('takes.offers')
  })

  test('that nobody waits for any more are aborted, before and after they are asked', async () => {
    const { sender, until } = pair()
    const abort = new AbortController()
    const asking = pairingErrorOf(sender.ask(BYTE, { signal: abort.signal }))
    await until(sender.greeted())
    abort.abort()
    expect(await until(asking)).toBe('aborted')
    expect(await until(pairingErrorOf(sender.ask(BYTE, { signal: abort.signal })))).toBe('aborted')
  })
})

test.each<[string, (offer: IncomingOffer) => void]>([
  ['no', (offer) => offer.decline('never mind' as never)],
  ['a stop', (offer) => offer.stop('busy' as never)],
])('%s with a word of its own is refused, with the words there are, and the offer stays open', async (_, attacker) => {
  const { sender, receiver, until } = pair()
  const sending = pairingErrorOf(sender.send([bytesSource(BYTE, 'a')]))
  const offer = await until(nextOffer(receiver))
  expect(() => attacker(offer)).toThrow(RangeError)
  expect(() => attacker(offer)).toThrow('no_space')
  offer.decline()
  expect(await until(sending)).toBe('declined')
})

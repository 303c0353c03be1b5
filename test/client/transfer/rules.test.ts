import { describe, expect, test } from 'vitest'
import type { PairedDevice } from '../../../src/client/paired-device.ts'
import { bytesSource, type Source } from '../../../src/client/source.ts'
import type { IncomingOffer } from '../../../src/client/transfer/incoming-offer.ts'
import type { OfferOptions } from '../../../src/client/transfer/outgoing-offer.ts'
import { proofFor } from '../../../src/client/transfer/resume.ts'
import { settled } from '../fake-time.ts'
import { pairingErrorOf } from '../support.ts'
import { nextOffer, pair, rawPair } from './pair.ts'

/** Rules of PROTOCOL.md 10.2 and 10.3, at one device each: when it says something, and when nothing. */

const MIB = 1_048_576
const ALLOWANCE = 4 * MIB
const POSTS = 2_099_200
const TOKEN = 'AAECAwQFBgcICQoLDA0ODw'
const hello = { kind: 'hello', offers: true, posts: POSTS, features: [] }
const yes = { kind: 'answer', offer: 1, accepted: true, through: ALLOWANCE }
const BYTE = Uint8Array.of(1)
const TEN = new Uint8Array(10)

type Raw = ReturnType<typeof rawPair>

/** Kinds of what a device has said, in order. */
const kinds = ({ heard }: Pick<Raw, 'heard'>) => heard.map(({ kind }) => kind)
const content = (length: number) => [{ kind: 'content', offer: 1 }, new Uint8Array(length)] as const
const sent = (bytes: number) => [{ kind: 'sent', offer: 1, bytes }] as const
const offered = (sizes: readonly number[], offer = 1) => {
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  const lines = sizes.map((size, index) => ({ path: `${index}`, size }))
  return [{ kind: 'offer', offer, count: sizes.length, bytes, token: TOKEN }, lines] as const
}

/** A device that has said yes to an offer of files of these sizes, and is asked for the first. */
async function taking(...sizes: readonly number[]) {
  const raw = rawPair()
  await raw.attacker([hello])
  const coming = nextOffer(raw.device)
  await raw.attacker(offered(sizes))
  const offer = await coming
  const items = offer.accept()
  const next = async () => {
    const { value } = await items.next()
    return value?.pieces()
  }
  let pieces = await next()
  /** Takes so many bytes of the file. No time passes. */
  const take = async (bytes: number) => {
    for (let taken = 0; taken < bytes; ) {
      const { value } = (await pieces?.next()) ?? expect.unreachable()
      taken += value?.length ?? expect.unreachable()
    }
  }
  /** Reads the file to its end, and goes on to the next. Resolves with the bytes that were left of it. */
  const finish = async () => {
    let bytes = 0
    for await (const piece of pieces ?? []) bytes += piece.length
    pieces = await next()
    return bytes
  }
  return { ...raw, offer, take, finish }
}

/** A device that offers a source, and has heard nothing about it. */
async function offering(source: Source, options?: OfferOptions) {
  const raw = rawPair()
  await raw.attacker([hello])
  const sending = raw.device.send([source], options)
  sending.catch(() => {})
  await settled()
  expect(kinds(raw)).toEqual(['hello', 'offer'])
  return { ...raw, sending }
}

describe.each<[string, boolean]>([
  ['approved', true],
  ['was approved', false],
])('the side that %s', (_, speaksFirst) => {
  test.each<[string, string, (device: PairedDevice) => Promise<unknown>]>([
    ['an offer', 'offer', (device) => device.send([bytesSource(BYTE, 'a')])],
    ['a post', 'post', (device) => device.post(BYTE)],
    ['a goodbye', 'bye', (device) => device.close()],
  ])('says %s behind its hello, and not before it has the other’s', async (_, kind, begin) => {
    const raw = rawPair({ speaksFirst })
    begin(raw.device).catch(() => {})
    await raw.world.time.advance(60_000)
    expect(kinds(raw)).toEqual(speaksFirst ? ['hello'] : [])
    await raw.attacker([hello])
    expect(kinds(raw)).toEqual(['hello', kind])
  })
})

describe('a taker', () => {
  const takes = ({ heard }: Pick<Raw, 'heard'>) => heard.filter(({ kind }) => kind === 'take')

  test('allows more as soon as its app has taken a quarter of the allowance', async () => {
    const { attacker, take, heard } = await taking(ALLOWANCE)
    expect(heard.at(-1)).toMatchObject({ kind: 'answer', through: ALLOWANCE })
    await attacker(content(MIB - 1))
    await take(MIB - 1)
    await settled()
    expect(takes({ heard })).toEqual([])
    await attacker(content(1))
    await take(1)
    await settled()
    expect(takes({ heard })).toEqual([{ kind: 'take', offer: 1, taken: MIB, through: MIB + ALLOWANCE }])
  })

  test('says what its app has taken within 500 ms, and nothing while it takes no more', async () => {
    const { attacker, take, heard, world } = await taking(20)
    await attacker(content(10))
    await world.time.advance(60_000)
    expect(takes({ heard })).toEqual([])
    await take(10)
    await world.time.advance(499)
    expect(takes({ heard })).toEqual([])
    await world.time.advance(1)
    expect(takes({ heard })).toEqual([{ kind: 'take', offer: 1, taken: 10, through: 10 + ALLOWANCE }])
    await world.time.advance(60_000)
    expect(takes({ heard })).toHaveLength(1)
  })

  test('of whose offer everything had come when it was withdrawn has the last word: received', async () => {
    const { attacker, finish, offer, heard, device } = await taking(10)
    await attacker(content(10))
    await attacker(sent(10))
    await attacker([{ kind: 'withdraw', offer: 1, reason: 'cancelled' }])
    expect(await finish()).toBe(10)
    await settled()
    expect([kinds({ heard }).at(-1), kinds({ heard }).includes('stop')]).toEqual(['receipt', false])
    expect([offer.complete, device.isOver]).toEqual([true, false])
  })

  test('of whose offer something was missing when it was withdrawn answers without its app', async () => {
    const { attacker, take, heard } = await taking(20)
    await attacker(content(10))
    await attacker([{ kind: 'withdraw', offer: 1, reason: 'cancelled' }])
    expect(heard.at(-1)).toEqual({ kind: 'stop', offer: 1, reason: 'withdrawn' })
    expect(await pairingErrorOf(take(10))).toBe('cancelled')
  })

  test('leaves a file out whose last byte has come, and one of which none has', async () => {
    const { attacker, finish, offer, heard } = await taking(10, 10, 10)
    await attacker(content(10))
    for (const entry of [0, 2]) await attacker([{ kind: 'skip', offer: 1, entry, reason: 'changed' }])
    await attacker(content(10))
    await attacker(sent(20))
    expect([await finish(), await finish(), await finish()]).toEqual([10, 10, 0])
    await settled()
    expect([...offer.skipped]).toEqual([
      [0, 'changed'],
      [2, 'changed'],
    ])
    expect(heard.at(-1)).toEqual({ kind: 'receipt', offer: 1, bytes: 20, skipped: 2 })
  })

  test('knows a hint of its own pairing, and none of another that an attacker says again', async () => {
    const { attacker, device } = rawPair()
    await attacker([hello])
    const coming = nextOffer(device)
    const [head, lines] = offered([10])
    const other = Buffer.alloc(16, 9).toString('base64url')
    const mine = new Uint8Array(32)
    const resumes = [
      proofFor(TOKEN, 'resume', new Uint8Array(32).fill(1)),
      proofFor(TOKEN, 'resumed', mine),
      proofFor(other, 'resume', mine),
    ]
    await attacker([{ ...head, resumes }, lines])
    const offer = await coming
    expect([offer.resumes([TOKEN]), offer.resumes([TOKEN, other])]).toEqual([undefined, other])
  })

  test.each([
    ['is stopped', 'aborted', 'cancelled'],
    ['hears of a withdrawal', 'cancelled', 'withdrawn'],
  ])('that %s while both sides compare ends, and drops the digests that still come', async (how, code, reason) => {
    const { attacker, device, heard } = rawPair()
    await attacker([hello])
    const coming = nextOffer(device)
    const [head, lines] = offered([10])
    await attacker([{ ...head, resumes: [proofFor(TOKEN, 'resume', new Uint8Array(32))] }, lines])
    const read = async function* () {
      yield new Uint8Array(5)
    }
    const stop = new AbortController()
    const begun = { token: TOKEN, have: [[0, 5]] as const, read }
    const end = pairingErrorOf((await coming).accept({ begun, signal: stop.signal }).next())
    await settled()
    const resume = proofFor(TOKEN, 'resumed', new Uint8Array(32))
    expect(heard.at(-1)).toEqual({ ...yes, resume })
    if (how === 'is stopped') stop.abort()
    else await attacker([{ kind: 'withdraw', offer: 1, reason: 'cancelled' }])
    expect(await end).toBe(code)
    await settled()
    expect(heard.at(-1)).toEqual({ kind: 'stop', offer: 1, reason })
    await attacker([{ kind: 'check', offer: 1 }, [{ entry: 0, bytes: 5, sha256: 'A'.repeat(43) }]])
    expect(device.isOver).toBe(false)
  })

  test('that takes no offers answers one itself, reads none of its lines, and drops what comes of it', async () => {
    const { attacker, heard, device } = rawPair({ takes: {} })
    await attacker([hello])
    expect(heard).toMatchObject([{ kind: 'hello', offers: false, posts: 0 }])
    await attacker([offered([10])[0], Buffer.from('no lines')])
    expect(heard.at(-1)).toEqual({ kind: 'answer', offer: 1, accepted: false, reason: 'unsupported' })
    await attacker(content(10))
    expect([heard.length, device.isOver]).toEqual([2, false])
  })

  test('answers an offer that its offerer has said goodbye behind, and says its own', async () => {
    const { attacker, heard, device, until } = rawPair()
    await attacker([hello])
    await attacker(offered([10]))
    await attacker([{ kind: 'bye' }])
    expect(kinds({ heard })).toEqual(['hello', 'answer', 'bye'])
    expect(heard[1]).toEqual({ kind: 'answer', offer: 1, accepted: false, reason: 'closing' })
    expect(await until(device.ended)).toBeUndefined()
  })

  test('that has said goodbye answers an offer that crossed it, and both come to their end', async () => {
    const { attacker, heard, device, until } = rawPair()
    await attacker([hello])
    const closing = device.close()
    await attacker(offered([10]))
    expect(kinds({ heard })).toEqual(['hello', 'bye', 'answer'])
    expect(heard.at(-1)).toEqual({ kind: 'answer', offer: 1, accepted: false, reason: 'closing' })
    await attacker([{ kind: 'bye' }])
    await until(closing)
  })
})

describe('an offerer', () => {
  test('says as much as it is allowed, and counts as progress what the other app has taken', async () => {
    const progress: number[] = []
    const { attacker, contentBytes, device, heard, sending } = await offering(bytesSource(TEN, 'a'), {
      onProgress: (bytes) => progress.push(bytes),
    })
    await attacker([{ ...yes, through: 4 }])
    expect([contentBytes(), progress]).toEqual([4, []])
    await attacker([{ kind: 'take', offer: 1, taken: 3, through: 9 }])
    expect([contentBytes(), progress]).toEqual([9, [3]])
    await attacker([{ kind: 'take', offer: 1, taken: 9, through: 13 }])
    expect([contentBytes(), progress]).toEqual([10, [3, 9]])
    expect(heard.at(-1)).toEqual({ kind: 'sent', offer: 1, bytes: 10 })
    await attacker([{ kind: 'receipt', offer: 1, bytes: 10 }])
    expect([await sending, progress]).toMatchObject([{ bytes: 10 }, [3, 9, 10]])
    await attacker([{ kind: 'take', offer: 1, taken: 10, through: 14 }])
    expect(device.isOver).toBe(false)
  })

  test('lets out what its source gave once that has given nothing for 100 ms', async () => {
    let give: (piece: Uint8Array | undefined) => void = () => {}
    const open = async function* () {
      for (;;) {
        const piece = await new Promise<Uint8Array | undefined>((resolve) => (give = resolve))
        if (!piece) return
        yield piece
      }
    }
    const { attacker, contentBytes, heard, world } = await offering({ name: 'pipe', once: true, open })
    await attacker([yes])
    give(TEN)
    await world.time.advance(60)
    give(TEN)
    await world.time.advance(99)
    expect(contentBytes()).toBe(0)
    await world.time.advance(1)
    expect([contentBytes(), kinds({ heard })]).toEqual([20, ['hello', 'offer', 'content']])
    give(undefined)
    await settled()
    expect(heard.at(-1)).toEqual({ kind: 'sent', offer: 1, bytes: 20 })
  })

  test('that withdraws says nothing more, and waits for the last word', async () => {
    const stop = new AbortController()
    const { attacker, contentBytes, heard, sending } = await offering(bytesSource(TEN, 'a'), { signal: stop.signal })
    let isOver = false
    const end = pairingErrorOf(sending).finally(() => {
      isOver = true
    })
    await attacker([{ ...yes, through: 4 }])
    stop.abort()
    await settled()
    await attacker([{ kind: 'take', offer: 1, taken: 4, through: ALLOWANCE }])
    expect([contentBytes(), heard.at(-1), isOver]).toEqual([
      4,
      { kind: 'withdraw', offer: 1, reason: 'cancelled' },
      false,
    ])
    await attacker([{ kind: 'stop', offer: 1, reason: 'withdrawn' }])
    expect(await end).toBe('aborted')
  })

  test('that withdraws behind its last byte reports what the taker says then', async () => {
    for (const last of ['receipt', 'stop']) {
      const stop = new AbortController()
      const { attacker, heard, sending } = await offering(bytesSource(TEN, 'a'), { signal: stop.signal })
      await attacker([yes])
      stop.abort()
      await settled()
      expect(kinds({ heard }).slice(-2)).toEqual(['sent', 'withdraw'])
      await attacker([{ kind: last, offer: 1, bytes: 10, reason: 'withdrawn' }])
      expect(await pairingErrorOf(sending)).toBe(last === 'stop' ? 'aborted' : undefined)
    }
  })

  test('hints at the newest eight of its tokens, however many it has', async () => {
    const tokens = Array.from({ length: 64 }, (_, n) => Buffer.alloc(16, n).toString('base64url'))
    const transfers = { tokensOf: async () => tokens, put: async () => {}, remove: async () => {} }
    const { heard } = await offering({ ...bytesSource(TEN, 'a'), key: '/a' }, { transfers })
    const resumes = tokens.slice(0, 8).map((token) => proofFor(token, 'resume', new Uint8Array(32)))
    expect(heard.at(-1)).toMatchObject({ kind: 'offer', resumes })
  })

  test('gives each offer a token of its own', async () => {
    const raw = rawPair()
    let drawn = 0
    Object.assign(raw.world.environment, { random: (length: number) => new Uint8Array(length).fill(++drawn) })
    await raw.attacker([hello])
    for (const offer of [1, 2]) {
      const declined = pairingErrorOf(raw.device.send([bytesSource(TEN, 'a')]))
      await settled()
      await raw.attacker([{ kind: 'answer', offer, accepted: false, reason: 'declined' }])
      expect(await declined).toBe('declined')
    }
    const tokens = raw.heard.flatMap((head) => (head.kind === 'offer' ? [head.token] : []))
    expect(tokens).toEqual([1, 2].map((byte) => Buffer.alloc(16, byte).toString('base64url')))
  })
})

describe('posts', () => {
  test('are allowed more of as soon as the app has taken a quarter, or anything for 500 ms', async () => {
    const { attacker, device, heard, world } = rawPair()
    const takes = () => heard.flatMap((head) => (head.kind === 'take' ? [head.posts] : []))
    await attacker([hello])
    const posts = device.posts()
    await attacker([{ kind: 'post' }, new Uint8Array(POSTS / 4 - 1_025)])
    await posts.next()
    await world.time.advance(499)
    expect(takes()).toEqual([])
    await world.time.advance(1)
    expect(takes()).toEqual([POSTS + POSTS / 4 - 1])
    await attacker([{ kind: 'post' }, new Uint8Array(POSTS / 4 - 1_024)])
    await posts.next()
    await settled()
    expect(takes()).toEqual([POSTS + POSTS / 4 - 1, POSTS + POSTS / 2 - 1])
  })

  test('are held by the other device, or the promise does not say so', async () => {
    const { sender, receiver, until, world, fallSilent, cut } = pair()
    await until(Promise.all([sender.greeted(), receiver.greeted()]))
    fallSilent()
    let isHeld = false
    const posting = sender.post(BYTE).then(() => {
      isHeld = true
    })
    const end = pairingErrorOf(posting)
    await world.time.advance(60_000)
    expect(isHeld).toBe(false)
    await cut()
    expect(await end).toBe('session_lost')
  })

  test('that answer a question go to who asked, and not to the loop that reads the others', async () => {
    const { sender, receiver, until } = pair()
    const answering = (async () => {
      for await (const post of receiver.posts()) await post.reply(post.bytes)
    })()
    await until(sender.ask(BYTE))
    await until(receiver.post(TEN))
    const { value } = await until(sender.posts().next())
    expect(value).toMatchObject({ number: 2, bytes: TEN, re: undefined })
    await until(sender.close())
    await until(answering)
  })
})

test('two offers each way and 1,000 posts each way arrive at once over a small window, to apps that are slow', async () => {
  const { sender, receiver, until, world } = pair({ window: 300_000 })
  const film = Buffer.from(Uint8Array.from({ length: 400_000 }, (_, index) => (index * 7) % 253))
  const pause = () => new Promise<void>((resolve) => world.environment.setTimeout(resolve, 5))

  const speak = async (device: PairedDevice) => {
    const numbers = Array.from({ length: 1_000 }, (_, n) => {
      const bytes = new Uint8Array(2_000)
      new DataView(bytes.buffer).setUint32(0, n)
      return device.post(bytes)
    })
    const offers = ['a', 'b'].map((name) => device.send([bytesSource(film, name)]))
    return [(await Promise.all(offers)).map(({ bytes }) => bytes), await Promise.all(numbers)]
  }
  const listen = async (device: PairedDevice) => {
    const heard: number[] = []
    for await (const { bytes } of device.posts()) {
      heard.push(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0))
      await pause()
      if (heard.length === 1_000) return heard
    }
    return heard
  }
  const take = async (device: PairedDevice) => {
    const taken: boolean[] = []
    const accepting: Promise<void>[] = []
    const accept = async (offer: IncomingOffer) => {
      for await (const item of offer.accept()) {
        const pieces: Uint8Array[] = []
        for await (const piece of item.pieces()) {
          pieces.push(piece)
          await pause()
        }
        taken.push(Buffer.concat(pieces).equals(film))
      }
    }
    for await (const offer of device.offers()) if (accepting.push(accept(offer)) === 2) break
    await Promise.all(accepting)
    return taken
  }
  const upTo = Array.from({ length: 1_000 }, (_, n) => n)
  const both = [sender, receiver].flatMap((device) => [speak(device), listen(device), take(device)])
  const one = [[[film.length, film.length], upTo.map((n) => n + 1)], upTo, [true, true]]
  expect(await until(Promise.all<unknown>(both))).toEqual([...one, ...one])
})

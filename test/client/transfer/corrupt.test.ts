import { describe, expect, test } from 'vitest'
import { bytesSource, type Source } from '../../../src/client/source.ts'
import type { IncomingOffer } from '../../../src/client/transfer/incoming-offer.ts'
import type { OfferOptions } from '../../../src/client/transfer/outgoing-offer.ts'
import { proofFor, type Transfers } from '../../../src/client/transfer/resume.ts'
import { nextOffer, rawPair } from './pair.ts'

/** A message as a hostile peer may seal it: any JSON, any body. */
type Said = readonly [head: object, body?: Uint8Array | readonly object[]]

const TOKEN = 'AAECAwQFBgcICQoLDA0ODw'
const hello = { kind: 'hello', offers: true, posts: 2_099_200, features: [] }
const offer = { kind: 'offer', offer: 1, count: 1, bytes: 10, token: TOKEN }
const entry = { path: 'a', size: 10 }
const offered: Said = [offer, [entry]]
const ten = new Uint8Array(10)
const content: Said = [{ kind: 'content', offer: 1 }, ten]
const sent: Said = [{ kind: 'sent', offer: 1, bytes: 10 }]
const skip: Said = [{ kind: 'skip', offer: 1, entry: 1, reason: 'changed' }]
const two: Said = [
  { ...offer, count: 2, bytes: 20 },
  [
    { path: 'a', size: 10 },
    { path: 'b', size: 10 },
  ],
]

/** Messages of the attacker after its hello, as an offerer whose offers are accepted unless it is marked. */
const AS_OFFERER: Readonly<Record<string, readonly Said[]>> = {
  'a second hello': [[hello]],
  'an offer with another number than the next': [[{ ...offer, offer: 2 }, [entry]]],
  'a second undecided offer': [offered, [{ ...offer, offer: 2 }, [entry]]],
  'fewer lines than announced': [[{ ...offer, count: 2 }, [entry]]],
  'more lines than announced': [[offer, [entry, { ...entry, path: 'b' }]]],
  'a line that is not whole': [[offer, new TextEncoder().encode('{"path":"a","size":10}')]],
  'a line that is too long': [[offer, [{ ...entry, path: 'a', more: 'x'.repeat(8192) }]]],
  'a line that is no JSON': [[offer, new TextEncoder().encode('nothing\n')]],
  'another sum than its sizes': [[{ ...offer, bytes: 11 }, [entry]]],
  'no sum where every size is known': [[{ ...offer, bytes: undefined }, [entry]]],
  'a token of another length': [[{ ...offer, token: 'AAAA' }, [entry]]],
  'more hints than eight': [[{ ...offer, resumes: Array(9).fill(TOKEN) }, [entry]]],
  'content of an offer that was never made': [offered, [{ kind: 'content', offer: 2 }, ten]],
  'a withdrawal of an offer that was never made': [[{ kind: 'withdraw', offer: 1, reason: 'failed' }]],
  'content without a yes': [offered, content],
  'content without a byte of an offer that was never made': [offered, [{ kind: 'content', offer: 2 }]],
  'content without a yes and without a byte': [offered, [{ kind: 'content', offer: 1 }]],
  'sent without a yes': [offered, sent],
  'a check that was not asked for': [offered, [{ kind: 'check', offer: 1 }]],
  'an offer after goodbye': [[{ kind: 'bye' }], offered],
  'a post after goodbye': [[{ kind: 'bye' }], [{ kind: 'post' }]],
  'a second goodbye': [[{ kind: 'bye' }], [{ kind: 'bye' }]],
  'a body where none belongs': [[{ kind: 'bye' }, ten]],
  'a post of a type above 64 bytes': [[{ kind: 'post', type: 'ä'.repeat(33) }]],
  'a post above 1 MiB': [[{ kind: 'post' }, new Uint8Array(1_048_577)]],
  'posts above the allowance': [
    [{ kind: 'post' }, new Uint8Array(1_048_576)],
    [{ kind: 'post' }, new Uint8Array(1_048_576)],
    [{ kind: 'post' }],
  ],
  'an allowance that shrinks': [[{ kind: 'take', posts: 5 }]],
  'an unknown kind above 1 MiB': [[{ kind: 'dance' }, new Uint8Array(1_048_577)]],
  'an answer to an offer that was never made': [[{ kind: 'answer', offer: 1, accepted: true, through: 5 }]],
  'a take of an offer that was never made': [[{ kind: 'take', offer: 1, taken: 0, through: 5 }]],
  'a head without a kind': [[{ offer: 1 }]],
  'a head that is no object': [[[]]],
  'a number that is none': [[{ ...offer, count: 1.5 }, [entry]]],
  'a reason that is no text': [offered, [{ kind: 'withdraw', offer: 1, reason: 5 }]],
}

const PATHS: Readonly<Record<string, string>> = {
  'an empty path': '',
  'an empty segment': 'a//b',
  'a path from the root': '/a',
  'a path that ends in a slash': 'a/',
  'a dot as a segment': 'a/./b',
  'two dots as a segment': 'a/../b',
  'a NUL': 'a\0b',
  'a lone surrogate': 'a\ud800',
  'a segment of 256 bytes': 'x'.repeat(256),
  'more than 128 segments': Array(129).fill('a').join('/'),
  'more than 4,096 bytes': Array(20).fill('x'.repeat(250)).join('/'),
}

const FIELDS: Readonly<Record<string, object>> = {
  'an x that is not true': { x: false },
  'a dir that is not true': { dir: false },
  'a time that is no whole number': { modified: 0.5 },
  'a type of 256 characters': { type: 'x'.repeat(256) },
}

const LISTS: Readonly<Record<string, readonly object[]>> = {
  'a path twice': [entry, entry],
  'a path under another': [entry, { path: 'a/b', size: 0 }],
  'a path above another': [{ path: 'a/b', size: 0 }, entry],
  'entries of a thing apart': [
    { path: 'a/b', size: 5 },
    { path: 'c', size: 0 },
    { path: 'a/d', size: 5 },
  ],
  'an unknown size among several': [{ path: 'a' }, { path: 'b', size: 10 }],
  'sizes beyond 2^53 in sum': [
    { path: 'a', size: Number.MAX_SAFE_INTEGER },
    { path: 'b', size: Number.MAX_SAFE_INTEGER },
  ],
  'a folder with a size': [{ path: 'a', dir: true, size: 10 }],
}

/** A device against an attacker that knows the keys of the pairing. */
async function against(said: readonly Said[], { accepts = false } = {}) {
  const { device, attacker, until } = rawPair()
  // Says yes to the first offer, and takes nothing of it.
  if (accepts)
    void nextOffer(device).then(
      (first) => first.accept().next(),
      () => {},
    )
  await attacker([hello])
  for (const message of said) await attacker(message)
  return until(device.ended)
}

describe('a device ends the channel as corrupt when its peer says', () => {
  test('anything but hello first', async () => {
    const { device, attacker, until } = rawPair()
    await attacker([{ kind: 'bye' }])
    expect(await until(device.ended)).toMatchObject({ code: 'corrupt' })
  })

  test.each(Object.entries(AS_OFFERER))('%s', async (_, said) => {
    expect(await against(said)).toMatchObject({ code: 'corrupt' })
  })

  test.each(Object.entries(PATHS))('an entry with %s', async (_, path) => {
    expect(await against([[offer, [{ ...entry, path }]]])).toMatchObject({ code: 'corrupt' })
  })

  test.each(Object.entries(FIELDS))('an entry with %s', async (_, field) => {
    expect(await against([[offer, [{ ...entry, ...field }]]])).toMatchObject({ code: 'corrupt' })
  })

  test.each(Object.entries(LISTS))('a list with %s', async (_, list) => {
    const sizes = list.map((each) => ('size' in each ? Number(each.size) : 0))
    const bytes = sizes.reduce((sum, size) => sum + size, 0)
    expect(await against([[{ ...offer, count: list.length, bytes }, list]])).toMatchObject({ code: 'corrupt' })
  })

  test.each<[string, readonly Said[]]>([
    ['content beyond what was announced', [offered, [{ kind: 'content', offer: 1 }, new Uint8Array(11)]]],
    ['sent with another number than came', [offered, content, [{ kind: 'sent', offer: 1, bytes: 9 }]]],
    ['sent while an entry is not whole', [offered, [{ kind: 'sent', offer: 1, bytes: 0 }]]],
    ['sent twice', [offered, content, sent, sent]],
    ['content after sent', [offered, content, sent, content]],
    [
      'a skip after sent',
      [two, [{ kind: 'content', offer: 1 }, new Uint8Array(20)], [{ ...sent[0], bytes: 20 }], skip],
    ],
    ['a skip twice', [two, skip, skip]],
    ['a check where nothing was compared', [offered, [{ kind: 'check', offer: 1 }]]],
    ['a skip of the only entry', [offered, [{ kind: 'skip', offer: 1, entry: 0, reason: 'changed' }]]],
    ['a skip of an entry that is not there', [two, [{ kind: 'skip', offer: 1, entry: 2, reason: 'changed' }]]],
    [
      'a skip of an entry that is long past',
      [
        two,
        [{ kind: 'content', offer: 1 }, new Uint8Array(11)],
        [{ kind: 'skip', offer: 1, entry: 0, reason: 'changed' }],
      ],
    ],
  ])('%s, after a yes', async (_, said) => {
    expect(await against(said, { accepts: true })).toMatchObject({ code: 'corrupt' })
  })
})

/** A device that accepts whatever it is offered, and takes nothing of it, against an attacker that has said hello. */
async function accepting() {
  const { device, attacker, until } = rawPair()
  const accepted: IncomingOffer[] = []
  const accept = async () => {
    for await (const each of device.offers()) {
      accepted.push(each)
      void each.accept().next()
    }
  }
  accept().catch(() => {})
  await attacker([hello])
  return { device, attacker, until, accepted }
}

test('a device ends the channel as corrupt at a fifth open offer, and no earlier one', async () => {
  const { device, attacker, until } = await accepting()
  for (let n = 1; n <= 4; n++) await attacker([{ ...offer, offer: n }, [entry]])
  expect(device.isOver).toBe(false)
  await attacker([{ ...offer, offer: 5 }, [entry]])
  expect(await until(device.ended)).toMatchObject({ code: 'corrupt' })
})

test('a device ends the channel as corrupt at the first byte above what it has allowed', async () => {
  const { device, attacker, until } = await accepting()
  const size = 5 * 1_048_576
  await attacker([{ ...offer, bytes: size }, [{ path: 'a', size }]])
  for (let n = 0; n < 4; n++) await attacker([{ kind: 'content', offer: 1 }, new Uint8Array(1_048_576)])
  expect(device.isOver).toBe(false)
  await attacker([{ kind: 'content', offer: 1 }, new Uint8Array(1)])
  expect(await until(device.ended)).toMatchObject({ code: 'corrupt' })
})

test('a device drops what still comes about an offer after its last word', async () => {
  const { device, attacker, until, accepted } = await accepting()
  await attacker(two)
  accepted[0]?.stop('cancelled')
  await attacker([{ kind: 'content', offer: 1 }, ten])
  await attacker(skip)
  await attacker([{ kind: 'sent', offer: 1, bytes: 10 }])
  await attacker([{ kind: 'withdraw', offer: 1, reason: 'failed' }])
  await attacker([{ ...offer, offer: 2 }, [entry]])
  expect([device.isOver, accepted.length]).toEqual([false, 2])
  // Of one that was never made it drops nothing.
  await attacker([{ kind: 'withdraw', offer: 3, reason: 'failed' }])
  expect(await until(device.ended)).toMatchObject({ code: 'corrupt' })
})

const no: Said = [{ kind: 'answer', offer: 1, accepted: false, reason: 'declined' }]
const yes = { kind: 'answer', offer: 1, accepted: true, through: 4_194_304 }
const take = { kind: 'take', offer: 1, taken: 0, through: 4_194_304 }
const receipt: Said = [{ kind: 'receipt', offer: 1, bytes: 10 }]
const stopped = { kind: 'stop', offer: 1, reason: 'failed' }
const stop: Said = [stopped]
const withToken: Transfers = { tokensOf: async () => [TOKEN], put: async () => {}, remove: async () => {} }

/** Messages of the attacker after its hello, as the taker of an offer of ten bytes. */
const AS_TAKER: Readonly<Record<string, readonly Said[]>> = {
  'a second answer': [[yes], [yes]],
  'a yes after a no': [no, [yes]],
  'a yes without an allowance': [[{ ...yes, through: undefined }]],
  'a no without a reason': [[{ kind: 'answer', offer: 1, accepted: false }]],
  'to resume what no hint was about': [[{ ...yes, resume: TOKEN }]],
  'what it has of an offer that has no hints': [[yes, [{ entry: 0, bytes: 5 }]]],
  'a start that nothing was compared for': [[yes], [{ kind: 'start', offer: 1 }]],
  'a start before its answer': [[{ kind: 'start', offer: 1 }]],
  'a receipt before its answer': [receipt],
  'a receipt of another number': [[yes], [{ ...receipt[0], bytes: 9 }]],
  'a second receipt': [[yes], receipt, receipt],
  'a stop after its receipt': [[yes], receipt, stop],
  'a receipt after its stop': [[yes], stop, receipt],
  'to have taken before its answer': [[take]],
  'to have taken more than was said': [[yes], [{ ...take, taken: 11 }]],
  'to have taken less than before': [[yes], [{ ...take, taken: 10 }], [take]],
  'an allowance of an offer that shrinks': [[yes], [{ ...take, through: 4_194_303 }]],
}

/** Resume lines of a taker that has the token, of an offer of ten bytes and an empty folder. */
const AS_RESUMER: Readonly<Record<string, readonly (readonly object[])[]>> = {
  'more of an entry than it has': [[{ entry: 0, bytes: 11 }]],
  'none of an entry': [[{ entry: 0, bytes: 0 }]],
  'a part of a folder': [[{ entry: 1, bytes: 1 }]],
  'a part of an entry that is not there': [[{ entry: 2, bytes: 1 }]],
  'a part twice': [
    [
      { entry: 0, bytes: 5 },
      { entry: 0, bytes: 5 },
    ],
  ],
  'to start elsewhere than it has named': [[{ entry: 0, bytes: 5 }], [{ entry: 0, bytes: 4 }]],
  'to start with what it has not named': [[], [{ entry: 0, bytes: 5 }]],
  'a second start': [[{ entry: 0, bytes: 5 }], [], []],
}

/** Lets the other side say what it has to say. */
async function passing(attacker: (said: Said) => Promise<void>): Promise<void> {
  for (let turns = 0; turns < 5; turns++) await attacker([{ kind: 'a turn that passes' }])
}

/** An offerer that was heard, against an attacker that takes. */
async function offering(options?: OfferOptions) {
  const { device, attacker, heard, until } = rawPair()
  await attacker([hello])
  const folder: Source = { name: 'b', key: '/b', dir: true, open: async function* () {} }
  const sending = device.send([{ ...bytesSource(ten, 'a'), key: '/a' }, folder], options)
  sending.catch(() => {})
  while (!heard.some(({ kind }) => kind === 'offer')) await passing(attacker)
  return { device, attacker, heard, until, sending }
}

describe('an offerer ends the channel as corrupt when its taker says', () => {
  test.each(Object.entries(AS_TAKER))('%s', async (_, said) => {
    const { device, attacker, until } = await offering()
    for (const message of said) {
      expect(device.isOver).toBe(false)
      await attacker(message)
      await passing(attacker)
    }
    expect(await until(device.ended)).toMatchObject({ code: 'corrupt' })
  })

  test.each(Object.entries(AS_RESUMER))('%s, when it resumes', async (_, [have = [], ...starts]) => {
    const { device, attacker, until } = await offering({ transfers: withToken })
    await attacker([{ ...yes, resume: proofFor(TOKEN, 'resumed', new Uint8Array(32)) }, have])
    for (const start of starts) await attacker([{ kind: 'start', offer: 1 }, start])
    expect(await until(device.ended)).toMatchObject({ code: 'corrupt' })
  })

  test('nothing that is wrong, and only then', async () => {
    const { attacker, heard, until, sending } = await offering({ transfers: withToken })
    await attacker([{ ...yes, resume: proofFor(TOKEN, 'resumed', new Uint8Array(32)) }, [{ entry: 0, bytes: 5 }]])
    while (!heard.some(({ kind }) => kind === 'check')) await passing(attacker)
    await attacker([{ kind: 'start', offer: 1 }, [{ entry: 0, bytes: 5 }]])
    while (!heard.some(({ kind }) => kind === 'sent')) await passing(attacker)
    await attacker([{ ...take, taken: 5 }])
    await attacker([{ ...receipt[0], bytes: 5 }])
    expect(await until(sending)).toMatchObject({ bytes: 5 })
    expect(heard.map(({ kind }) => kind)).toEqual(['hello', 'offer', 'check', 'content', 'sent'])
  })
})

test('no byte of an offer goes out before its token is kept', async () => {
  let kept = () => {}
  const put = () => new Promise<void>((resolve) => (kept = resolve))
  const { attacker, heard, until, sending } = await offering({
    transfers: { ...withToken, tokensOf: async () => [], put },
  })
  await attacker([yes])
  await passing(attacker)
  expect(heard.map(({ kind }) => kind)).toEqual(['hello', 'offer'])
  kept()
  while (!heard.some(({ kind }) => kind === 'sent')) await passing(attacker)
  await attacker(receipt)
  expect(await until(sending)).toMatchObject({ bytes: 10 })
})

test('a message of an unknown kind is not heard, up to 1 MiB of body', async () => {
  const { device, attacker } = await accepting()
  await attacker([{ kind: 'dance' }, new Uint8Array(1_048_576)])
  expect(device.isOver).toBe(false)
})

test('an offer that is withdrawn while both sides compare says nothing after that', async () => {
  const stop = new AbortController()
  const onChecking = () => stop.abort()
  const { attacker, heard, until, sending } = await offering({ transfers: withToken, signal: stop.signal, onChecking })
  await attacker([{ ...yes, resume: proofFor(TOKEN, 'resumed', new Uint8Array(32)) }, [{ entry: 0, bytes: 5 }]])
  await attacker([{ kind: 'start', offer: 1 }, []])
  await attacker([{ ...stopped, reason: 'withdrawn' }])
  await expect(until(sending)).rejects.toMatchObject({ code: 'aborted' })
  expect(heard.map(({ kind }) => kind)).toEqual(['hello', 'offer', 'withdraw'])
})

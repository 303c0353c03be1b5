import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MessageReader, MessageWriter } from '../../../src/client/transfer/messages.ts'
import {
  encodeHeader,
  ITEMS_MAX,
  type ItemInfo,
  TransferReader,
  totalOf,
} from '../../../src/client/transfer/transfer.ts'
import { holds } from '../../support/property.ts'
import { FakeWorld, linkedChannels, pairingErrorOf } from '../support.ts'

const ONE_CHUNK_FRAMES = 65_568
const secret = () => new Uint8Array(64).fill(3)

/** Opens a transfer from plaintext that anybody may have written. */
async function opened(plaintext: Uint8Array, maxFrameBytes = 262_272): Promise<TransferReader> {
  const { near, far } = linkedChannels(new FakeWorld().environment)
  await new MessageWriter(near, secret(), maxFrameBytes).write([plaintext])
  return TransferReader.open(await new MessageReader(far, secret()).next())
}

/** A header of any JSON, with a length of its own if it should lie. */
function headerOf(json: unknown, claimed?: number): Buffer {
  const text = Buffer.from(typeof json === 'string' ? json : JSON.stringify(json))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(claimed ?? text.length)
  return Buffer.concat([length, text])
}

/** Items of these sizes. */
const items = (...sizes: number[]) => sizes.map((size, i) => ({ name: `item ${i}`, size }))

async function readItem(transfer: TransferReader, size: number | undefined): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  let left = size
  for (;;) {
    const piece = await transfer.read(left)
    if (!piece) return Buffer.concat(pieces)
    pieces.push(piece)
    if (left !== undefined) left -= piece.length
  }
}

describe('encoding a header', () => {
  test.each<[string, ItemInfo[]]>([
    ['no items', []],
    ['1,001 items', Array(ITEMS_MAX + 1).fill({ name: 'a', size: 0 })],
    ['an empty name', [{ name: '', size: 1 }]],
    ['a name of 256 bytes', [{ name: 'a'.repeat(256), size: 1 }]],
    ['a name of 128 characters that take 256 bytes', [{ name: 'é'.repeat(128), size: 1 }]],
    ['a name with half a surrogate pair', [{ name: 'a\ud800', size: 1 }]],
    ['a negative size', [{ name: 'a', size: -1 }]],
    ['a size that is no whole number', [{ name: 'a', size: 1.5 }]],
    ['a size beyond safe integers', [{ name: 'a', size: 2 ** 53 }]],
    ['sizes whose sum is beyond safe integers', items(Number.MAX_SAFE_INTEGER, 1)],
    ['two items, one of unknown size', [{ name: 'a' }, { name: 'b', size: 1 }]],
    ['a type of 256 characters', [{ name: 'a', size: 1, type: 'x'.repeat(256) }]],
    ['names that are too long together', Array(ITEMS_MAX).fill({ name: 'a'.repeat(255), size: 1 })],
  ])('refuses %s', (_, items) => {
    expect(() => encodeHeader(items)).toThrow(RangeError)
  })

  test.each<[string, ItemInfo[]]>([
    ['1,000 items', Array(ITEMS_MAX).fill({ name: 'a', size: 0 })],
    ['a name of 255 bytes', [{ name: 'a'.repeat(255), size: 1 }]],
    ['an emoji', [{ name: '📦', size: 1 }]],
    ['one item of unknown size', [{ name: 'a' }]],
    ['the largest sum', items(Number.MAX_SAFE_INTEGER - 1, 1)],
  ])('takes %s, and a reader gets it back', async (_, items) => {
    const transfer = await opened(encodeHeader(items))
    expect(transfer.items).toEqual(items)
  })

  test('says nothing of an item but name, size and type', async () => {
    const source = { name: 'a', size: 0, path: '/home/me/secret', once: true, open: () => {} }
    expect(Buffer.from(encodeHeader([source])).toString()).not.toContain('secret')
  })
})

describe('reading a header', () => {
  const item = { name: 'a', size: 0 }

  test.each<[string, Buffer]>([
    ['no items', headerOf({ items: [] })],
    ['1,001 items', headerOf({ items: Array(ITEMS_MAX + 1).fill(item) })],
    ['no list', headerOf({ items: item })],
    ['an empty name', headerOf({ items: [{ name: '', size: 0 }] })],
    ['no name', headerOf({ items: [{ size: 0 }] })],
    ['a name of 256 bytes', headerOf({ items: [{ name: 'é'.repeat(128), size: 0 }] })],
    ['a name with half a surrogate pair', headerOf('{"items":[{"name":"\\ud800","size":0}]}')],
    ['a key __proto__', headerOf('{"__proto__":{},"items":[{"name":"a","size":0}]}')],
    ['a key __proto__ inside an item', headerOf('{"items":[{"name":"a","size":0,"__proto__":{"size":9}}]}')],
    ['a negative size', headerOf({ items: [{ name: 'a', size: -1 }] })],
    ['a size in exponents beyond safe integers', headerOf('{"items":[{"name":"a","size":1e300}]}')],
    ['a size that is text', headerOf({ items: [{ name: 'a', size: '0' }] })],
    ['a sum beyond safe integers', headerOf({ items: items(2 ** 53 - 1, 1) })],
    ['two items of unknown size', headerOf({ items: [{ name: 'a' }, { name: 'b' }] })],
    ['no JSON', headerOf('items')],
    ['nothing', headerOf('')],
    ['less length than its JSON', headerOf({ items: [item] }, 10)],
  ])('one with %s is corrupt', async (_, attacker) => {
    expect(await pairingErrorOf(opened(attacker))).toBe('corrupt')
  })

  test.each<[string, Buffer]>([
    ['more length than there is', headerOf({ items: [item] }, 1_000)],
    ['fewer bytes than a length takes', Buffer.from([0, 0, 1])],
    ['no bytes at all', Buffer.alloc(0)],
  ])('one with %s is incomplete', async (_, attacker) => {
    expect(await pairingErrorOf(opened(attacker))).toBe('incomplete')
  })

  test('a length above 64 KiB is refused before anything is read or kept for it', async () => {
    const attacker = Buffer.alloc(4)
    attacker.writeUInt32BE(65_537)
    expect(await pairingErrorOf(opened(attacker))).toBe('corrupt')
    attacker.writeUInt32BE(0xffff_ffff)
    expect(await pairingErrorOf(opened(attacker))).toBe('corrupt')
  })

  test('a header of exactly 64 KiB may span frames, and the items start in the middle of one', async () => {
    const json = JSON.stringify({ items: [{ name: 'a', size: 5 }] })
    const padded = json + ' '.repeat(65_536 - json.length)
    const transfer = await opened(Buffer.concat([headerOf(padded), Buffer.from('hello')]), ONE_CHUNK_FRAMES)
    expect((await readItem(transfer, 5)).toString()).toBe('hello')
    await transfer.finish()
    expect(await pairingErrorOf(opened(headerOf(`${padded} `)))).toBe('corrupt')
  })

  test('what it says besides is ignored', async () => {
    const transfer = await opened(headerOf({ items: [{ ...item, mode: 0o777 }], version: 2 }))
    expect(transfer.items).toEqual([item])
  })
})

describe('reading items', () => {
  const twoItems = headerOf({
    items: [
      { name: 'a', size: 3 },
      { name: 'b', size: 4 },
    ],
  })

  test('each gets exactly its bytes', async () => {
    const transfer = await opened(Buffer.concat([twoItems, Buffer.from('abcdefg')]))
    expect((await readItem(transfer, 3)).toString()).toBe('abc')
    expect((await readItem(transfer, 4)).toString()).toBe('defg')
    await transfer.finish()
  })

  test('the first surplus byte is corrupt', async () => {
    const attacker = await opened(Buffer.concat([twoItems, Buffer.from('abcdefgh')]))
    await readItem(attacker, 3)
    await readItem(attacker, 4)
    expect(await pairingErrorOf(attacker.finish())).toBe('corrupt')
  })

  test('so is a surplus frame', async () => {
    const items = headerOf({ items: [{ name: 'a', size: 65_536 - 4 }] })
    const size = 65_536 - items.length
    const attacker = await opened(
      Buffer.concat([headerOf({ items: [{ name: 'a', size }] }), Buffer.alloc(size + 10)]),
      ONE_CHUNK_FRAMES,
    )
    await readItem(attacker, size)
    expect(await pairingErrorOf(attacker.finish())).toBe('corrupt')
  })

  test('a missing byte is incomplete', async () => {
    const attacker = await opened(Buffer.concat([twoItems, Buffer.from('abcdef')]))
    await readItem(attacker, 3)
    expect(await pairingErrorOf(readItem(attacker, 4))).toBe('incomplete')
  })

  test('a pipe ends where its message ends', async () => {
    const transfer = await opened(Buffer.concat([headerOf({ items: [{ name: 'a' }] }), Buffer.alloc(100_000, 7)]))
    expect(await readItem(transfer, undefined)).toHaveLength(100_000)
    await transfer.finish()
  })

  holds(
    'items of any sizes come out as they went in, over frames of any size',
    100,
    fc.record({
      sizes: fc.array(fc.oneof(fc.constantFrom(0, 1, 65_536, 70_000), fc.nat(1_000)), { minLength: 1, maxLength: 6 }),
      maxFrameBytes: fc.constantFrom(ONE_CHUNK_FRAMES, 2 * 65_552 + 9, 262_272),
    }),
    async ({ sizes, maxFrameBytes }) => {
      const items = sizes.map((size, i) => ({ name: `item ${i}`, size }))
      const bodies = sizes.map((size, i) => Buffer.alloc(size, i + 1))
      const transfer = await opened(Buffer.concat([encodeHeader(items), ...bodies]), maxFrameBytes)
      for (const [i, size] of sizes.entries()) expect(Buffer.compare(await readItem(transfer, size), bodies[i])).toBe(0)
      await transfer.finish()
    },
  )
})

test('the total is unknown as soon as one size is', () => {
  expect(
    totalOf([
      { name: 'a', size: 1 },
      { name: 'b', size: 2 },
    ]),
  ).toBe(3)
  expect(totalOf([{ name: 'a' }])).toBe(undefined)
})

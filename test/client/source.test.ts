import { describe, expect, test } from 'vitest'
import { blobSource, bytesSource, piecesOfSource, type Source, streamSource } from '../../src/client/source.ts'
import { pairingErrorOf } from './support.ts'

async function readAll(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return Buffer.concat(all).toString()
}

const streamOf = (...texts: string[]) =>
  new ReadableStream<Uint8Array>({
    start: (controller) => {
      for (const text of texts) controller.enqueue(Buffer.from(text))
      controller.close()
    },
  })

function sourceOf(size: number | undefined, ...texts: string[]): Source {
  const open = async function* () {
    for (const text of texts) yield Buffer.from(text)
  }
  return { name: 'a', ...(size === undefined ? {} : { size }), open }
}

describe('sources', () => {
  test('bytes and blobs can be read any number of times, and know their size', async () => {
    const bytes = bytesSource(Buffer.from('hello'), 'a.txt', 'text/plain')
    const blob = blobSource(new Blob(['hel', 'lo'], { type: 'text/plain' }), 'a.txt')
    for (const source of [bytes, blob]) {
      expect(source).toMatchObject({ name: 'a.txt', size: 5, type: 'text/plain' })
      expect(source.once).toBe(undefined)
      expect([await readAll(source.open()), await readAll(source.open())]).toEqual(['hello', 'hello'])
    }
  })

  test('a type that is not known is left out', () => {
    expect(bytesSource(new Uint8Array(), 'a')).not.toHaveProperty('type')
    expect(blobSource(new Blob([]), 'a')).not.toHaveProperty('type')
  })

  test('a stream has no size and is read once', async () => {
    const source = streamSource(streamOf('hel', 'lo'), 'pipe')
    expect(source).toMatchObject({ name: 'pipe', once: true })
    expect(source.size).toBe(undefined)
    expect(await readAll(source.open())).toBe('hello')
    await expect(readAll(source.open())).rejects.toThrow()
  })

  test('a stream that is not read to its end is cancelled', async () => {
    let cancelled = false
    const stream = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(10)),
      cancel: () => {
        cancelled = true
      },
    })
    for await (const _ of streamSource(stream, 'pipe').open()) break
    expect(cancelled).toBe(true)
  })
})

describe('a source held to its size', () => {
  test.each<[string, Source, string | undefined]>([
    ['as long as announced', sourceOf(5, 'he', '', 'llo'), undefined],
    ['of unknown size', sourceOf(undefined, 'hello'), undefined],
    ['empty, as announced', sourceOf(0), undefined],
    ['a byte short', sourceOf(6, 'hello'), 'source_changed'],
    ['a byte too long', sourceOf(4, 'hello'), 'source_changed'],
  ])('one %s', async (_, source, expected) => {
    expect(await pairingErrorOf(readAll(piecesOfSource(source, source.size)))).toBe(expected)
  })

  test('gives out nothing of a piece that goes too far', async () => {
    let given = 0
    const read = async () => {
      for await (const piece of piecesOfSource(sourceOf(4, 'abc', 'de'), 4)) given += piece.length
    }
    expect(await pairingErrorOf(read())).toBe('source_changed')
    expect(given).toBe(3)
  })
})

const handedOn = (view: Uint8Array<ArrayBuffer>) => {
  structuredClone(view.buffer, { transfer: [view.buffer] })
  return view
}
const readAlready = (stream: ReadableStream<Uint8Array>) => {
  stream.getReader()
  return stream
}

test.each<[string, () => ArrayBuffer | ArrayBufferView]>([
  ['an ArrayBuffer', () => new Uint8Array([1, 2, 3]).buffer],
  ['a view of a part of one', () => new DataView(new Uint8Array([9, 1, 2, 3, 9]).buffer, 1, 3)],
  ['a Buffer of Node', () => Buffer.from([1, 2, 3])],
])('%s is sent as its bytes', async (_, bytes) => {
  const source = bytesSource(bytes(), 'a')
  expect(source.size).toBe(3)
  const pieces: number[] = []
  for await (const piece of source.open()) pieces.push(...piece)
  expect(pieces).toEqual([1, 2, 3])
})

test.each<[string, () => unknown]>([
  ['a text for bytes', () => bytesSource('abc' as unknown as Uint8Array, 'a')],
  ['nothing for bytes', () => bytesSource(undefined as unknown as Uint8Array, 'a')],
  ['numbers for bytes', () => bytesSource([1, 2] as unknown as Uint8Array, 'a')],
  ['a number for bytes', () => bytesSource(1e16 as unknown as ArrayBuffer, 'a')],
  ['what only has a length for bytes', () => bytesSource({ byteLength: 3 } as unknown as ArrayBuffer, 'a')],
  ['a view of what was handed on', () => bytesSource(handedOn(new Uint8Array(3)), 'a')],
  ['a stream that is being read', () => streamSource(readAlready(new Blob(['abc']).stream()), 'a')],
  ['a path for a Blob', () => blobSource('/etc/hosts' as unknown as Blob, 'a')],
  ['a Blob for a stream', () => streamSource(new Blob() as unknown as ReadableStream<Uint8Array>, 'a')],
])('%s is refused at once, as a TypeError', (_, use) => {
  expect(use).toThrow(TypeError)
})

test('a source that gives texts is not sent as something else', async () => {
  const source = { name: 'a', open: () => ['abc'] as unknown as AsyncIterable<Uint8Array> }
  await expect(piecesOfSource(source, undefined).next()).rejects.toMatchObject({
    code: 'source_failed',
    message: expect.stringContaining('It is a.'),
  })
})

import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { requireSources } from '../../src/client/refusal.ts'
import {
  blobSource,
  bytesSource,
  linesOf,
  piecesOfSource,
  type Source,
  streamSource,
  TEXT_TYPE,
  textSource,
} from '../../src/client/source.ts'
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
    expect(source.open).toThrow()
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

test.each<[string, () => ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>]>([
  ['a web stream', () => streamOf('hel', 'lo')],
  ['a Readable of Node', () => Readable.from([Buffer.from('hel'), Buffer.from('lo')])],
  ['a generator', () => sourceOf(undefined, 'hel', 'lo').open()],
])('%s is sent as it comes, and is not sent a second time as nothing', async (_, stream) => {
  const source = streamSource(stream(), 'pipe', 'text/plain')
  expect(source).toMatchObject({ name: 'pipe', type: 'text/plain', once: true })
  expect(await readAll(source.open())).toBe('hello')
  expect(await pairingErrorOf(readAll(piecesOfSource(source, undefined)))).toBe('already_sent')
})

test('a Readable that fails before it is read fails the transfer, not the process', async () => {
  const file = createReadStream('/nowhere/at/all')
  const source = streamSource(file, 'pipe')
  await new Promise<void>((resolve) => file.on('close', () => resolve()))
  const reading = readAll(piecesOfSource(source, undefined))
  await expect(reading).rejects.toMatchObject({ code: 'source_failed', cause: { code: 'ENOENT' } })
})

test('a text is shown at the other device, or a file when it has a name', async () => {
  expect(textSource('grüß')).toMatchObject({ name: 'text', size: 6, type: TEXT_TYPE })
  const file = textSource('grüß', 'note.txt')
  expect(file).toMatchObject({ name: 'note.txt', size: 6, type: 'text/plain' })
  expect(await readAll(file.open())).toBe('grüß')
})

test('a File has its own name and time, below the folder that was chosen', () => {
  const file = new File(['abc'], 'a.txt', { lastModified: 1_700_000_000_000 })
  expect(blobSource(file)).toMatchObject({ name: 'a.txt', size: 3, modified: 1_700_000_000_000 })
  expect(blobSource(file, 'b.txt').name).toBe('b.txt')
  expect(blobSource(Object.assign(file, { webkitRelativePath: 'album/a.txt' })).name).toBe('album/a.txt')
})

const encoded = () => Readable.from(['abc']).setEncoding('utf8')
const consumed = async () => {
  const stream = Readable.from([Buffer.from('abc')])
  for await (const _ of stream) break
  return stream
}

test('a Readable of Node that was read, or that gives texts, is refused at once', async () => {
  const attackers = [await consumed(), encoded(), Readable.from([]).destroy()]
  for (const attacker of attackers) expect(() => streamSource(attacker, 'a')).toThrow(/nobody has read|setEncoding/)
})

test.each<[string, () => unknown, string]>([
  ['a text for bytes', () => bytesSource('abc' as never, 'a'), 'textSource'],
  ['a Blob for bytes', () => bytesSource(new Blob() as never, 'a'), 'blobSource'],
  ['a stream for a Blob', () => blobSource(streamOf('a') as never, 'a'), 'streamSource'],
  ['bytes for a stream', () => streamSource(new Uint8Array(1) as never, 'a'), 'bytesSource'],
  ['bytes for a text', () => textSource(new ArrayBuffer(1) as never, 'a'), 'bytesSource'],
  ['a promise for bytes', () => bytesSource(new Blob().arrayBuffer() as never, 'a'), 'await this promise'],
  ['a promise among sources', () => requireSources([Promise.resolve() as never]), 'await this promise'],
  ['a File for sources', () => requireSources(new File([], 'a') as never), 'blobSource'],
  ['a text among sources', () => requireSources(['abc' as never]), 'textSource'],
  ['a stream among sources', () => requireSources([Readable.from([]) as never]), 'streamSource'],
  ['bytes without a name', () => bytesSource(new Uint8Array(1), undefined as never), 'has a name'],
  ['a Blob without a name', () => blobSource(new Blob()), 'has a name'],
  ['a source without a name', () => requireSources([{ open: () => streamOf() } as never]), 'has a name'],
])('%s is refused at once, with what to give instead: %#', (_, use, advice) => {
  expect(use).toThrow(TypeError)
  expect(use).toThrow(advice)
})

test.each<[string, Partial<Source>, string]>([
  ['a name that leads elsewhere', { name: '../a' }, 'none is . or ..'],
  ['a size that is no number of bytes', { size: 1.5 }, 'size is a whole number'],
  ['a time as Node has it, with fractions', { modified: 1.5 }, 'modified is a whole number of milliseconds'],
  ['a type of any length', { type: 'x'.repeat(256) }, '255'],
  ['a folder that has a size', { dir: true, size: 1 }, 'a folder has no size'],
])('%s is refused at once, with what it may be', (_, attacker, advice) => {
  const lines = () => linesOf([{ ...bytesSource(new Uint8Array(1), 'a'), ...attacker }])
  expect(lines).toThrow(RangeError)
  expect(lines).toThrow(advice)
})

test.each<[string[], string]>([
  [['a', 'b', 'a'], '"a" is there twice'],
  [['a', 'a'], '"a" is there twice'],
  [['a/b', 'a/b/c'], '"a/b/c" is there twice, or lies under another file'],
  [['a/b', 'c', 'a/d'], '"a" is there twice, or its files do not stand together'],
])('sources called %j are refused at once, and it is said which', (names, advice) => {
  const lines = () => linesOf(names.map((name) => bytesSource(new Uint8Array(1), name)))
  expect(lines).toThrow(advice)
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

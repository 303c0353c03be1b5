import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { open, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 as nodeCrc32 } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import type { Entry } from '../../src/client/index.ts'
import { crc32 } from '../../src/web/save/crc.ts'
import { MemorySink } from '../../src/web/save/memory.ts'
import { PickedSink } from '../../src/web/save/picked.ts'
import { thingsOf } from '../../src/web/save/things.ts'
import { directory, localHeader, type ZipEntry } from '../../src/web/save/zip.ts'

const GIB = 1024 ** 3
const MODIFIED = new Date(2024, 4, 6, 7, 8, 10).getTime()

const FOLDER: readonly Entry[] = [
  { path: 'holiday/day 1/photo.jpg', size: 11, modified: MODIFIED },
  { path: 'holiday/day 1/صورة.png', size: 0, modified: 0 },
  { path: 'holiday/gone.txt', size: 4, modified: MODIFIED },
  { path: 'holiday/run.sh', size: 3, modified: MODIFIED, x: true },
  { path: 'holiday/nothing', dir: true },
]
const CONTENT = ['hello world', '', 'gone', 'run'].map((text) => new TextEncoder().encode(text))
const GONE = 2

const hasUnzip = spawnSync('unzip', ['-v']).status === 0 || process.env.REQUIRE_ALL === '1'
const folder = mkdtempSync(join(tmpdir(), 'pairlay-zip-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function* pieces(...all: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* all
}

/** Stand-in for a file, as a browser has it. */
class FakeFile {
  bytes = new Uint8Array()
  #written = new Uint8Array()
  readonly name = 'holiday.zip'

  async getFile() {
    return { size: this.bytes.length }
  }

  async createWritable() {
    return {
      write: async ({ position, data }: { position: number; data: Uint8Array }) => {
        const size = Math.max(this.#written.length, position + data.length)
        const all = new Uint8Array(size)
        all.set(this.#written)
        all.set(data, position)
        this.#written = all
      },
      close: async () => {
        this.bytes = this.#written
      },
      abort: async () => {},
    }
  }
}

async function received(sink: MemorySink | PickedSink): Promise<void> {
  const partial = await sink.open('', FOLDER)
  for (const [index, bytes] of CONTENT.entries()) await partial.write(index, 0, pieces(bytes))
  await partial.finish([GONE])
}

const unzip = (...args: string[]) =>
  execFileSync('unzip', args, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C.UTF-8' } })

function expectHoliday(path: string): void {
  expect(unzip('-t', path)).toContain('No errors detected')
  const listed = unzip('-Z1', path).trim().split('\n')
  expect(listed).toEqual(['holiday/day 1/photo.jpg', 'holiday/day 1/صورة.png', 'holiday/run.sh', 'holiday/nothing/'])
  const long = unzip('-Zl', path)
  expect(long).toMatch(/^-rwxr-xr-x .*run\.sh$/m)
  expect(long).toMatch(/^drwxr-xr-x .*nothing\/$/m)
  expect(long).toMatch(/24-May-06 07:08 holiday\/day 1\/photo\.jpg$/m)
  expect(unzip('-p', path, 'holiday/day 1/photo.jpg')).toBe('hello world')
}

test('CRC-32 is that of zlib, in one piece or several', () => {
  const bytes = Uint8Array.from({ length: 5_000 }, (_, n) => (n * 31) % 251)
  expect(crc32(bytes)).toBe(nodeCrc32(bytes))
  expect(crc32(bytes.subarray(17), crc32(bytes.subarray(0, 17)))).toBe(nodeCrc32(bytes))
  expect(crc32(new Uint8Array())).toBe(0)
})

describe.skipIf(!hasUnzip)('a folder as an archive', () => {
  test('in memory', async () => {
    const sink = new MemorySink()
    await received(sink)
    const [file, ...more] = await sink.files()
    expect(more).toEqual([])
    expect(file?.name).toBe('holiday.zip')
    const path = join(folder, 'memory.zip')
    await writeFile(path, new Uint8Array(await (file?.blob ?? new Blob()).arrayBuffer()))
    expectHoliday(path)
  })

  test('at a place that was picked, and there only once it is whole', async () => {
    const place = new FakeFile()
    const sink = new PickedSink(place as unknown as FileSystemFileHandle)
    const partial = await sink.open('', FOLDER)
    for (const [index, bytes] of CONTENT.entries()) await partial.write(index, 0, pieces(bytes))
    expect(place.bytes.length).toBe(0)
    await partial.finish([GONE])
    const path = join(folder, 'picked.zip')
    await writeFile(path, place.bytes)
    expectHoliday(path)
  })

  test('beyond 4 GiB, in a file and behind it', async () => {
    const large: ZipEntry = { path: 'large', size: 5 * GIB, crc: 0, modified: MODIFIED, isExecutable: false }
    const small: ZipEntry = { ...large, path: 'small', size: 5, crc: crc32(CONTENT[0]?.subarray(0, 5) as Uint8Array) }
    const path = join(folder, 'large.zip')
    const file = await open(path, 'w')
    const [first, second] = [localHeader(large), localHeader(small)]
    const at = first.length + large.size
    await file.write(first, 0, first.length, 0)
    await file.write(second, 0, second.length, at)
    await file.write('hello', at + second.length)
    const end = at + second.length + 5
    const list = directory([large, small], [0, at], end)
    await file.write(list, 0, list.length, end)
    await file.close()
    expect(unzip('-p', path, 'small')).toBe('hello')
    expect(unzip('-Zl', path)).toContain(String(5 * GIB))
  })

  test('of more files than 16 bits can count', async () => {
    const entries = Array.from({ length: 66_000 }, (_, n): ZipEntry => {
      return { path: `many/${n}`, size: 0, crc: 0, modified: MODIFIED, isExecutable: false }
    })
    const parts: Uint8Array[] = []
    const offsets: number[] = []
    let at = 0
    for (const entry of entries) {
      const header = localHeader(entry)
      parts.push(header)
      offsets.push(at)
      at += header.length
    }
    const path = join(folder, 'many.zip')
    await writeFile(path, Buffer.concat([...parts, directory(entries, offsets, at)]))
    expect(unzip('-Z1', path).trim().split('\n')).toHaveLength(66_000)
    expect(readFileSync(path).length).toBeGreaterThan(at)
  })
})

describe('the files that come of an offer', () => {
  test('equal names differ, a folder is one, and an empty one too', () => {
    const entries: Entry[] = [
      { path: 'a?.txt', size: 1 },
      { path: 'a:.txt', size: 1 },
      { path: 'a', dir: true },
      { path: 'b/c', size: 1 },
      { path: 'b/d', size: 1 },
    ]
    expect(thingsOf(entries)).toEqual([
      { name: 'a_.txt', isArchive: false, entries: [0] },
      { name: 'a_ (2).txt', isArchive: false, entries: [1] },
      { name: 'a.zip', isArchive: true, entries: [2] },
      { name: 'b.zip', isArchive: true, entries: [3, 4] },
    ])
  })

  test('more than a hundred are one archive', () => {
    const entries = Array.from({ length: 101 }, (_, n): Entry => ({ path: `${n}`, size: 1 }))
    expect(thingsOf(entries.slice(1))).toHaveLength(100)
    expect(thingsOf(entries)).toMatchObject([{ name: 'Received.zip', isArchive: true }])
  })
})

describe('what is held in memory', () => {
  test('ends where there is no room, and not a byte before', async () => {
    const sink = new MemorySink(10)
    const partial = await sink.open('', [{ path: 'pipe' }])
    await partial.write(0, 0, pieces(new Uint8Array(10)))
    await expect(partial.write(0, 0, pieces(new Uint8Array(1)))).rejects.toMatchObject({ name: 'QuotaExceededError' })
  })

  test('has the same bytes, whatever the pieces were', async () => {
    const bytes = Uint8Array.from({ length: 3 * 1024 * 1024 + 5 }, (_, n) => n % 253)
    const sink = new MemorySink()
    const partial = await sink.open('', [{ path: 'a.bin', size: bytes.length }])
    await partial.write(0, 0, pieces(bytes.subarray(0, 7), bytes.subarray(7, 2_500_000), bytes.subarray(2_500_000)))
    await partial.finish([])
    const [file] = await sink.files()
    const blob = file?.blob ?? new Blob()
    expect(Buffer.compare(new Uint8Array(await blob.arrayBuffer()), bytes)).toBe(0)
  })
})

import { describe, expect, test } from 'vitest'
import { PackedList } from '../../../src/client/list.ts'
import { ENTRIES_MAX, type Entry, EntryReader, encodeEntries } from '../../../src/client/transfer/entries.ts'
import { decodeHead, encodeHead } from '../../../src/client/transfer/kinds.ts'
import type { Part } from '../../../src/client/transfer/lines.ts'
import { encodeParts } from '../../../src/client/transfer/resume.ts'
import { pairingErrorOf } from '../support.ts'

/** Messages as bytes: how long they are, and what a reader makes of words of a later version. */

/** The plaintext of a message without a body. */
function message(json: string): Uint8Array {
  const bytes = Buffer.from(`\0\0\0\0${json}`)
  bytes.writeUInt32BE(bytes.length - 4)
  return bytes
}

describe('a message', () => {
  test('has a head of at most 4,096 bytes, spaces included', async () => {
    expect(decodeHead(message('{"kind":"bye"}'.padEnd(4_096))).bodyAt).toBe(4_100)
    const attacker = () => decodeHead(message('{"kind":"bye"}'.padEnd(4_097)))
    expect(await pairingErrorOf(attacker)).toBe('corrupt')
  })

  test.each([0, 1, 200, 256, 3_000, 4_000])('with a body of %d bytes is as long as one of 256 more or less', (body) => {
    const bytes = encodeHead({ kind: 'post' }, body)
    expect((bytes.length + body) % 256).toBe(0)
    expect(decodeHead(bytes)).toEqual({ head: { kind: 'post' }, bodyAt: bytes.length })
  })

  test('of 4,096 bytes or more is not filled up', () => {
    expect(encodeHead({ kind: 'bye' }, 4_096)).toHaveLength(4 + '{"kind":"bye"}'.length)
  })

  test.each([
    ['{"kind":"bye","more":1}   ', { kind: 'bye' }],
    ['{"kind":"dance"}', { kind: 'unknown' }],
    ['{"kind":"answer","offer":1,"accepted":false,"reason":"tired"}', { reason: 'declined' }],
    ['{"kind":"stop","offer":1,"reason":"tired"}', { reason: 'failed' }],
    ['{"kind":"withdraw","offer":1,"reason":"tired"}', { reason: 'failed' }],
    ['{"kind":"skip","offer":1,"entry":0,"reason":"tired"}', { reason: 'failed' }],
  ])('of a later version is read as far as it is known: %s', (json, head) => {
    expect(decodeHead(message(json)).head).toMatchObject(head)
  })
})

test('what a taker has is told without a digest of it', () => {
  const parts = new PackedList<Part>()
  parts.push({ entry: 0, bytes: 5, sha256: 'secret' })
  expect(Buffer.from(encodeParts(parts)).toString()).toBe('{"entry":0,"bytes":5}\n')
})

test.each<[string, Entry]>([
  ['a path of 128 segments', { path: Array(128).fill('a').join('/') }],
  ['a segment of 255 bytes', { path: `${'é'.repeat(127)}a` }],
  ['a path of 4,096 bytes', { path: `${'x'.repeat(240)}/`.repeat(16) + 'x'.repeat(240) }],
  ['a type of 255 characters', { path: 'a', type: 'x'.repeat(255) }],
])('%s is as long as it may be, at both ends', (_, field) => {
  const entry = { ...field, size: 5 }
  const reader = new EntryReader(1)
  reader.push(encodeEntries([entry]))
  expect([...reader.end()]).toEqual([entry])
})

test('a line has at most 8,192 bytes, its end included', async () => {
  const line = (length: number) => Buffer.from(`${'{"path":"a","size":5'.padEnd(length - 2)}}\n`)
  const reader = new EntryReader(1)
  reader.push(line(8_192))
  expect([...reader.end()]).toEqual([{ path: 'a', size: 5 }])
  const attacker = () => new EntryReader(1).push(line(8_193))
  expect(await pairingErrorOf(attacker)).toBe('corrupt')
})

test('a list has at most 16 MiB of lines, at both ends', async () => {
  const entries = Array.from({ length: 4_200 }, (_, n) => ({
    path: `${n}/${Array(16).fill('x'.repeat(250)).join('/')}`,
  }))
  const dirs = entries.map((entry) => ({ ...entry, dir: true as const }))
  expect(() => encodeEntries(dirs)).toThrow('names of more than 16777216 bytes')
  const reader = new EntryReader(ENTRIES_MAX)
  const attacker = () => {
    for (const entry of dirs) reader.push(Buffer.from(`${JSON.stringify(entry)}\n`))
  }
  expect(await pairingErrorOf(attacker)).toBe('corrupt')
})

import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TransferStore } from '../../src/node/transfer-store.ts'

const DAY_MS = 86_400_000
const tokenOf = (n: number) => Buffer.alloc(16, n).toString('base64url')
let folder: string
const at = (name: string) => join(folder, 'transfers', name)
const names = () => readdir(join(folder, 'transfers'))

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pairlay-transfers-'))
})
afterEach(() => rm(folder, { recursive: true }))

function store(now = 0): TransferStore {
  return new TransferStore(
    join(folder, 'transfers'),
    (error) => expect.unreachable(error.message),
    () => now,
  )
}

describe('tokens of transfers', () => {
  test('are kept by the same things in the same order, the newest first, until they are removed', async () => {
    await store(1).put(tokenOf(1), ['/a', '/b'])
    await store(2).put(tokenOf(2), ['/a', '/b'])
    await store(3).put(tokenOf(3), ['/b', '/a'])
    expect(await store(4).tokensOf(['/a', '/b'])).toEqual([tokenOf(2), tokenOf(1)])
    await store(5).put(tokenOf(1), ['/a', '/b'])
    expect(await store(6).tokensOf(['/a', '/b'])).toEqual([tokenOf(1), tokenOf(2)])
    await store(7).remove(tokenOf(1))
    expect(await store(8).tokensOf(['/a', '/b'])).toEqual([tokenOf(2)])
  })

  test('of processes that send at the same time are all kept', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, n) => store(n).put(tokenOf(n), ['/a'])))
    expect(await store(20).tokensOf(['/a'])).toHaveLength(20)
  })

  test('are forgotten after 30 days, and beyond the newest 64', async () => {
    await store(0).put(tokenOf(100), ['/old'])
    expect(await store(30 * DAY_MS - 1).tokensOf(['/old'])).toEqual([tokenOf(100)])
    expect(await store(30 * DAY_MS).tokensOf(['/old'])).toEqual([])
    for (let n = 0; n < 66; n++) await store(31 * DAY_MS + n).put(tokenOf(n), ['/a'])
    const tokens = await store(31 * DAY_MS + 66).tokensOf(['/a'])
    expect([tokens.length, tokens[0], tokens.at(-1)]).toEqual([64, tokenOf(65), tokenOf(2)])
    expect(await names()).toHaveLength(64)
  })

  test('are for their owner alone', async () => {
    await store().put(tokenOf(1), ['/secret'])
    const [name = ''] = await names()
    expect((await stat(at(name))).mode & 0o777).toBe(0o600)
    expect((await stat(join(folder, 'transfers'))).mode & 0o777).toBe(0o700)
    expect(name).not.toContain('secret')
  })

  test('that cannot be read do not count, and others still do', async () => {
    await store(1).put(tokenOf(1), ['/a'])
    await store(2).put(tokenOf(2), ['/a'])
    const [first = '', second = ''] = await names()
    await writeFile(at(first), (await readFile(at(first), 'utf8')).slice(0, 20))
    expect(await store(3).tokensOf(['/a'])).toHaveLength(1)
    await writeFile(at(second), 'null')
    expect(await store(3).tokensOf(['/a'])).toEqual([])
  })

  test('that cannot be kept are told of', async () => {
    await writeFile(join(folder, 'file'), '')
    const told: string[] = []
    const broken = new TransferStore(join(folder, 'file'), ({ code = '' }) => void told.push(code))
    await broken.put(tokenOf(1), ['/a'])
    expect(told).toEqual([expect.stringMatching(/^E(NOTDIR|EXIST)$/)])
    expect(await broken.tokensOf(['/a'])).toEqual([])
  })
})

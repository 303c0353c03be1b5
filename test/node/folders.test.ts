import { execFileSync, spawnSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { save } from '../../src/client/transfer/partials.ts'
import { pathSources } from '../../src/node/file-sources.ts'
import { PartialFolder } from '../../src/node/partial-folder.ts'
import { TransferStore } from '../../src/node/transfer-store.ts'
import { pairingErrorOf } from '../client/support.ts'
import { nextOffer, pair } from '../client/transfer/pair.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
let home: string
let there: string
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'pairlay-home-'))
  there = await mkdtemp(join(tmpdir(), 'pairlay-there-'))
})
afterEach(async () => {
  for (const folder of [home, there]) await rm(folder, { recursive: true })
})

async function handOver(path: string, cutAfter = Number.POSITIVE_INFINITY) {
  const { sender, receiver, until, cut } = pair()
  const { sources, leftOut } = (await pathSources(path)) ?? expect.unreachable()
  const transfers = new TransferStore(join(home, 'state', 'transfers'), (error) => expect.unreachable(error.message))
  const has: number[] = []
  const sending = pairingErrorOf(sender.send(sources, { transfers, onAnswer: (bytes) => has.push(bytes) }))
  const offer = await until(nextOffer(receiver))
  const onProgress = ({ bytes }: { bytes: number }) => void (bytes >= cutAfter && cut())
  const saving = pairingErrorOf(save(offer, new PartialFolder({ directory: there, mode: 0o644 }), { onProgress }))
  return { errors: await until(Promise.all([sending, saving])), leftOut, has }
}

const isSame = () => execFileSync('diff', ['-r', join(home, 'photos'), join(there, 'photos')]).toString()

/** Looks at a path as a user who owns nothing, with modules that were loaded before. */
const AS_ANOTHER = `
  import { pathSources } from 'pairlay/node'
  if (process.getuid() === 0) process.setuid(65534)
  const { sources, leftOut } = await pathSources(process.argv[1])
  const read = async ({ name, open }) => {
    try {
      for await (const _ of open());
      return [name, 'read']
    } catch ({ code }) {
      return [name, code]
    }
  }
  console.log(JSON.stringify({ leftOut, read: await Promise.all([...sources].map(read)) }))
`

test('what a user cannot read of a folder is told before it is offered', async () => {
  const folder = join(home, 'mixed')
  await mkdir(join(folder, 'closed'), { recursive: true })
  for (const name of ['open', 'secret']) await writeFile(join(folder, name), name)
  await chmod(home, 0o755)
  for (const name of ['closed', 'secret']) await chmod(join(folder, name), 0)
  const args = ['--input-type=module', '-e', AS_ANOTHER, folder]
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' })
  await chmod(join(folder, 'closed'), 0o700)
  expect(stderr).toBe('')
  expect(JSON.parse(stdout)).toEqual({
    leftOut: ['closed', 'secret'].map((name) => ({ path: join(folder, name), why: 'unreadable' })),
    read: [['mixed/open', 'read']],
  })
})

test('a file of which other bytes came in the place of some while it was read has changed', async () => {
  const path = join(home, 'file')
  await writeFile(path, Buffer.alloc(600_000, 'old'))
  const { sources } = (await pathSources(path)) ?? expect.unreachable()
  const reading = async () => {
    for await (const _ of sources.at(0)?.open() ?? []) {
      await writeFile(path, Buffer.alloc(600_000, 'new'))
      await utimes(path, 1, 1)
    }
  }
  expect(await pairingErrorOf(reading())).toBe('source_changed')
})

test('a link that was put in the place of a file is not followed', async () => {
  const path = join(home, 'file')
  await writeFile(path, 'mine')
  await writeFile(join(home, 'secret'), 'secret')
  const { sources } = (await pathSources(path)) ?? expect.unreachable()
  await rm(path)
  await symlink(join(home, 'secret'), path)
  await expect(sources.at(0)?.open()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'ELOOP' })
})

describe('a folder', () => {
  beforeEach(async () => {
    await mkdir(join(home, 'photos', 'summer', 'empty'), { recursive: true })
    await writeFile(join(home, 'photos', 'film.mp4'), Buffer.alloc(9_000_000, 'film'))
    await writeFile(join(home, 'photos', 'summer', '.hidden'), 'h')
    await writeFile(join(home, 'photos', 'summer', 'run.sh'), '#!/bin/sh\n', { mode: 0o755 })
  })

  test('arrives as it is, with nothing left of its temporary name', async () => {
    await symlink('/etc/passwd', join(home, 'photos', 'link'))
    const { errors, leftOut } = await handOver(join(home, 'photos'))
    expect(errors).toEqual([undefined, undefined])
    expect([...leftOut]).toEqual([{ path: join(home, 'photos', 'link'), why: 'link' }])
    await rm(join(home, 'photos', 'link'))
    expect(isSame()).toBe('')
    expect(await readdir(there)).toEqual(['photos'])
    expect(await readdir(join(there, 'photos', 'summer', 'empty'))).toEqual([])
  })

  test('that was cut has no final name, and continues where it was', async () => {
    const first = await handOver(join(home, 'photos'), 2_000_000)
    expect(first.errors).toEqual(['session_lost', 'session_lost'])
    expect((await readdir(there)).filter((name) => !/^photos\.[0-9a-z]{26}\.part$/.test(name))).toEqual([])
    const second = await handOver(join(home, 'photos'))
    expect(second.errors).toEqual([undefined, undefined])
    expect(second.has[0]).toBeGreaterThanOrEqual(2_000_000)
    expect(isSame()).toBe('')
    expect(await readdir(there)).toEqual(['photos'])
    expect(await readdir(join(home, 'state', 'transfers'))).toEqual([])
  })

  test('that was cut and has other files by now continues all the same, and is the same at the end', async () => {
    await writeFile(join(home, 'photos', 'a.txt'), 'gone')
    await handOver(join(home, 'photos'), 2_000_000)
    await rm(join(home, 'photos', 'a.txt'))
    await writeFile(join(home, 'photos', 'b.txt'), 'new')
    const second = await handOver(join(home, 'photos'))
    expect(second.errors).toEqual([undefined, undefined])
    expect(second.has[0]).toBeGreaterThanOrEqual(1_900_000)
    expect(isSame()).toBe('')
  })

  test('with a link put into what is there begins anew', async () => {
    await handOver(join(home, 'photos'), 2_000_000)
    const [part = ''] = await readdir(there)
    await symlink('/etc/passwd', join(there, part, 'link'))
    const second = await handOver(join(home, 'photos'))
    expect(second).toMatchObject({ errors: [undefined, undefined], has: [0] })
    expect(isSame()).toBe('')
  })
})

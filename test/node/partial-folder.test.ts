import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fstatSync, readdirSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import {
  chown,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Entry } from '../../src/client/index.ts'
import { partPath } from '../../src/node/local-paths.ts'
import { flush } from '../../src/node/open-files.ts'
import { PartialFolder, type PartialFolderOptions, type SavedPartial } from '../../src/node/partial-folder.ts'

vi.mock('node:fs/promises', { spy: true })
vi.mock('../../src/node/open-files.ts', { spy: true })
// The pauses between tries of a rename.
vi.mock('node:timers/promises', () => ({ setTimeout: async () => {} }))

const TOKEN = Buffer.alloc(16, 7).toString('base64url')
let directory: string
const at = (name: string) => join(directory, name)

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pairlay-partial-'))
})
afterEach(async () => {
  vi.resetAllMocks()
  await rm(directory, { recursive: true })
})

function open(entries: readonly Entry[], options: Partial<PartialFolderOptions> = {}): Promise<SavedPartial> {
  return new PartialFolder({ directory, ...options }).open(TOKEN, entries)
}

async function write(partial: SavedPartial, entry: number, text: string): Promise<void> {
  await partial.write(entry, 0, pieces(text))
}

async function* pieces(text: string) {
  yield Buffer.from(text)
}

/** An offer of one file, written and made final. */
async function save(name: string, text: string, options: Partial<PartialFolderOptions> = {}): Promise<void> {
  const partial = await open([{ path: name, size: text.length }], options)
  try {
    await write(partial, 0, text)
    await partial.finish([])
  } finally {
    await partial.leave()
  }
}

/** Everything in the directory but locks, folders with a slash behind them. */
async function list(): Promise<string[]> {
  const all = await readdir(directory, { withFileTypes: true, recursive: true })
  const path = (entry: (typeof all)[number]) => join(entry.parentPath, entry.name).slice(directory.length + 1)
  return all
    .filter(({ name }) => !name.startsWith('.'))
    .map((entry) => path(entry) + (entry.isDirectory() ? '/' : ''))
    .sort()
}

test.each([-86_400_000, 1_000_000_000_000, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER])(
  'a file and an empty folder have the time that the offerer says, as far as the disk has it: %d ms',
  async (modified) => {
    const partial = await open([
      { path: 'd/file', size: 1, modified },
      { path: 'd/empty', dir: true, modified },
    ])
    await write(partial, 0, 'x')
    await partial.finish([])
    await partial.leave()
    const times = await Promise.all(['d/file', 'd/empty'].map(async (name) => (await stat(at(name))).mtimeMs))
    expect(times[0]).toBe(times[1])
    if (Math.abs(modified) < 2 ** 41) expect(times).toEqual([modified, modified])
  },
)

describe('a partial', () => {
  const big = { size: 1_048_576 }
  const part = partPath('thing', TOKEN)
  const tokens = () => new PartialFolder({ directory }).tokens()

  async function leavePartial(...paths: readonly string[]): Promise<void> {
    const partial = await open(paths.map((path) => ({ path, ...big })))
    for (const entry of paths.keys()) await write(partial, entry, 'some')
    await partial.leave()
  }

  test('loses at once what the new list has not, and what is a folder in the place of a file', async () => {
    await leavePartial('thing/same', 'thing/gone', 'thing/sub/gone', 'thing/file', 'thing/folder/gone')
    const partial = await open(['same', 'file/below', 'folder'].map((name) => ({ path: `thing/${name}`, ...big })))
    expect(await list()).toEqual([`${part}/`, `${part}/same`])
    for (const entry of [1, 2]) await write(partial, entry, 'new')
    await partial.finish([])
    await partial.leave()
    expect(await list()).toEqual(['thing/', 'thing/file/', 'thing/file/below', 'thing/folder', 'thing/same'])
  })

  test.each(['a link', 'a link below', 'a file with a second name', 'a socket below'])(
    'with %s is none',
    async (what) => {
      await leavePartial('thing/file')
      expect(await tokens()).toEqual([TOKEN])
      if (what === 'a link') {
        await rename(at(part), at('elsewhere'))
        await symlink(at('elsewhere'), at(part))
      } else if (what === 'a link below') await symlink(at('victim'), at(`${part}/link`))
      else if (what === 'a socket below') execFileSync('mkfifo', [at(`${part}/pipe`)])
      else await link(at(`${part}/file`), at('second'))
      expect(await tokens()).toEqual([])
    },
  )

  test.skipIf(process.getuid?.() !== 0)('of another owner, at any level, is none', async () => {
    await leavePartial('thing/file')
    await chown(at(`${part}/file`), 12_345, 12_345)
    expect(await tokens()).toEqual([])
  })

  test('that a process works on is none for another, and is one again when that is gone', async () => {
    const partial = await open([{ path: 'thing', ...big }])
    await write(partial, 0, 'some')
    expect(await tokens()).toEqual([])
    const [lock = ''] = (await readdir(directory)).filter((name) => name.endsWith('.lock'))
    // Another process has its number by now.
    await writeFile(at(lock), `${process.pid} 1`)
    expect(await tokens()).toEqual([TOKEN])
    const child = spawnSync(process.execPath, ['--version'])
    await writeFile(at(lock), `${child.pid} 1`)
    expect(await tokens()).toEqual([TOKEN])
    await (await open([{ path: 'thing', ...big }])).leave()
  })

  test.skipIf(process.platform !== 'linux')(
    'that a process worked on is one, though nobody has looked at its end',
    async () => {
      // A parent that never looks, and a child that ends once its stream does.
      const parent = spawn('sh', ['-c', '(read line <&3) & echo $!; exec sleep 600'], {
        stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
      })
      const turn = () => new Promise((resolve) => setImmediate(resolve))
      try {
        const [said] = await once(parent.stdio[1] as NodeJS.ReadableStream, 'data')
        const pid = Number(String(said))
        const fields = async () => (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? []
        while ((await readFile(`/proc/${parent.pid}/comm`, 'utf8')) !== 'sleep\n') await turn()
        parent.stdio[3]?.destroy()
        while ((await fields())[0] !== 'Z') await turn()
        const partial = await open([{ path: 'thing', ...big }])
        await write(partial, 0, 'some')
        const [lock = ''] = (await readdir(directory)).filter((name) => name.endsWith('.lock'))
        await writeFile(at(lock), `${pid} ${(await fields())[19]}`)
        expect(await tokens()).toEqual([TOKEN])
      } finally {
        parent.kill()
      }
    },
  )

  test.each([
    ['file', [{ path: 'other', ...big }], 'other'],
    ['folder/file', [{ path: 'other/file', ...big }], 'other/file'],
  ])('of %s goes on under the name that it gets now', async (path, entries, now) => {
    await leavePartial(path)
    const partial = await open(entries)
    expect([...partial.have]).toEqual([[0, 4]])
    await partial.finish([])
    await partial.leave()
    expect(await readdir(directory)).toEqual([now.split('/')[0]])
    expect(await readFile(at(now), 'utf8')).toBe('some')
  })

  test('of several things keeps their names', async () => {
    await leavePartial('file')
    const partial = await open([
      { path: 'one', ...big },
      { path: 'two', size: 1 },
    ])
    expect([...partial.have]).toEqual([])
  })
})

describe('a file that is being received', () => {
  test('has its own name only at the end, and then no other', async () => {
    const partial = await open([{ path: 'file', size: 3 }])
    await write(partial, 0, 'one')
    expect((await readdir(directory)).filter((name) => !name.startsWith('.'))).toEqual([partPath('file', TOKEN)])
    await partial.finish([])
    await partial.leave()
    expect(await readdir(directory)).toEqual(['file'])
    expect(await readFile(at('file'), 'utf8')).toBe('one')
  })

  test('of less than 1 MiB is gone when it is left, and a larger one is kept', async () => {
    for (const [size, kept] of [
      [1_048_575, []],
      [1_048_576, [TOKEN]],
    ] as const) {
      const partial = await open([{ path: 'file', size }])
      await write(partial, 0, 'one')
      await partial.leave()
      expect(await new PartialFolder({ directory }).tokens()).toEqual(kept)
    }
    expect([...(await open([{ path: 'file', size: 1_048_576 }])).have]).toEqual([[0, 3]])
  })

  test('of 1 MiB or more is on the disk before it has its name, whichever session its bytes came in', async () => {
    const flushed: [size: number, names: string[]][] = []
    vi.mocked(flush).mockImplementation(async (file) => {
      const names = readdirSync(directory).filter((name) => !/^\.|\.part$/.test(name))
      flushed.push([fstatSync(file).size, names])
    })
    const entries = ['small', 'large', 'begun'].map((path, index) => ({ path, size: 1_048_575 + Math.min(index, 1) }))
    const partial = await open(entries)
    for (const [entry, { size }] of entries.entries()) {
      const bytes = 'x'.repeat(entry === 2 ? size - 1 : size)
      await write(partial, entry, bytes)
    }
    expect(flushed).toEqual([[1_048_576, []]])
    await partial.write(2, 1_048_575, pieces('x'))
    expect(flushed).toEqual([
      [1_048_576, []],
      [1_048_576, []],
    ])
    await partial.finish([])
    await partial.leave()
    expect((await readdir(directory)).sort()).toEqual(['begun', 'large', 'small'])
  })

  test.each(['file', 'directory', 'link to nothing'])('never takes the place of a %s', async (kind) => {
    for (const disk of ['with links', 'without links']) {
      if (disk === 'without links') vi.mocked(fs.link).mockRejectedValue(Object.assign(new Error(), { code: 'EPERM' }))
      await rm(at('file'), { recursive: true, force: true })
      const partial = await open([{ path: 'file', size: 6 }])
      await write(partial, 0, 'theirs')
      if (kind === 'file') await writeFile(at('file'), 'mine')
      else if (kind === 'directory') await mkdir(at('file'), { recursive: true })
      else await symlink(at('elsewhere'), at('file'))
      await expect(partial.finish([])).rejects.toMatchObject({ code: 'EEXIST' })
      await partial.leave()
      expect(await readdir(directory)).toEqual(['file'])
      if (kind === 'file') expect(await readFile(at('file'), 'utf8')).toBe('mine')
    }
  })

  test('whose name is taken is told before anything is written, and leaves nothing', async () => {
    await symlink(at('elsewhere'), at('b'))
    const taken = { code: 'EEXIST', path: join(await fs.realpath(directory), 'b') }
    for (const path of ['b', 'b/file']) {
      await expect(open(['a', path].map((each) => ({ path: each, size: 1 })))).rejects.toMatchObject(taken)
    }
    await expect(open([{ path: 'b', dir: true }], { overwrite: true })).rejects.toMatchObject(taken)
    expect(await readdir(directory)).toEqual(['b'])
  })

  test('takes the place of a file where that is wanted, and never of a folder', async () => {
    await writeFile(at('file'), 'mine')
    await save('file', 'theirs', { overwrite: true })
    expect(await readFile(at('file'), 'utf8')).toBe('theirs')
    await mkdir(at('folder'))
    await expect(save('folder', 'theirs', { overwrite: true })).rejects.toMatchObject({ code: 'EISDIR' })
  })

  test('is saved on a disk without links', async () => {
    vi.mocked(fs.link).mockRejectedValue(Object.assign(new Error(), { code: 'EPERM' }))
    await save('file', 'theirs')
    expect(await readFile(at('file'), 'utf8')).toBe('theirs')
    expect(await readdir(directory)).toEqual(['file'])
  })

  test('is not written through a link in its place', async () => {
    await writeFile(at('victim'), 'mine')
    await symlink(at('victim'), at(partPath('file', TOKEN)))
    await expect(save('file', 'theirs')).rejects.toMatchObject({ code: 'ELOOP' })
    expect(await readFile(at('victim'), 'utf8')).toBe('mine')
  })

  test('is not written where a link leads that was put in its way', async () => {
    const attacker = await mkdtemp(join(tmpdir(), 'pairlay-attacker-'))
    const partial = await open(['folder/a', 'folder/b'].map((path) => ({ path, size: 6 })))
    await write(partial, 0, 'theirs')
    await rename(at(partPath('folder', TOKEN)), at('away'))
    await symlink(attacker, at(partPath('folder', TOKEN)))
    await writeFile(join(attacker, 'a'), 'mine', { mode: 0o600 })
    await expect(write(partial, 0, 'theirs')).rejects.toMatchObject({ code: 'ELOOP' })
    await expect(write(partial, 1, 'theirs')).rejects.toMatchObject({ code: 'ELOOP' })
    expect(await readFile(join(attacker, 'a'), 'utf8')).toBe('mine')
    expect(await readFile(join(attacker, 'b'), 'utf8').catch(() => '')).toBe('')
    await partial.leave()
    await rm(attacker, { recursive: true })
  })

  test('is not written where it has another name, or is no file', async () => {
    await writeFile(at('victim'), 'mine')
    const partial = await open(['file', 'pipe', 'folder'].map((path) => ({ path, size: 6 })))
    await link(at('victim'), at(partPath('file', TOKEN)))
    execFileSync('mkfifo', [at(partPath('pipe', TOKEN))])
    await mkdir(at(partPath('folder', TOKEN)))
    for (const [entry, code] of ['EBUSY', 'ENXIO', 'EISDIR'].entries()) {
      await expect(write(partial, entry, 'theirs')).rejects.toMatchObject({ code })
    }
    expect(await readFile(at('victim'), 'utf8')).toBe('mine')
  })

  test('gets no name where something else is in its place', async () => {
    await writeFile(at('victim'), 'mine')
    const partial = await open([{ path: 'file', size: 6 }])
    await write(partial, 0, 'theirs')
    await rm(at(partPath('file', TOKEN)))
    await symlink(at('victim'), at(partPath('file', TOKEN)))
    await expect(partial.finish([])).rejects.toMatchObject({ code: 'ELOOP' })
    await partial.leave()
    expect(await readdir(directory)).toEqual(['victim'])
  })

  test('is in a folder that was made for it, or nowhere', async () => {
    const partial = await open([{ path: 'folder/file', size: 6 }])
    await writeFile(at(partPath('folder', TOKEN)), 'mine')
    await expect(write(partial, 0, 'theirs')).rejects.toMatchObject({ code: 'EEXIST' })
  })

  test('is written on from where it is only while so much of it is there', async () => {
    const partial = await open([{ path: 'file', size: 1_048_576 }])
    await write(partial, 0, 'begun')
    await truncate(at(partPath('file', TOKEN)), 2)
    const more = partial.write(0, 5, pieces('more'))
    await expect(more).rejects.toMatchObject({ code: 'EBUSY' })
    await rm(at(partPath('file', TOKEN)))
    const gone = partial.write(0, 5, pieces('more'))
    await expect(gone).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('with a long name is another one than that of a name which begins alike', async () => {
    const names = ['a', 'b'].map((end) => 'x'.repeat(235) + end)
    const partial = await open(names.map((path) => ({ path, size: 1 })))
    await write(partial, 0, 'a')
    await write(partial, 1, 'b')
    await partial.finish([])
    expect(await Promise.all(names.map((name) => readFile(at(name), 'utf8')))).toEqual(['a', 'b'])
  })

  test('is written by one process at a time', async () => {
    const partial = await open([{ path: 'file', size: 3 }])
    await expect(open([{ path: 'file', size: 3 }])).rejects.toMatchObject({ code: 'EEXIST' })
    await partial.leave()
    await (await open([{ path: 'file', size: 3 }])).leave()
  })

  test('is for its owner alone, partial and saved, unless a mode was asked for', async () => {
    const modeOf = async (name: string) => ((await stat(at(name))).mode & 0o7777).toString(8)
    const before = process.umask(0o022)
    try {
      const partial = await open([
        { path: 'private', size: 1 },
        { path: 'folder/tool', size: 1, x: true },
      ])
      await write(partial, 0, 'x')
      await write(partial, 1, 'x')
      expect([await modeOf(partPath('private', TOKEN)), await modeOf(partPath('folder', TOKEN))]).toEqual([
        '600',
        '700',
      ])
      await partial.finish([])
      await partial.leave()
      await save('shared', 'x', { mode: 0o644 })
      const modes = await Promise.all(['private', 'folder', 'folder/tool', 'shared'].map(modeOf))
      expect(modes).toEqual(['600', '700', '700', '644'])
    } finally {
      process.umask(before)
    }
  })

  test('with a name as long as the disk takes has a temporary name that fits too', async () => {
    const longest = `${'x'.repeat(236)}.txt`
    await save(longest, 'x')
    expect(await readdir(directory)).toEqual([longest])
  })

  test('that was skipped is not there', async () => {
    const partial = await open(['a', 'b', 'c/d', 'e/f', 'e/g'].map((path) => ({ path, size: 1 })))
    for (let entry = 0; entry < 5; entry++) await write(partial, entry, 'x')
    await partial.finish([1, 2, 3])
    await partial.leave()
    expect((await readdir(directory, { recursive: true })).sort()).toEqual(['a', 'c', 'e', 'e/g'])
  })
})

describe('a folder whose final name is held by something', () => {
  const held = Object.assign(new Error(), { code: 'EBUSY' })

  test('gets it when that lets go, within 10 s', async () => {
    for (let tries = 1; tries < 20; tries++) vi.mocked(fs.rename).mockRejectedValueOnce(held)
    await save('folder/file', 'theirs')
    expect(await readdir(directory)).toEqual(['folder'])
  })

  test('does not get it when that never lets go', async () => {
    vi.mocked(fs.rename).mockRejectedValue(held)
    await expect(save('folder/file', 'theirs')).rejects.toMatchObject({ code: 'EBUSY' })
    expect(fs.rename).toHaveBeenCalledTimes(20)
  })
})

test('of several things that get their names one after the other, those before one that fails are there', async () => {
  const placed: string[] = []
  const partial = await open(
    ['a', 'b/file', 'c'].map((path) => ({ path, size: 1 })),
    { onPlaced: (name) => placed.push(name) },
  )
  for (let entry = 0; entry < 3; entry++) await write(partial, entry, 'x')
  await mkdir(at('b'))
  await expect(partial.finish([])).rejects.toMatchObject({ code: 'EEXIST' })
  await partial.leave()
  expect([placed, (await readdir(directory)).sort()]).toEqual([['a'], ['a', 'b']])
  expect(await readdir(at('b'))).toEqual([])
})

import * as fs from 'node:fs/promises'
import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { CliError } from '../../src/cli/exit.ts'
import { reasonOf } from '../../src/cli/files.ts'
import { checkedOutput, requireRoom } from '../../src/cli/places.ts'
import { sourcesOf } from '../../src/cli/sources.ts'
import { placeOf } from '../../src/cli/taking.ts'
import { Terminal } from '../../src/cli/terminal.ts'
import { type Offer, PAIRING_ERRORS } from '../../src/client/index.ts'
import {
  describeConcurrent,
  describeTerminal,
  eventually,
  MIB,
  offer,
  openPlain,
  openSender,
  pairlay,
  pairlayAfter,
  partialFile,
  relayOfFile,
  run,
  Screen,
  take,
  temporaryDirectory,
} from './support.ts'

vi.mock('node:fs/promises', { spy: true })
afterEach(() => {
  vi.resetAllMocks()
})

const relay = relayOfFile()
const { env } = relay

describe('a reason', () => {
  test('of a disk is in words, and the code of one that has none', () => {
    const reason = (code?: string) => reasonOf(Object.assign(new Error(), code === undefined ? {} : { code }))
    const missing = 'there is no such file or directory'
    expect(['ENOENT', 'ENOTDIR'].map(reason)).toEqual([missing, missing])
    expect(['EACCES', 'EPERM'].map(reason)).toEqual(['permission denied', 'permission denied'])
    expect(['ENOSPC', 'EDQUOT'].map(reason)).toEqual(['the disk is full', 'the disk is full'])
    expect(reason('EFBIG')).toBe('the file is too large for this disk')
    expect([reason('ELOOP'), reason('EMFILE')]).toEqual([
      'a link is in the way, or leads in a circle',
      'too many files are open',
    ])
    expect([reason('EROFS'), reason('EIO'), reason()]).toEqual(['the file system is read-only', 'EIO', 'unknown error'])
  })
})

test('a place that cannot be written is told without temporary names', () => {
  const placed = (path: string, directory = '/out') => placeOf(Object.assign(new Error(), { path }), directory)
  expect(placed('/out/a.txt')).toBe('/out/a.txt')
  for (const path of ['', '/out/.0123.lock', '/out/a.txt.0123.part']) expect(placed(path)).toBe('into /out')
  expect(placed('.0123.lock', '.')).toBe(`into ${process.cwd()}`)
})

describe('what is to be sent', () => {
  test('that cannot be opened is refused before anything is asked of the relay', async () => {
    const { at } = await temporaryDirectory({ secret: '' })
    vi.mocked(fs.open).mockRejectedValue(Object.assign(new Error(), { code: 'EACCES' }))
    await expect(sourcesOf([at('secret')], {})).rejects.toThrow(
      new CliError(`Cannot read ${at('secret')}: permission denied.`, 'usage'),
    )
  })

  test('that has a name that is not UTF-8 is refused with the way out', async () => {
    const { at } = await temporaryDirectory()
    await expect(sourcesOf([at('latin1-\ufffd.txt')], {})).rejects.toThrow(
      `Cannot read ${at('latin1-\ufffd.txt')}: its name is not UTF-8. Send what is in it: pairlay send - < FILE`,
    )
  })

  test('has a name of its own for each thing, with all that is in a folder under it', async () => {
    const { at } = await temporaryDirectory()
    await mkdir(at('a/same/empty'), { recursive: true })
    await mkdir(at('b'))
    await writeFile(at('a/same/x'), 'x')
    await writeFile(at('b/same'), 'x')
    await symlink(at('b/same'), at('linked'))
    await symlink(at('b/same'), at('a/same/link'))
    const { sources, leftOut } = await sourcesOf([at('b/same'), at('a/same'), at('linked')], {})
    expect([...sources].map(({ name }) => name)).toEqual(['same', 'same (2)/empty', 'same (2)/x', 'linked'])
    expect([...leftOut]).toEqual([{ path: at('a/same/link'), why: 'link' }])
  })
})

describe('a directory to save into', () => {
  const terminal = new Terminal({ json: false, stdinIsData: false })

  test('is looked at before anything is asked of the relay, this one too', async () => {
    const { path } = await temporaryDirectory()
    const denied = () => vi.mocked(fs.access).mockRejectedValue(Object.assign(new Error(), { code: 'EACCES' }))
    denied()
    await expect(checkedOutput(terminal, {})).rejects.toThrow(
      'Cannot write into this directory: permission denied. Name another with -o.',
    )
    await expect(checkedOutput(terminal, { output: path })).rejects.toThrow(
      `Cannot write into ${path}: permission denied.`,
    )
    expect(await checkedOutput(terminal, { output: '-' })).toEqual({ output: '-' })
  })
})

describeConcurrent('a receiver', () => {
  test.each([
    [['--rename'], { 'file.txt': 'mine', 'file (2).txt': 'new' }, 'Saved as file (2).txt (was file.txt).'],
    [['--overwrite'], { 'file.txt': 'new' }, 'Saved file.txt.'],
    [['--into', 'made/below'], { 'file.txt': 'mine', 'made/below/file.txt': 'new' }, 'Saved made/below/file.txt.'],
  ])('with %j saves although the name is taken', async (args, files, line) => {
    const { at, path } = await temporaryDirectory({ 'file.txt': 'mine' })
    const { code, delivered } = await offer(relay, { 'file.txt': 'new' })
    const { exitCode, stderr } = await run(['receive', code, '--yes', ...args], { env, cwd: path })
    expect([exitCode, await delivered]).toEqual([0, [true]])
    expect(stderr).toContain(`\n${line}\n`)
    for (const [name, content] of Object.entries(files)) expect(await readFile(at(name), 'utf8')).toBe(content)
    const all = (await readdir(path, { recursive: true, withFileTypes: true })).filter((each) => each.isFile())
    expect(all).toHaveLength(Object.keys(files).length)
  })
})

test('of many files the first are named, and each that has another name here', async () => {
  const { path } = await temporaryDirectory()
  const names = Array.from({ length: 24 }, (_, index) => `file ${index + 10}`)
  const { code, delivered } = await offer(relay, Object.fromEntries([...names, 'a:b'].map((name) => [name, ''])))
  const { exitCode, stderr } = await run(['receive', code, '--yes'], { env, cwd: path })
  expect([exitCode, await delivered]).toEqual([0, [true]])
  const told = stderr.split('\n').filter((line) => line.startsWith('Saved '))
  expect(told).toEqual([
    ...names.slice(0, 20).map((name) => `Saved ${name}.`),
    'Saved as a_b (was a:b).',
    'Saved 4 more.',
  ])
  expect(await readdir(path)).toHaveLength(25)
})

describeConcurrent('a receiver that cannot save', () => {
  /** Expects the one line and the exit code of a receiver whose code is still good afterwards: the sender saw nobody. */
  async function expectEarly(args: readonly string[], line: string, expected: number) {
    const { code, delivered } = await offer(relay, { file: 'content' })
    const { exitCode, stderr } = await run(['receive', code, ...args], { env })
    expect({ exitCode, stderr }).toEqual({ exitCode: expected, stderr: `pairlay: ${line}\n` })
    const other = await take(relay, code)
    expect([await other.taken, await delivered]).toEqual([{ items: ['content'] }, [true]])
  }

  test('because there is no such directory says so before it enters the code', async () => {
    const { at, path } = await temporaryDirectory({ file: 'mine' })
    const none = `There is no directory ${at('missing')}.`
    await expectEarly(['--yes', '-o', at('missing/file')], `${none} --into makes it.`, 2)
    await expectEarly(['-o', at('missing/')], `${none} --into makes it.`, 2)
    await expectEarly(['-o', at('missing/below/')], `There is no directory ${at('missing/below')}.`, 2)
    await expectEarly(['--into', at('file')], `${at('file')} is not a directory.`, 2)
    await expectEarly(['-o', at('file/')], `${at('file')} is not a directory.`, 2)
    await expectEarly(['-o', at('file/x')], `${at('file')} is not a directory.`, 2)
    expect(await readdir(path)).toEqual(['file'])
  })

  test('because the name is taken says so before it enters the code, and leaves what is there', async () => {
    const { at, path } = await temporaryDirectory()
    await writeFile(at('file'), 'mine')
    const line = `${at('file')} is there already, and is not overwritten. Save elsewhere with -o, or use --rename or --overwrite.`
    await expectEarly(['--yes', '-o', at('file')], line, 1)
    await expectEarly(['-o', at('file')], line, 1)
    expect(await readdir(path)).toEqual(['file'])
    expect(await readFile(at('file'), 'utf8')).toBe('mine')
  })

  test('because a folder is there says that folders are not overwritten', async () => {
    const { at, path } = await temporaryDirectory({ 'file/': '' })
    const { code, delivered } = await offer(relay, { file: 'new' })
    const { exitCode, stderr } = await run(['receive', code, '--yes', '--overwrite'], { env, cwd: path })
    const line = 'file is there already, and folders are not overwritten. Save elsewhere with -o, or use --rename.'
    expect([exitCode, stderr.split('\n').at(-2), await delivered]).toEqual([1, `pairlay: ${line}`, [false]])
    expect(await readdir(at('file'))).toEqual([])
  })

  test('because there is no room says how much it takes, and how much there is', async () => {
    const { path } = await temporaryDirectory()
    const huge = { totalBytes: 2 ** 60, resumes: () => undefined } as unknown as Offer
    await expect(
      requireRoom(huge, { directory: path, paths: [], names: new Map(), was: new Map() }),
    ).rejects.toMatchObject({
      code: 'no_space',
      message: expect.stringMatching(
        /^There is no room for it: it takes 1048576 TiB, and \S+ \S+ are free on this disk\. Nothing was saved\.$/,
      ),
    })
  })

  test.skipIf(process.platform === 'win32').each([
    ['ulimit -f 1024', 'out', 'save out: the file is too large for this disk'],
    ['exec > /dev/full', '-', 'write the output: the disk is full'],
  ])('for want of room has its sender told that: %s', async (setup, output, reason) => {
    const { path } = await temporaryDirectory()
    await writeFile(join(path, 'file'), Buffer.alloc(3 * MIB))
    const { sender, code } = await openPlain(['--yes', join(path, 'file')], { env })
    const receiver = pairlayAfter(setup, ['receive', code, '--yes', '-o', output], { env, cwd: path })
    const [sent, received] = await Promise.all([sender.ended(), receiver.ended()])
    expect([sent.exitCode, received.exitCode]).toEqual([5, 1])
    expect(sent.stderr).toContain(`. ${PAIRING_ERRORS.no_space}`)
    expect(received.stderr).toMatch(new RegExp(`^pairlay: Cannot ${reason}\\.$`, 'm'))
    // A large file is kept as far as it came.
    const kept = output === '-' ? [] : [expect.stringMatching(/^out\.[0-9a-z]{26}\.part$/)]
    expect((await readdir(path)).sort()).toEqual(['file', ...kept])
  })

  test('because nobody reads its output says so', async () => {
    const { sender, code } = await openSender(['-'], { env, stdin: 'open' })
    void sender.write(Buffer.alloc(8 * MIB))
    const receiver = pairlay(['receive', code, '--yes', '-o', '-'], { env })
    await receiver.until('the first bytes', () => receiver.stdout.length > 0 || undefined)
    receiver.closeStdout()
    sender.endStdin()
    const { exitCode, stderr } = await receiver.ended()
    expect(stderr).toMatch(/^pairlay: Nobody reads the output any more\.$/m)
    expect([exitCode, (await sender.ended()).exitCode]).toEqual([1, 5])
  })

  test('one of several files saves none of those that were still partial', async () => {
    const { path } = await temporaryDirectory()
    const content = 'x'.repeat(MIB - 3)
    const { code, delivered } = await offer(relay, { a: 'a', b: 'b', c: content })
    const { exitCode } = await pairlayAfter('ulimit -f 512', ['receive', code, '--yes'], { env, cwd: path }).ended()
    expect([exitCode, await delivered]).toEqual([1, [false]])
    expect(await readdir(path)).toEqual([])
  })
})

describeTerminal('a partial file', () => {
  test('is gone when the terminal of its receiver is closed', async () => {
    const { at, path } = await temporaryDirectory()
    const { sender, code } = await openSender(['-'], { env, stdin: 'open' })
    void sender.write(Buffer.alloc(MIB))
    const receiver = new Screen(['receive', code, '--yes', '-o', at('file')], { env })
    await partialFile(path)
    receiver.close()
    expect((await sender.ended()).exitCode).toBe(5)
    await eventually('no file', async () => (await readdir(path)).length === 0 || undefined)
  })
})

describeConcurrent('a file whose size changes while its code waits', () => {
  test.each(['longer', 'short'])('is sent as it is when the transfer begins: %s', async (content) => {
    const { at } = await temporaryDirectory({ file: 'before', other: 'other', 'out/': '' })
    const { sender, code } = await openSender([at('file'), at('other')], { env })
    await writeFile(at('file'), content)
    const received = await run(['receive', code, '--yes', '-o', at('out')], { env })
    expect([(await sender.ended()).exitCode, received.exitCode]).toEqual([0, 0])
    expect(await readFile(at('out/file'), 'utf8')).toBe(content)
    expect(await readFile(at('out/other'), 'utf8')).toBe('other')
  })
})

describeConcurrent('a sender that cannot read on', () => {
  test('because the file has become shorter delivers nothing, and says which it was', async () => {
    const { at, path } = await temporaryDirectory({ file: Buffer.alloc(8 * MIB) })
    const { sender, code } = await openPlain(['--yes', at('file')], { env })
    const receiver = pairlay(['receive', code, '-o', at('out')], { env, stdin: 'open' })
    await receiver.says('Save it')
    await writeFile(at('file'), 'short')
    await receiver.write('y\n')
    const [sent, received] = await Promise.all([sender.ended(), receiver.ended()])
    expect([sent.exitCode, received.exitCode]).toEqual([5, 5])
    expect(sent.stderr).toContain('It is file.')
    expect((await readdir(path)).filter((name) => !name.endsWith('.part'))).toEqual(['file'])
  })

  test('because the file has gone delivers nothing', async () => {
    const { at } = await temporaryDirectory({ file: 'content' })
    const { sender, code } = await openSender([at('file')], { env })
    await rm(at('file'))
    const receiver = await take(relay, code)
    expect((await sender.ended()).exitCode).toBe(5)
    expect(sender.events.at(-1)).toMatchObject({ event: 'not_delivered', code: 'source_failed' })
    expect(await receiver.taken).toEqual({ error: 'sender_failed' })
  })

  test('says why, in a line for a person', async () => {
    const { at } = await temporaryDirectory({ file: 'content' })
    const { sender, code } = await openPlain(['--yes', at('file')], { env })
    await rm(at('file'))
    const receiver = await take(relay, code)
    await receiver.taken
    expect((await sender.ended()).stderr).toContain('It is file: there is no such file or directory.\n')
  })

  test('because a file of a folder has gone delivers the rest, and both name it', async () => {
    const { at, path } = await temporaryDirectory()
    await mkdir(at('folder'))
    await writeFile(at('folder/a'), 'a')
    await writeFile(at('folder/b'), 'b')
    await mkdir(at('out'))
    const { sender, code } = await openPlain(['--yes', at('folder')], { env })
    await rm(at('folder/a'))
    const received = await run(['receive', code, '--yes', '-o', at('out')], { env })
    const sent = await sender.ended()
    expect([sent.exitCode, received.exitCode]).toEqual([0, 0])
    expect(sent.stderr).toContain('Not sent: folder/a, because it cannot be read.')
    expect(received.stderr).toContain('Not received: folder/a, because the sender cannot read it.')
    expect(await readdir(join(path, 'out/folder'))).toEqual(['b'])
  })
})

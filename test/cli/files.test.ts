import * as fs from 'node:fs/promises'
import { appendFile, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { CliError } from '../../src/cli/exit.ts'
import { fileSource, fileSources, reasonOf } from '../../src/cli/files.ts'
import { checkedOutput } from '../../src/cli/output.ts'
import { PartFile } from '../../src/cli/part-file.ts'
import { Terminal } from '../../src/cli/terminal.ts'
import { PAIRING_ERRORS, type Source } from '../../src/client/index.ts'
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

describe('a file that is being received', () => {
  test('has its own name only after commit, and then no other', async () => {
    const { at, path } = await temporaryDirectory()
    const part = await PartFile.create(at('file'))
    await part.write(Buffer.from('one '))
    await part.write(Buffer.from('two'))
    expect(await readdir(path)).toEqual(['file.part'])
    await part.commit()
    expect(await readdir(path)).toEqual(['file'])
    expect(await readFile(at('file'), 'utf8')).toBe('one two')
    await part.discard()
    expect(await readdir(path)).toEqual(['file'])
  })

  test('is gone after discard, as often as that is said', async () => {
    const { at, path } = await temporaryDirectory()
    const part = await PartFile.create(at('file'))
    await part.write(Buffer.from('one'))
    await part.discard()
    await part.discard()
    expect(await readdir(path)).toEqual([])
  })

  test.each(['file', 'directory', 'link to nothing'])('is not begun where there is a %s of its name', async (kind) => {
    const { at, path } = await temporaryDirectory()
    if (kind === 'file') await writeFile(at('file'), 'mine')
    else if (kind === 'directory') await mkdir(at('file'))
    else await symlink(at('elsewhere'), at('file'))
    const message = `${at('file')} is there already, and is not overwritten.`
    await expect(PartFile.create(at('file'))).rejects.toThrow(new CliError(message))
    expect(await readdir(path)).toEqual(['file'])
  })

  test('takes another temporary name where there is one already, which is left alone', async () => {
    const { at, path } = await temporaryDirectory({ victim: 'mine' })
    await symlink(at('victim'), at('file.part'))
    await writeFile(at('file.1.part'), 'mine')
    const part = await PartFile.create(at('file'))
    await part.write(Buffer.from('theirs'))
    expect((await readdir(path)).sort()).toEqual(['file.1.part', 'file.2.part', 'file.part', 'victim'])
    await part.commit()
    expect((await readdir(path)).sort()).toEqual(['file', 'file.1.part', 'file.part', 'victim'])
    expect(await readFile(at('file'), 'utf8')).toBe('theirs')
    expect(await readFile(at('victim'), 'utf8')).toBe('mine')
  })

  test.each(['with links', 'without links'])(
    'never takes the place of one that came meanwhile, on a disk %s',
    async (disk) => {
      const { at, path } = await temporaryDirectory()
      if (disk === 'without links') vi.mocked(fs.link).mockRejectedValue(Object.assign(new Error(), { code: 'EPERM' }))
      const part = await PartFile.create(at('file'))
      await part.write(Buffer.from('theirs'))
      await writeFile(at('file'), 'mine')
      const message = `${at('file')} is there already, and is not overwritten.`
      await expect(part.commit()).rejects.toThrow(new CliError(message))
      await part.discard()
      expect(await readdir(path)).toEqual(['file'])
      expect(await readFile(at('file'), 'utf8')).toBe('mine')
    },
  )

  test('is saved on a disk without links', async () => {
    const { at, path } = await temporaryDirectory()
    vi.mocked(fs.link).mockRejectedValue(Object.assign(new Error(), { code: 'EPERM' }))
    const part = await PartFile.create(at('file'))
    await part.write(Buffer.from('theirs'))
    await part.commit()
    expect(await readdir(path)).toEqual(['file'])
    expect(await readFile(at('file'), 'utf8')).toBe('theirs')
  })

  test('is for its owner alone, partial and saved, unless a mode was asked for', async () => {
    const { at } = await temporaryDirectory()
    const modeOf = async (name: string) => ((await stat(at(name))).mode & 0o7777).toString(8)
    const before = process.umask(0o022)
    try {
      const part = await PartFile.create(at('private'))
      const shared = await PartFile.create(at('shared'), 0o666)
      expect([await modeOf('private.part'), await modeOf('shared.part')]).toEqual(['600', '600'])
      await part.commit()
      await shared.commit()
      expect([await modeOf('private'), await modeOf('shared')]).toEqual(['600', '666'])
    } finally {
      process.umask(before)
    }
  })

  test('of a disk that is full is refused with a reason that the sender can be told', async () => {
    const { at } = await temporaryDirectory()
    const appendFile = () => Promise.reject(Object.assign(new Error(), { code: 'ENOSPC' }))
    const handle = { appendFile, close: () => Promise.resolve() } as unknown as fs.FileHandle
    vi.mocked(fs.open).mockResolvedValueOnce(handle)
    const part = await PartFile.create(at('file'))
    const full = { exit: 'failed', code: 'no_space' }
    await expect(part.write(Buffer.from('x'))).rejects.toMatchObject(full)
    await part.discard()
    // As when it has no room for another name.
    vi.mocked(fs.open).mockImplementationOnce(appendFile)
    await expect(PartFile.create(at('file'))).rejects.toMatchObject(full)
  })

  test('with a name as long as the disk takes has a temporary name that fits too', async () => {
    const { at, path } = await temporaryDirectory()
    const longest = `${'x'.repeat(251)}.txt`
    const part = await PartFile.create(at(longest))
    await part.commit()
    expect(await readdir(path)).toEqual([longest])
  })

  test('cannot be saved when somebody has taken its directory away', async () => {
    const { at, path } = await temporaryDirectory()
    const part = await PartFile.create(at('file'))
    await rm(path, { recursive: true })
    await expect(part.commit()).rejects.toThrow(
      new CliError(`Cannot save ${at('file')}: there is no such file or directory.`),
    )
    await part.discard()
  })

  test("names the disk's reason in words, and the code of one that has none", () => {
    const reason = (code?: string) => reasonOf(Object.assign(new Error(), code === undefined ? {} : { code }))
    const missing = 'there is no such file or directory'
    expect(['ENOENT', 'ENOTDIR'].map(reason)).toEqual([missing, missing])
    expect(['EACCES', 'EPERM'].map(reason)).toEqual(['permission denied', 'permission denied'])
    expect(['ENOSPC', 'EDQUOT'].map(reason)).toEqual(['the disk is full', 'the disk is full'])
    expect(reason('EFBIG')).toBe('the file is too large for this disk')
    expect([reason('ELOOP'), reason('EMFILE')]).toEqual(['its links lead in a circle', 'too many files are open'])
    expect([reason('EROFS'), reason('EIO'), reason()]).toEqual(['the file system is read-only', 'EIO', 'unknown error'])
  })
})

describe('a file to send', () => {
  test('that cannot be opened is refused before anything is asked of the relay', async () => {
    const { at } = await temporaryDirectory({ secret: '' })
    vi.mocked(fs.open).mockRejectedValue(Object.assign(new Error(), { code: 'EACCES' }))
    await expect(fileSource(at('secret'))).rejects.toThrow(
      new CliError(`Cannot read ${at('secret')}: permission denied.`, 'usage'),
    )
  })
})

describe('files to send', () => {
  const textOf = async (source: Source, size?: number) => {
    const pieces: Uint8Array[] = []
    for await (const piece of source.open(size)) pieces.push(piece)
    return Buffer.concat(pieces).toString()
  }

  test('that are too many, or have too long names together, are refused with both numbers', async () => {
    const { at } = await temporaryDirectory()
    const long = Array.from({ length: 350 }, (_, n) => at(`${n}${'x'.repeat(190)}`))
    for (const path of long) await writeFile(path, '')
    const items = long.map((path) => ({ name: path.split('/').at(-1), size: 0 }))
    const bytes = Buffer.byteLength(JSON.stringify({ items }))
    await expect(fileSources(long)).rejects.toThrow(
      `The list of these files takes ${bytes} bytes, and one transfer has 65536 for it. `,
    )
    const many = Array.from({ length: 1001 }, (_, n) => at(`file ${n}`))
    await expect(fileSources(many)).rejects.toThrow('These are 1001 files, and one transfer takes 1000. ')
  })

  test('that have a name that is not UTF-8 are refused with the way out', async () => {
    const { at } = await temporaryDirectory()
    await expect(fileSource(at('latin1-\ufffd.txt'))).rejects.toThrow(
      `Cannot read ${at('latin1-\ufffd.txt')}: its name is not UTF-8. Send what is in it: pairlay send - < FILE`,
    )
  })

  test('that have grown since they were announced give the bytes that were', async () => {
    const { at } = await temporaryDirectory({ log: 'one\n' })
    const source = await fileSource(at('log'))
    await appendFile(at('log'), 'two\n')
    expect(await textOf(source)).toBe('one\n')
    const size = await source.stat?.()
    await appendFile(at('log'), 'three\n')
    expect([size, await textOf(source, size)]).toEqual([8, 'one\ntwo\n'])
  })

  test('that have become shorter, or have gone, say which of them it was', async () => {
    const { at } = await temporaryDirectory({ log: 'content' })
    const source = await fileSource(at('log'))
    const read = async () => {
      for await (const _ of source.open());
    }
    await writeFile(at('log'), 'short')
    await expect(read()).rejects.toMatchObject({ code: 'source_changed', detail: `It was ${at('log')}.` })
    await rm(at('log'))
    const detail = `Cannot read ${at('log')}: there is no such file or directory.`
    await expect(read()).rejects.toMatchObject({ code: 'source_failed', detail })
    expect(await source.stat?.()).toBe(7)
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
    expect(await checkedOutput(terminal, { output: '-' })).toBe('-')
  })
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
    await expectEarly(['--yes', '-o', at('missing/file')], `${at('missing')} is not a directory.`, 2)
    await expectEarly(['-o', at('missing/')], `${at('missing')} is not a directory.`, 2)
    await expectEarly(['-o', at('file/')], `${at('file')} is not a directory.`, 2)
    await expectEarly(['-o', at('file/x')], `${at('file')} is not a directory.`, 2)
    expect(await readdir(path)).toEqual(['file'])
  })

  test('because the name is taken says so before it enters the code, and leaves what is there', async () => {
    const { at, path } = await temporaryDirectory({ file: 'mine' })
    const line = `${at('file')} is there already, and is not overwritten. Save elsewhere with -o.`
    await expectEarly(['--yes', '-o', at('file')], line, 1)
    await expectEarly(['-o', at('file')], line, 1)
    expect(await readdir(path)).toEqual(['file'])
    expect(await readFile(at('file'), 'utf8')).toBe('mine')
  })

  test.skipIf(process.platform === 'win32').each([
    ['ulimit -f 1024', 'out', 'out: the file is too large for this disk'],
    ['exec > /dev/full', '-', 'the output: the disk is full'],
  ])('for want of room has its sender told that, and leaves nothing: %s', async (setup, output, reason) => {
    const { path } = await temporaryDirectory()
    await writeFile(join(path, 'file'), Buffer.alloc(3 * MIB))
    const { sender, code } = await openPlain(['--yes', join(path, 'file')], { env })
    const receiver = pairlayAfter(setup, ['receive', code, '--yes', '-o', output], { env, cwd: path })
    const [sent, received] = await Promise.all([sender.ended(), receiver.ended()])
    expect([sent.exitCode, received.exitCode]).toEqual([5, 1])
    expect(sent.stderr.trimEnd().endsWith(`. ${PAIRING_ERRORS.no_space}`)).toBe(true)
    expect(received.stderr.split('\n').slice(4)).toEqual([`pairlay: Cannot write ${reason}.`, ''])
    expect(await readdir(path)).toEqual(['file'])
  })

  test('because nobody reads its output says so', async () => {
    const { sender, code } = await openSender(['-'], { env, stdin: 'open' })
    void sender.write(Buffer.alloc(8 * MIB))
    const receiver = pairlay(['receive', code, '--yes', '-o', '-'], { env })
    await receiver.until('the first bytes', () => receiver.stdout.length > 0 || undefined)
    receiver.closeStdout()
    sender.endStdin()
    const { exitCode, stderr } = await receiver.ended()
    expect(stderr.split('\n').slice(4)).toEqual(['pairlay: Nobody reads the output any more.', ''])
    expect([exitCode, (await sender.ended()).exitCode]).toEqual([1, 5])
  })

  test('one of several files saves none of those that were still partial', async () => {
    const { path } = await temporaryDirectory()
    const content = 'x'.repeat(MIB)
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
    expect(sent.stderr).toContain(`It was ${at('file')}.`)
    expect(await readdir(path)).toEqual(['file'])
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
})

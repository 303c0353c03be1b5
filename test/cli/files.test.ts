import * as fs from 'node:fs/promises'
import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { CliError } from '../../src/cli/exit.ts'
import { fileSource, PartFile, reasonOf, safeName, safeNames } from '../../src/cli/files.ts'
import { holds } from '../support/property.ts'
import {
  describeConcurrent,
  eventually,
  KIB,
  MIB,
  offer,
  openSender,
  type Program,
  pairlay,
  pairlayAfter,
  relayOfFile,
  run,
  take,
  temporaryDirectory,
} from './support.ts'

vi.mock('node:fs/promises', { spy: true })
afterEach(() => {
  vi.resetAllMocks()
})

const relay = relayOfFile()
const { env } = relay

/** Names that lean to what is dangerous. */
const anyName = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.string({
    unit: fc.constantFrom('.', '/', '\\', ' ', '-', 'a', '\u001b', '\n', '\u202e', ':', '🎉'),
    maxLength: 12,
  }),
  fc
    .tuple(
      fc.constantFrom('', '../', 'C:\\', '.', ' '),
      fc.constantFrom('con', 'PRN', 'Aux', 'nul', 'COM1', 'lpt¹', 'conin$', 'a', 'b'.repeat(198), 'c'.repeat(201)),
      fc.constantFrom('', '.txt', ' .txt', '.', ' ', '...', '.part', '.PART', ' (2)'),
    )
    .map((parts) => parts.join('')),
)

/** What Windows takes for a device, whatever follows the first dot. */
const WINDOWS_DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³])[ ]*(\.|$)/i

describe('a safe name', () => {
  holds('is one name, visible, of at most 200 bytes, and creates what it says anywhere', 2_000, anyName, (name) => {
    const safe = safeName(name)
    expect(safe).not.toBe('')
    expect(Buffer.byteLength(safe)).toBeLessThanOrEqual(200)
    expect(safe).not.toMatch(/[/\\<>:"|?*]/)
    expect(safe).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
    expect(safe).not.toMatch(/^[.\s-]|[.\s]$/)
    expect(safe).not.toMatch(WINDOWS_DEVICE)
  })

  holds('stays what it is when it is made safe again', 1_000, anyName, (name) => {
    expect(safeName(safeName(name))).toBe(safeName(name))
  })

  const harmless = fc.stringMatching(/^[A-Za-z0-9_ÄÖÜäöüß日本🎉][A-Za-z0-9_ÄÖÜäöüß日本🎉 .-]{0,30}[A-Za-z0-9]$/u)
  holds('is the name itself when that is harmless', 500, harmless, (name) => {
    fc.pre(!WINDOWS_DEVICE.test(name) && !/ {2}/.test(name))
    expect(safeName(name)).toBe(name)
  })
})

describe('the safe names of a transfer', () => {
  const names = fc.array(fc.oneof(anyName, fc.constantFrom('a', 'A', 'a (2)', 'a.part', 'a.PART', 'a.part.part')), {
    minLength: 1,
    maxLength: 20,
  })
  holds('are all different, on a disk that ignores case too, and from all temporary names', 1_000, names, (sent) => {
    const safe = safeNames(sent.map((name) => ({ name })))
    expect(safe).toHaveLength(sent.length)
    const onDisk = safe.flatMap((name) => [name, `${name}.part`]).map((name) => name.toLowerCase())
    expect(new Set(onDisk).size).toBe(onDisk.length)
  })

  test('that do not clash are left alone, in their order', () => {
    expect(safeNames(['b', 'a', 'c'].map((name) => ({ name })))).toEqual(['b', 'a', 'c'])
  })
})

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
    const { at, path } = await temporaryDirectory()
    await writeFile(at('victim'), 'mine')
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
    expect(
      ['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EIO', undefined].map(reason),
    ).toEqual([
      'there is no such file or directory',
      'there is no such file or directory',
      'permission denied',
      'permission denied',
      'the disk is full',
      'the disk is full',
      'the file is too large for this disk',
      'the file system is read-only',
      'EIO',
      'unknown error',
    ])
  })
})

describe('a file to send', () => {
  test('that cannot be opened is refused before anything is asked of the relay', async () => {
    const { at } = await temporaryDirectory()
    await writeFile(at('secret'), '')
    vi.mocked(fs.open).mockRejectedValue(Object.assign(new Error(), { code: 'EACCES' }))
    await expect(fileSource(at('secret'))).rejects.toThrow(
      new CliError(`Cannot read ${at('secret')}: permission denied.`, 'usage'),
    )
  })
})

describeConcurrent('a receiver that cannot save', () => {
  /** Sends 3 MiB to a receiver, and expects the latter's one line and exit code, and that the sender is told the truth. */
  async function expectFailure(receive: (code: string) => Program, line: string) {
    const { code, delivered } = await offer(relay, { file: 'x'.repeat(3 * MIB) })
    const { exitCode, stderr } = await receive(code).ended()
    expect(stderr.split('\n').slice(4)).toEqual([`pairlay: ${line}`, ''])
    expect(exitCode).toBe(1)
    expect(await delivered).toEqual([false])
  }

  /** Expects the one line and the exit code of a receiver whose code is still good afterwards: the sender saw nobody. */
  async function expectEarly(args: readonly string[], line: string, expected: number) {
    const { code, delivered } = await offer(relay, { file: 'content' })
    const { exitCode, stderr } = await run(['receive', code, ...args], { env })
    expect({ exitCode, stderr }).toEqual({ exitCode: expected, stderr: `pairlay: ${line}\n` })
    const other = await take(relay, code)
    expect([await other.taken, await delivered]).toEqual([{ items: ['content'] }, [true]])
  }

  test('because there is no such directory says so before it enters the code', async () => {
    const { at, path } = await temporaryDirectory()
    await writeFile(at('file'), 'mine')
    await expectEarly(['--yes', '-o', at('missing/file')], `${at('missing')} is not a directory.`, 2)
    await expectEarly(['-o', at('missing/')], `${at('missing')} is not a directory.`, 2)
    await expectEarly(['-o', at('file/')], `${at('file')} is not a directory.`, 2)
    await expectEarly(['-o', at('file/x')], `${at('file')} is not a directory.`, 2)
    expect(await readdir(path)).toEqual(['file'])
  })

  test('because the name is taken says so before it enters the code, and leaves what is there', async () => {
    const { at, path } = await temporaryDirectory()
    await writeFile(at('file'), 'mine')
    const line = `${at('file')} is there already, and is not overwritten. Save elsewhere with -o.`
    await expectEarly(['--yes', '-o', at('file')], line, 1)
    await expectEarly(['-o', at('file')], line, 1)
    expect(await readdir(path)).toEqual(['file'])
    expect(await readFile(at('file'), 'utf8')).toBe('mine')
  })

  test('because the name was taken meanwhile says so, and leaves what is there', async () => {
    const { at, path } = await temporaryDirectory()
    const { sender, code } = await openSender(['-'], { env, stdin: 'open' })
    void sender.write(Buffer.alloc(MIB))
    const receiver = pairlay(['receive', code, '--yes', '-o', at('file')], { env })
    await eventually('a partial file', async () => (await readdir(path)).find((name) => name === 'file.part'))
    await writeFile(at('file'), 'mine')
    sender.endStdin()
    const { exitCode, stderr } = await receiver.ended()
    expect(stderr).toContain(`\npairlay: ${at('file')} is there already, and is not overwritten.\n`)
    expect([exitCode, (await sender.ended()).exitCode]).toEqual([1, 5])
    expect(await readdir(path)).toEqual(['file'])
    expect(await readFile(at('file'), 'utf8')).toBe('mine')
  })

  test.skipIf(process.platform === 'win32')(
    'because the disk refuses says so, and nothing partial is left',
    async () => {
      const { at, path } = await temporaryDirectory()
      const limited = (code: string) =>
        pairlayAfter('ulimit -f 1024', ['receive', code, '--yes', '-o', at('file')], { env })
      await expectFailure(limited, `Cannot write ${at('file')}: the file is too large for this disk.`)
      expect(await readdir(path)).toEqual([])
    },
  )

  test('because its directory has gone says so', async () => {
    const { at, path } = await temporaryDirectory()
    await mkdir(at('out'))
    const { sender, code } = await openSender(['-'], { env, stdin: 'open' })
    void sender.write(Buffer.alloc(MIB))
    const receiver = pairlay(['receive', code, '--yes', '-o', at('out/file')], { env })
    await eventually('a partial file', async () => (await readdir(at('out'))).find((name) => name === 'file.part'))
    await rm(at('out'), { recursive: true })
    sender.endStdin()
    const { exitCode, stderr } = await receiver.ended()
    expect(stderr).toContain(`\npairlay: Cannot save ${at('out/file')}: there is no such file or directory.\n`)
    expect(stderr).not.toMatch(/^ {4}at /m)
    expect([exitCode, (await sender.ended()).exitCode]).toEqual([1, 5])
    expect(await readdir(path)).toEqual([])
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

describeConcurrent('a partial file', () => {
  test('is gone when the terminal of its receiver is closed', async () => {
    const { at, path } = await temporaryDirectory()
    const { sender, code } = await openSender(['-'], { env, stdin: 'open' })
    void sender.write(Buffer.alloc(MIB))
    const receiver = pairlay(['receive', code, '--yes', '-o', at('file')], { env })
    await eventually('a partial file', async () => (await readdir(path)).find((name) => name === 'file.part'))
    receiver.signal('SIGHUP')
    expect((await receiver.ended()).exitCode).toBe(130)
    expect((await sender.ended()).exitCode).toBe(5)
    expect(await readdir(path)).toEqual([])
  })
})

describeConcurrent('a sender that cannot read on', () => {
  test('because the file has become shorter delivers nothing', async () => {
    const { at, path } = await temporaryDirectory()
    await writeFile(at('file'), Buffer.alloc(100 * KIB))
    const { sender, code } = await openSender([at('file')], { env })
    await writeFile(at('file'), 'short')
    const received = await run(['receive', code, '--yes', '-o', at('out')], { env })
    expect([(await sender.ended()).exitCode, received.exitCode]).toEqual([5, 5])
    expect(sender.events.at(-1)).toMatchObject({ event: 'not_delivered', code: 'source_changed' })
    expect(await readdir(path)).toEqual(['file'])
  })

  test('because the file has gone delivers nothing', async () => {
    const { at } = await temporaryDirectory()
    await writeFile(at('file'), 'content')
    const { sender, code } = await openSender([at('file')], { env })
    await rm(at('file'))
    const receiver = await take(relay, code)
    expect((await sender.ended()).exitCode).toBe(5)
    expect(sender.events.at(-1)).toMatchObject({ event: 'not_delivered', code: 'source_failed' })
    expect(await receiver.taken).toEqual({ error: 'revoked' })
  })
})

import { execFileSync } from 'node:child_process'
import {
  chmod,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { bytesSource, Sender, type Source } from '../../../src/client/index.ts'
import {
  describeConcurrent,
  eventually,
  handOver,
  MIB,
  offer,
  openPlain,
  openSender,
  pairlay,
  relayOfFile,
  run,
  temporaryDirectory,
} from '../../cli/support.ts'
import { withLastTest } from '../../support/leftovers.ts'

/** A folder from one command to another arrives exactly, or both ends say what was changed, skipped or refused. */

const relay = relayOfFile()
const { env } = relay

/** Nothing, where two folders are the same. */
const difference = (one: string, other: string) => execFileSync('diff', ['-r', one, other]).toString()

/** Makes files whose content is their own path below a folder. */
async function fill(folder: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), path)
  }
}

/** By content, the path of each file below a folder. */
async function contents(folder: string): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile()) found.set(await readFile(path, 'utf8'), path.slice(folder.length + 1))
  }
  return found
}

const DEEPEST = `${'d/'.repeat(126)}file`

describeConcurrent('a folder', () => {
  test('of 2,000 small files arrives exactly, with its modes and times', async () => {
    const { at } = await temporaryDirectory({ 'out/': '' })
    const block = Buffer.alloc(4096, 'block')
    for (let n = 0; n < 2000; n++) {
      if (n % 50 === 0) await mkdir(at(`folder/${n / 50}/empty`), { recursive: true })
      block.writeUInt32BE(n)
      await writeFile(at(`folder/${Math.floor(n / 50)}/${n}`), block)
    }
    await writeFile(at('folder/film'), Buffer.alloc(3 * MIB, 'film'))
    await fill(at('folder'), [DEEPEST, '.hidden/.file', 'run.sh', 'set-id'])
    await writeFile(at('folder/nothing'), '')
    await chmod(at('folder/run.sh'), 0o755)
    await chmod(at('folder/set-id'), 0o6755)
    await utimes(at('folder/run.sh'), 1e9, 1e9)
    await mkdir(at(`out/folder.${'0'.repeat(26)}.part`))
    await handOver(relay, [at('folder')], ['-o', at('out')])
    expect(difference(at('folder'), at('out/folder'))).toBe('')
    expect((await readdir(at('out'))).sort()).toEqual(['folder', `folder.${'0'.repeat(26)}.part`])
    const modes = await Promise.all(['run.sh', 'set-id', 'film'].map((name) => stat(at(`out/folder/${name}`))))
    expect(modes.map(({ mode }) => (mode & 0o7777).toString(8))).toEqual(['700', '700', '600'])
    expect(modes[0]?.mtimeMs).toBe(1e12)
  })

  test('with every hostile name is saved whole, and each name that is another is told', async () => {
    const { at } = await temporaryDirectory({ 'out/': '' })
    const hostile = [
      ...[
        'CON',
        'nul.txt',
        'a:b',
        'trailing. ',
        '-rf',
        '...',
        'two\nlines',
        'back\\slash',
        '\u001b[31mred',
        '$(reboot)',
      ],
      ...['\u00e9', 'e\u0301', 'Case', 'case', 'Folder/file', 'folder/file', 'folder/FILE', '\u202egnp.exe', '`id`'],
      `${'\u{1f600}'.repeat(63)}abc`,
    ]
    const harmless = ['..data', '.hidden', 'with space', 'ünï', DEEPEST]
    await fill(at('folder'), [...hostile, ...harmless])
    const received = await handOver(relay, [at('folder')], ['-o', at('out')])
    const saved = await contents(at('out/folder'))
    expect([...saved.keys()].sort()).toEqual([...hostile, ...harmless].sort())
    for (const path of harmless) expect(saved.get(path)).toBe(path)
    const renamed = [...saved].filter(([was, is]) => was.normalize('NFC') !== is)
    for (const [, is] of saved) expect(is).not.toMatch(/[\\:\p{Cc}`\u202e]|[. ](\/|$)|^(con|nul\.txt)$/iu)
    const lines = received.stderr.match(/^.+ is called folder\/.+ here\.$/gm) ?? []
    expect(lines).toHaveLength(renamed.length)
    const lower = [...saved.values()].map((path) => path.normalize('NFC').toLowerCase())
    expect(new Set(lower).size).toBe(lower.length)
  })

  test('has what is no file or folder left out, and its sender is told before the code', async () => {
    const { at } = await temporaryDirectory({ 'out/': '', secret: 'secret' })
    await fill(at('folder'), ['file', 'sub/file'])
    await symlink(at('secret'), at('folder/link'))
    await symlink(at(''), at('folder/sub/up'))
    execFileSync('mkfifo', [at('folder/pipe')])
    const server = createServer().listen(at('folder/socket'))
    withLastTest(() => void server.close())
    await writeFile(Buffer.concat([Buffer.from(at('folder/')), Buffer.from([0x61, 0xff])]), 'no UTF-8')
    const { sender, code } = await openSender([at('folder')], { env })
    const received = await run(['receive', code, '--yes', '-o', at('out')], { env })
    expect([(await sender.ended()).exitCode, received.exitCode]).toEqual([0, 0])
    const left = sender.events.flatMap(({ event, why, path }) => (event === 'left_out' ? [[why, path]] : []))
    expect(left.sort()).toEqual([
      ['link', at('folder/link')],
      ['link', at('folder/sub/up')],
      ['name', at('folder/a\ufffd')],
      ['special', at('folder/pipe')],
      ['special', at('folder/socket')],
    ])
    expect(sender.events.findIndex(({ event }) => event === 'code')).toBe(left.length)
    expect([...(await contents(at('out/folder'))).keys()].sort()).toEqual(['file', 'sub/file'])
  })

  test('deeper than a path may be is refused before the code, with the way out', async () => {
    const { at } = await temporaryDirectory()
    await fill(at('folder'), [`d/${DEEPEST}`])
    const { exitCode, stderr } = await run(['send', at('folder')], { env })
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('tar c PATH … | pairlay send -')])
  })

  test('that is changed behind the offer arrives without what changed, and both ends name it', async () => {
    const { at } = await temporaryDirectory({ 'out/': '', 'other/': '', secret: 'x'.repeat(10) })
    await mkdir(at('folder/sub'), { recursive: true })
    const names = ['grown', 'shrunk', 'gone', 'link', 'pipe', 'sub/file']
    for (const name of [...names, 'kept', 'zone']) await writeFile(at(`folder/${name}`), 'y'.repeat(10))
    await writeFile(at('other/file'), 'x'.repeat(10))
    const { sender, code } = await openPlain(['--yes', at('folder')], { env })
    const receiver = pairlay(['receive', code, '-o', at('out')], { env, stdin: 'open' })
    await receiver.says('Save')
    await writeFile(at('folder/grown'), 'y'.repeat(20))
    await truncate(at('folder/shrunk'), 5)
    for (const name of ['gone', 'link', 'pipe']) await rm(at(`folder/${name}`))
    await symlink(at('secret'), at('folder/link'))
    execFileSync('mkfifo', [at('folder/pipe')])
    await rename(at('folder/sub'), at('away'))
    await symlink(at('other'), at('folder/sub'))
    await receiver.write('y\n')
    const [sent, received] = await Promise.all([sender.ended(), receiver.ended()])
    expect([sent.exitCode, received.exitCode]).toEqual([0, 0])
    for (const name of names) {
      expect(sent.stderr).toContain(`Not sent: folder/${name}, because it c`)
      expect(received.stderr).toContain(`Not received: folder/${name}, because `)
    }
    expect(sent.stderr).toContain('Without 6 files.')
    expect((await readdir(at('out/folder'))).sort()).toEqual(['kept', 'sub', 'zone'])
  })
})

/** A device in this process that offers files of a folder. The second waits for `release`. */
async function offerSlowly(names: readonly string[]) {
  let release = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const content = Buffer.alloc(100_000, 'content')
  const sources = names.map(
    (name, index): Source => ({
      ...bytesSource(content, `folder/${name}`),
      open: async function* () {
        if (index === 1) await released
        yield content
      },
    }),
  )
  const sender = await Sender.open({ relay: relay.url })
  const send = async () => {
    for await (const request of sender.requests()) await request.approve()
    const receipts = await sender.send(sources)
    await sender.close()
    return receipts.map((receipt) => receipt.delivered || receipt.error.code)
  }
  return { code: sender.code, receipts: send(), release }
}

describe('a receiver', () => {
  test.each([
    ['the folder itself', ['a', 'b', 'sub/c']],
    ['the folder itself, at the end', ['a', 'b']],
    ['a folder in it', ['a', 'b', 'sub/c']],
  ])('writes nothing where a link of an attacker leads that took the place of %s', async (which, names) => {
    const { at } = await temporaryDirectory({ 'out/': '', 'attacker/': '' })
    const { code, receipts, release } = await offerSlowly(names)
    const receiver = pairlay(['receive', code, '--yes', '-o', at('out')], { env })
    const part = await eventually('the second file is open', async () => {
      const name = (await readdir(at('out'))).find((each) => each.endsWith('.part'))
      return name && (await readdir(at(`out/${name}`))).includes('b') ? at(`out/${name}`) : undefined
    })
    if (which === 'a folder in it') await symlink(at('attacker'), join(part, 'sub'))
    else {
      await mkdir(at('attacker/sub'))
      await rename(part, at('out/away'))
      await symlink(at('attacker'), part)
    }
    const before = await stat(at('attacker'))
    release()
    const { exitCode, stderr } = await receiver.ended()
    expect([exitCode, await receipts]).toEqual([1, ['receiver_failed']])
    expect(stderr).toMatch(/^pairlay: Cannot save /m)
    expect([...(await contents(at('attacker'))).keys()].join('')).toBe('')
    expect((await stat(at('attacker'))).mode).toBe(before.mode)
    expect(await readdir(at('out'))).not.toContain('folder')
  })

  test('keeps inside of its folder what an attacker’s names lead out of', async () => {
    const { at, path } = await temporaryDirectory({ 'out/': '' })
    const attacker = {
      'thing/..\\..\\evil': '1',
      'thing/C:\\Windows\\evil': '2',
      'thing/.. ': '3',
      'thing/\u202e..': '4',
      'thing/nul.tar.gz': '5',
      'thing/a/b': '6',
      'thing/A/B': '7',
      '\u200b..': '8',
      '~': '9',
    }
    const { code, delivered } = await offer(relay, attacker)
    const received = await run(['receive', code, '--yes', '-o', at('out')], { env })
    expect([received.exitCode, await delivered]).toEqual([0, [true]])
    const saved = await contents(path)
    expect([...saved.keys()].sort()).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9'])
    for (const is of saved.values()) expect(is).toMatch(/^out\/[^/]+(\/|$)/)
    expect([...saved.values()].join('/').split('/')).not.toContain('..')
  })

  test('keeps what is here of a folder when the disk is full, says so at both ends, and goes on with more room', async (context) => {
    const { at } = await temporaryDirectory({ 'out/': '' })
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', at('out')], { stdio: 'ignore' })
    } catch {
      context.skip('no file system can be mounted here')
    }
    withLastTest(() => void execFileSync('umount', ['-l', at('out')]))
    await mkdir(at('folder'))
    for (let n = 0; n < 100; n++) await writeFile(at(`folder/${n}`), Buffer.alloc(60_000, `${n}`))
    const first = await openSender([at('folder')], { env })
    const receiver = pairlay(['receive', first.code, '-o', at('out')], { env, stdin: 'open' })
    await receiver.says('Save')
    await writeFile(at('out/filler'), Buffer.alloc(5 * MIB))
    await receiver.write('y\n')
    const received = await receiver.ended()
    expect([(await first.sender.ended()).exitCode, received.exitCode]).toEqual([5, 1])
    expect(first.sender.events).toContainEqual(expect.objectContaining({ event: 'not_delivered', code: 'no_space' }))
    expect(received.stderr).toContain('the disk is full')
    // Before the question, this time.
    const second = await openSender([at('folder')], { env })
    const refused = await run(['receive', second.code, '--yes', '-o', at('out')], { env })
    expect([(await second.sender.ended()).exitCode, refused.exitCode]).toEqual([5, 5])
    expect(second.sender.events).toContainEqual(expect.objectContaining({ event: 'not_delivered', code: 'no_space' }))
    expect(refused.stderr).toContain('There is no room for it: it takes ')
    await rm(at('out/filler'))
    const third = await openSender([at('folder')], { env })
    const whole = await run(['receive', third.code, '--yes', '-o', at('out')], { env })
    expect([(await third.sender.ended()).exitCode, whole.exitCode]).toEqual([0, 0])
    const [hasBytes = 0] = third.sender.events.flatMap((each) =>
      each.event === 'answer' ? [Number(each.hasBytes)] : [],
    )
    expect(hasBytes).toBeGreaterThan(MIB)
    expect(difference(at('folder'), at('out/folder'))).toBe('')
  })
})

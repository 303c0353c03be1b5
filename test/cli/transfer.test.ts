import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { bytesSource, Sender } from '../../src/client/index.ts'
import {
  describeConcurrent,
  eventually,
  foreignControls,
  handOver,
  KIB,
  MIB,
  memoryOf,
  mostMemory,
  openPlain,
  openSender,
  type Program,
  pairlay,
  RelayProgram,
  relayOfFile,
  run,
  sha256Of,
  showsMemory,
  temporaryDirectory,
} from './support.ts'

const LARGE = 256 * MIB
/** WINDOW_BYTES of a relay nobody has configured. */
const WINDOW_BYTES = 2_098_176

const relay = relayOfFile()
const { env } = relay

/**
 * A file of this size in which every 64 KiB are different and say where they belong, at a place that differs too: nothing
 * can be lost, repeated or swapped without a trace. Most of it is a hole, which costs no time.
 */
async function writeSample(path: string, size: number): Promise<void> {
  const file = await open(path, 'w')
  const stamp = Buffer.alloc(16, 0xa5)
  for (let n = 0; n < size / (64 * KIB); n++) {
    stamp.writeUInt32BE(n)
    await file.write(stamp, 0, stamp.length, n * 64 * KIB + ((n * 7919) % (63 * KIB)))
  }
  await file.truncate(size)
  await file.close()
}

/** Feeds a sender's stdin. `taken` is what it and the pipe have taken of it so far. */
class Feed {
  taken = 0
  readonly #sender: Program
  readonly #hash = createHash('sha256')
  readonly #piece = Buffer.alloc(64 * KIB)

  constructor(sender: Program) {
    this.#sender = sender
  }

  get sha256(): string {
    return this.#hash.copy().digest('hex')
  }

  async upTo(total: number): Promise<void> {
    while (this.taken < total) {
      this.#piece.writeUInt32BE(this.taken / this.#piece.length)
      this.#hash.update(this.#piece)
      await this.#sender.write(this.#piece)
      this.taken += this.#piece.length
    }
  }

  /** Resolves when nothing was taken for half a second. */
  async stalled(): Promise<void> {
    let last = { taken: this.taken, at: performance.now() }
    await eventually('the sender takes no more', () => {
      if (this.taken !== last.taken) last = { taken: this.taken, at: performance.now() }
      return performance.now() - last.at > 500 || undefined
    })
  }
}

describe('a file', () => {
  test('of 256 MiB arrives with the same SHA-256, and no process grows with it', {
    timeout: 180_000,
  }, async (context) => {
    const fresh = await RelayProgram.start()
    const { at } = await temporaryDirectory()
    await writeSample(at('sample'), LARGE)
    const { sender, code } = await openSender([at('sample'), '--relay', fresh.url])
    const idleRelay = memoryOf(fresh.pid)?.now ?? 0
    const idleCli = memoryOf(sender.pid)?.now ?? 0
    const receiver = pairlay(['receive', code, '--relay', fresh.url, '--yes', '-o', at('received')])
    const both = Promise.all([sender.ended(150_000), receiver.ended(150_000)])
    const [relayMost = 0, senderMost = 0, receiverMost = 0] = await mostMemory(
      [fresh.pid, sender.pid, receiver.pid],
      both,
    )
    expect((await both).map(({ exitCode }) => exitCode)).toEqual([0, 0])
    expect((await stat(at('received'))).size).toBe(LARGE)
    expect(await sha256Of(at('received'))).toBe(await sha256Of(at('sample')))
    if (!showsMemory) {
      await context.annotate('memory not looked at: this system has no /proc')
      return
    }
    const grown = { relay: relayMost - idleRelay, sender: senderMost - idleCli, receiver: receiverMost - idleCli }
    await context.annotate(`grown by, in MiB: ${JSON.stringify(grown, (_, n) => (n > 0 ? Math.ceil(n / MIB) : n))}`)
    expect(grown.relay).toBeLessThan(64 * MIB)
    expect(grown.sender).toBeLessThan(100 * MIB)
    expect(grown.receiver).toBeLessThan(100 * MIB)
  })

  test('of 0 bytes arrives', async () => {
    const { at } = await temporaryDirectory({ nothing: '', 'out/': '' })
    await handOver(relay, [at('nothing')], ['-o', at('out')])
    expect((await stat(at('out/nothing'))).size).toBe(0)
  })

  test('is saved into a directory beside others, and as the file that -o names', async () => {
    const { at } = await temporaryDirectory({ 'out/': '', 'out/other': 'other' })
    await writeSample(at('sample'), 300 * KIB)
    for (const output of ['out', 'out/named']) await handOver(relay, [at('sample')], ['-o', at(output)])
    expect((await readdir(at('out'))).sort()).toEqual(['named', 'other', 'sample'])
    expect(await sha256Of(at('out/sample'))).toBe(await sha256Of(at('sample')))
    expect(await sha256Of(at('out/named'))).toBe(await sha256Of(at('sample')))
    expect(await readFile(at('out/other'), 'utf8')).toBe('other')
  })
})

describeConcurrent('several files', () => {
  test('arrive together, empty ones among them, and the name that comes twice gets a number', async () => {
    const { at } = await temporaryDirectory({ 'from/': '', 'out/': '', a: '' })
    await writeSample(at('b'), 3 * MIB + 5)
    await writeFile(at('from/a'), 'the other a')
    await writeFile(at('c'), '')
    await handOver(relay, [at('a'), at('b'), at('from/a'), at('c')], ['-o', at('out')])
    expect((await readdir(at('out'))).sort()).toEqual(['a', 'a (2)', 'b', 'c'])
    expect((await stat(at('out/a'))).size).toBe(0)
    expect(await readFile(at('out/a (2)'), 'utf8')).toBe('the other a')
    expect(await sha256Of(at('out/b'))).toBe(await sha256Of(at('b')))
  })

  test('may be called like the temporary name of each other', async () => {
    const { at } = await temporaryDirectory({ 'out/': '' })
    const names = ['x', 'x.part', 'X.PART.part', 'y.part', 'y']
    for (const name of names) await writeFile(at(name), `this is ${name}`)
    await handOver(relay, names.map(at), ['-o', at('out')])
    const saved = await readdir(at('out'))
    const texts = await Promise.all(saved.map((name) => readFile(at(`out/${name}`), 'utf8')))
    expect(texts.sort()).toEqual(names.map((name) => `this is ${name}`).sort())
  })
})

describeConcurrent('a pipe', () => {
  test('of unknown length goes from stdin to stdout, byte for byte, and stdout is nothing but that', async () => {
    const { at } = await temporaryDirectory()
    await writeSample(at('sample'), 5 * MIB + 1)
    const bytes = await readFile(at('sample'))
    const { sender, code } = await openSender(['-'], { env, stdin: 'open' })
    void sender.write(bytes.subarray(0, 2 * MIB))
    const receiver = pairlay(['receive', code, '--yes', '-o', '-'], { env })
    await receiver.until('the first MiB', () => receiver.stdout.length > MIB || undefined)
    void sender.write(bytes.subarray(2 * MIB))
    sender.endStdin()
    const { exitCode, stdout } = await receiver.ended()
    expect(exitCode).toBe(0)
    expect(stdout.equals(bytes)).toBe(true)
    expect((await sender.ended()).exitCode).toBe(0)
  })

  test('that is empty arrives as nothing', async () => {
    expect((await handOver(relay, ['-'], ['-o', '-'])).stdout).toHaveLength(0)
  })

  test('can be saved as a file', async () => {
    const { at } = await temporaryDirectory()
    await handOver(relay, ['-'], [], { stdin: 'from a pipe', cwd: at('.') })
    expect(await readFile(at('stdin'), 'utf8')).toBe('from a pipe')
  })
})

describeConcurrent('a text', () => {
  const text = 'two lines,\nGrüße and 🎉, \u001b[31mred\u001b[0m,\r\nand no end'

  test('is written to stdout as it is, and not saved', async () => {
    const { path } = await temporaryDirectory()
    const { stdout } = await handOver(relay, ['--text'], [], { stdin: text, cwd: path })
    expect(stdout.toString()).toBe(text)
    expect(await readdir(path)).toEqual([])
  })

  test('that begins with a byte order mark keeps it', async () => {
    const { stdout } = await handOver(relay, ['--text'], [], { stdin: '\ufeffhello' })
    expect(stdout.toString()).toBe('\ufeffhello')
  })

  test.each(['hello', '-o', 'one\n\ttwo  three'])('%j on the command line arrives as it was given', async (text) => {
    const { stdout } = await handOver(relay, [`--text=${text}`], [])
    expect(stdout.toString()).toBe(text)
  })

  test('of another client that is not UTF-8 reaches a pipe as it was sent', async () => {
    const bytes = Uint8Array.of(0xff, 0xfe, 0x20, 0xe9)
    const sender = await Sender.open({ relay: relay.url })
    const receiver = pairlay(['receive', sender.code, '--yes'], { env })
    for await (const request of sender.requests()) await request.approve()
    await sender.send([bytesSource(bytes, 'text', 'application/x-pairlay-text')])
    await sender.close()
    expect(await receiver.ended()).toMatchObject({ exitCode: 0, stdout: Buffer.from(bytes) })
  })

  test('is saved where -o says', async () => {
    const { at } = await temporaryDirectory()
    expect((await handOver(relay, ['--text'], ['-o', at('note')], { stdin: text })).stdout).toHaveLength(0)
    expect(await readFile(at('note'), 'utf8')).toBe(text)
  })
})

describe.skipIf(!showsMemory)('a receiver whose output nobody reads', () => {
  test('stalls the sender and not the relay, nor grows itself, and gets everything in the end', async (context) => {
    const TOTAL = 16 * MIB
    const fresh = await RelayProgram.start()
    const { sender, code } = await openSender(['-', '--relay', fresh.url], { stdin: 'open' })
    const idle = memoryOf(fresh.pid)?.now ?? 0
    const idleCli = memoryOf(sender.pid)?.now ?? 0
    const receiver = pairlay(['receive', code, '--relay', fresh.url, '--yes', '-o', '-'], { stdoutUnread: true })
    const feed = new Feed(sender)
    void feed.upTo(TOTAL)
    const [most = 0] = await mostMemory([fresh.pid], feed.stalled())
    // The window, and what two pipes and the sender's one frame hold beside it.
    expect(feed.taken).toBeLessThan(WINDOW_BYTES + 3 * MIB)
    expect(most - idle).toBeLessThan(WINDOW_BYTES + 16 * MIB)
    await context.annotate(`the relay grew by ${((most - idle) / MIB).toFixed(1)} MiB`)
    expect((memoryOf(receiver.pid)?.most ?? 0) - idleCli).toBeLessThan(64 * MIB)
    const hash = createHash('sha256')
    receiver.readStdout((piece) => hash.update(piece))
    await eventually('the rest is taken', () => feed.taken === TOTAL || undefined)
    sender.endStdin()
    expect([(await receiver.ended()).exitCode, (await sender.ended()).exitCode]).toEqual([0, 0])
    expect(hash.digest('hex')).toBe(feed.sha256)
  })
})

describeConcurrent('the mode of a file that was received', () => {
  test.each([
    [[], '600'],
    [['--mode', '644'], '644'],
    [['--mode', '0755'], '755'],
  ])('with %j is %s', async (args, mode) => {
    const { at } = await temporaryDirectory()
    await handOver(relay, ['-'], ['-o', at('file'), ...args], { stdin: 'content' })
    expect(((await stat(at('file'))).mode & 0o7777).toString(8)).toBe(mode)
  })
})

describeConcurrent('names', () => {
  /** Names that a sender may give a thing, with what each is saved as. */
  const NAMES: readonly (readonly [sent: string, saved: string])[] = [
    ['Grüße 日本語 🎉.txt', 'Grüße 日本語 🎉.txt'],
    ['..\\..\\climber', 'climber'],
    ['C:\\autoexec.bat', 'autoexec.bat'],
    ['...', 'received'],
    ['\\', 'received (2)'],
    ['.bashrc', '_bashrc'],
    ['-rf', '_rf'],
    ['title\u001b]0;owned\u0007', 'title ]0;owned'],
    ['turned\u202egpj.exe', 'turned gpj.exe'],
    ['CON', '_CON'],
    ['console', 'console'],
    ['same', 'same'],
    ['SAME', 'SAME (2)'],
    ['far/away\\same', 'far/away_same'],
    ['far/.hidden/-x', 'far/.hidden/_x'],
    ['far/a:b', 'far/a_b'],
    ['far/A_B', 'far/A_B (2)'],
    ['far/CON/x', 'far/_CON/x'],
    ['l'.repeat(255), 'l'.repeat(240)],
  ]

  test('that a sender makes up are saved as safe ones, inside the directory, and none is shown raw', async () => {
    const { at, path } = await temporaryDirectory()
    await mkdir(at('a/b/out'), { recursive: true })
    const attacker = await Sender.open({ relay: relay.url })
    const receiver = pairlay(['receive', attacker.code, '--yes', '-o', at('a/b/out')], { env })
    for await (const request of attacker.requests()) await request.approve()
    const sources = NAMES.map(([name], index) => bytesSource(Buffer.from(`item ${index}`), name))
    const [receipt] = await attacker.send(sources)
    await attacker.close()
    expect(receipt?.delivered).toBe(true)
    const { exitCode, stderr } = await receiver.ended()
    expect(exitCode).toBe(0)
    expect(foreignControls(stderr)).toEqual([])
    expect(stderr).toContain(`Saved ${at('a/b/out/console')}.\n`)
    expect(stderr).toContain(`Saved as ${at('a/b/out/_CON')} (was CON).\n`)
    expect(stderr).toContain(`Saved as ${at('a/b/out/turned gpj.exe')} (was turned<U+202E>gpj.exe).\n`)
    expect(await readdir(at('a/b/out'))).toHaveLength(NAMES.length - 4)
    expect((await readdir(path, { recursive: true })).filter((name) => !name.startsWith('a/b/out/'))).toEqual([
      'a',
      'a/b',
      'a/b/out',
    ])
    for (const [index, [, saved]] of NAMES.entries()) {
      expect(await readFile(at(`a/b/out/${saved}`), 'utf8')).toBe(`item ${index}`)
    }
  })

  test.skipIf(process.platform === 'win32')('of files that no terminal should see are sent as they are', async () => {
    const { at } = await temporaryDirectory()
    const name = 'a \u001b[31m\nstrange\u202e name'
    await mkdir(at('out'))
    await writeFile(at(name), 'content')
    const { sender, code } = await openPlain(['--yes', at(name)], { env })
    expect((await run(['receive', code, '--yes', '-o', at('out')], { env })).exitCode).toBe(0)
    const { exitCode, stderr } = await sender.ended()
    expect(exitCode).toBe(0)
    expect(stderr).toContain('Sending a [31m strange name (7 bytes).')
    expect(foreignControls(stderr)).toEqual([])
    expect(await readdir(at('out'))).toEqual(['a [31m strange name'])
  })
})

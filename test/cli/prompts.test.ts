import { execFileSync } from 'node:child_process'
import { open, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { formatMatchNumber, PAIRING_ERRORS } from '../../src/client/index.ts'
import { withLastTest } from '../support/leftovers.ts'
import {
  describeTerminal,
  eventually,
  foreignControls,
  MIB,
  offer,
  openFile,
  openSender,
  RelayProgram,
  relayOfFile,
  Screen,
  type ScreenOptions,
  take,
  temporaryDirectory,
  withOtherSecret,
} from './support.ts'

const relay = relayOfFile()
const { env } = relay

const ESCAPE = '\u001b'
const YES_NO = /Does the other device show (\d{3} \d{3})\? \[y\/N\] /
const TYPE_IT = '2 devices know the code. Type the number that the right one shows (Enter: none): '
const SAVE_IT = /Save it as \S+, if the sender shows (\d{3} \d{3})\? \[y\/N\] /
const ANOTHER_NAME = 'is there already, and is not overwritten. Another name (Enter: '
const HOSTILE = `x${ESCAPE}[2J${ESCAPE}]0;title\u0007\u009b31m\u202e\ny`
const CLEANED = 'x [2J ]0;title 31m y'

/** A sender at a terminal that offers a file, and its code. */
async function openScreen(args: readonly string[] = [], options: ScreenOptions = { env }) {
  const directory = await temporaryDirectory()
  await writeFile(directory.at('file'), 'content')
  const screen = new Screen(['send', ...args, directory.at('file')], options)
  const [, code = ''] = await screen.says(/Code: (\S+)/)
  return { ...directory, screen, code }
}

/** A receiver at a terminal, in a directory of its own that has these files. */
async function openReceiver(code: string, args: readonly string[] = [], present: readonly string[] = []) {
  const directory = await temporaryDirectory()
  for (const name of present) await writeFile(directory.at(name), 'mine')
  return { ...directory, screen: new Screen(['receive', code, ...args], { env, cwd: directory.path }) }
}

/** Resolves when the process has ended whose number this file has. */
async function ended(pidFile: string): Promise<void> {
  const pid = Number(await readFile(pidFile, 'utf8'))
  await eventually(`process ${pid} has ended`, () => {
    try {
      process.kill(pid, 0)
      return undefined
    } catch {
      return true
    }
  })
}

describeTerminal('the sender at a terminal', () => {
  /** A relay that says that it has a page, at an address of another machine. */
  async function relayWithPage(): Promise<string> {
    const own = createServer((request, response) => {
      if (request.url === '/version') {
        response.end('{"page":true}')
        return
      }
      const headers = { ...request.headers, host: new URL(relay.url).host }
      const call = httpRequest(relay.url + request.url, { method: request.method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
      })
      call.on('error', () => response.destroy())
      request.pipe(call)
    })
    await new Promise<void>((resolve) => own.listen(0, '127.0.0.1', resolve))
    withLastTest(() => {
      own.closeAllConnections()
      own.close()
    })
    return `http://0.0.0.0:${(own.address() as AddressInfo).port}`
  }

  test('sees a QR code, and the link as a text, where the relay has a page that it leads to', async () => {
    const screen = new Screen(['send', '--relay', await relayWithPage(), '-'])
    await screen.says('Code: ')
    expect(screen.raw).toContain(`${ESCAPE}[30;107m`)
    expect(screen.text).toMatch(/█▀▀▀▀▀█/)
    expect(screen.text).toMatch(/\nor open http:\/\/0\.0\.0\.0:\d+\/#\S+\n/)
  })

  const PLAIN = { PAIRLAY_PLAIN: '1' }
  test.each([
    ['with --no-qr', ['--no-qr'], {}],
    ['with --plain', ['--plain'], {}],
    ['with -q', ['-q'], {}],
    ['in a terminal of 23 rows', [], { rows: 23 }],
    ['in a dumb terminal', [], { env: { TERM: 'dumb' } }],
    ['where PAIRLAY_PLAIN is set', [], { env: PLAIN }],
  ] as const)('sees no QR code %s', async (_, args, options) => {
    const screen = new Screen(['send', '--relay', await relayWithPage(), ...args, '-'], options)
    await screen.says('Code: ')
    expect(screen.raw).not.toContain(ESCAPE)
    expect(screen.raw).not.toContain('█')
  })

  test('is asked to compare the number, and sends after a yes', async () => {
    const { screen, code } = await openScreen()
    expect(screen.raw).not.toContain(ESCAPE)
    const receiver = await take(relay, code)
    const [, number = ''] = await screen.says(YES_NO)
    expect(formatMatchNumber(await receiver.number)).toBe(number)
    await screen.enter('y')
    expect((await screen.ended()).exitCode).toBe(0)
    expect(await receiver.taken).toEqual({ items: ['content'] })
    const end = screen.shown.findIndex((line) => YES_NO.test(line))
    expect(screen.shown.slice(end)).toEqual([
      `Does the other device show ${number}? [y/N] y`,
      'Approved. Waiting until the other side accepts it …',
      `${number} accepts.`,
      expect.stringMatching(`^Delivered to ${number}: 7 bytes `),
      '',
    ])
    expect(foreignControls(screen.raw)).toEqual([])
  })

  test('of 40 columns reads lines and questions that break between words', async () => {
    const { screen, code } = await openScreen(['--receivers', '2'], { env, columns: 40 })
    const receiver = await take(relay, code)
    const number = formatMatchNumber(await receiver.number)
    await screen.says(`A device has proved that it knows the\ncode. Its number: ${number}\n`)
    await screen.answer(`Does the other device show ${number}?\n[y/N] `, 'y')
    await screen.answer('Waiting for more devices. Press Enter to\nsend to those approved now. ', '')
    expect((await screen.ended()).exitCode).toBe(0)
  })

  test('denies with n, nothing is sent, and the code is of no use any more', async () => {
    const { screen, code } = await openScreen()
    const receiver = await take(relay, code)
    await screen.answer(YES_NO, 'n')
    expect((await screen.ended()).exitCode).toBe(3)
    expect(screen.shown.at(-2)).toContain('pairlay: No device was approved, and nothing was sent.')
    expect(await receiver.taken).toEqual({ error: 'denied' })
    await expect(take(relay, code)).rejects.toMatchObject({ code: 'code_not_found' })
  })

  test('has approved nobody with lines of y that were typed before a device came', async () => {
    const { screen, code } = await openScreen()
    for (let line = 0; line < 5; line++) await screen.enter('y')
    await screen.says(/\ny(?=\n)/, 5)
    const receiver = await take(relay, code)
    await screen.answer(YES_NO, 'n')
    expect((await screen.ended()).exitCode).toBe(3)
    expect(await receiver.taken).toEqual({ error: 'denied' })
  })

  test('has approved nobody with a y that was typed while another question was shown', async () => {
    const { screen, code } = await openScreen(['--receivers', '2'])
    const receiver = await take(relay, code)
    await screen.says(YES_NO)
    const second = await take(relay, code)
    await screen.says(TYPE_IT)
    await screen.type(`${await receiver.number}\r${await second.number}\r`)
    await screen.answer(TYPE_IT, '', 2)
    expect((await screen.ended()).exitCode).toBe(0)
    expect(await receiver.taken).toEqual({ items: ['content'] })
    expect(await second.taken).toEqual({ error: 'closed_by_sender' })
  })

  test('that presses Ctrl-D approves nobody', async () => {
    const { screen, code } = await openScreen()
    const receiver = await take(relay, code)
    await screen.says(YES_NO)
    await screen.type('\u0004')
    expect((await screen.ended()).exitCode).toBe(2)
    expect(screen.shown.slice(-3, -1)).toEqual([
      expect.stringMatching(/\[y\/N\] $/),
      'pairlay: There is nobody to answer. Use --yes to approve without asking.',
    ])
    expect(await receiver.taken).toEqual({ error: 'closed_by_sender' })
  })

  test('with an attacker who knows the code too has to type the number, and a yes approves nobody', async () => {
    const { screen, code } = await openScreen()
    const receiver = await take(relay, code)
    await screen.says(YES_NO)
    const attacker = await take(relay, code, 'the attacker')
    await screen.answer(TYPE_IT, 'y')
    await screen.says(PAIRING_ERRORS.no_such_number)
    await screen.answer(TYPE_IT, '123 45', 2)
    await screen.answer(TYPE_IT, formatMatchNumber(await receiver.number), 3)
    expect((await screen.ended()).exitCode).toBe(0)
    expect(await receiver.taken).toEqual({ items: ['content'] })
    expect(await attacker.taken).toEqual({ error: 'closed_by_sender' })
  })

  test('has to type the number once an attacker has tried a wrong code', async () => {
    const { screen, code } = await openScreen()
    const receiver = await take(relay, code)
    await screen.says(YES_NO)
    const attacker = await take(relay, withOtherSecret(code))
    expect(await attacker.taken).toEqual({ error: 'wrong_code' })
    await screen.says('\n1 device tried a wrong code.\n')
    await screen.answer(
      'Others have tried this code. Type the number that the right one shows (Enter: none): ',
      await receiver.number,
    )
    expect((await screen.ended()).exitCode).toBe(0)
    expect(await receiver.taken).toEqual({ items: ['content'] })
  })

  test('sees what happens meanwhile on a line of its own, and the question again', async () => {
    const own = await RelayProgram.start()
    const { at } = await temporaryDirectory({ file: 'content' })
    const screen = new Screen(['send', '--relay', own.url, at('file')])
    const [, code = ''] = await screen.says(/Code: (\S+)/)
    await take(own, code)
    const [question = ''] = await screen.says(YES_NO)
    await own.stop('SIGKILL')
    await screen.says(`${question}\nThe connection to the relay is lost. Trying again …\n${question}`)
    await screen.type('\u0003')
    await screen.ended()
  })

  test('never obeys what an attacker calls itself', async () => {
    const { screen, code } = await openScreen()
    const attacker = await take(relay, code, HOSTILE)
    await screen.says(`\n    It calls itself ${CLEANED}\n`)
    await screen.says(YES_NO)
    expect(foreignControls(screen.raw)).toEqual([])
    expect(screen.raw).not.toMatch(/[\u009b\u202e]/)
    await attacker.leave()
  })

  test('is asked there, when stdin is a pipe that is sent', async () => {
    const { at } = await temporaryDirectory({ file: 'from a pipe' })
    const screen = new Screen(['send', '-'], { env, after: `< ${at('file')}` })
    const [, code = ''] = await screen.says(/Code: (\S+)/)
    const receiver = await take(relay, code)
    await screen.answer(YES_NO, 'y')
    expect((await screen.ended()).exitCode).toBe(0)
    expect(await receiver.taken).toEqual({ items: ['from a pipe'] })
  })

  test('with --json sees events alone', async () => {
    const screen = new Screen(['send', '--json', '-'], { env })
    await screen.says('"status":"connected"')
    await screen.type('\u0003')
    expect((await screen.ended()).exitCode).toBe(130)
    const lines = screen.text.replace('^C', '').trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line).event)).toEqual(['code', 'connection', 'interrupted'])
    expect(foreignControls(screen.raw)).toEqual([])
  })

  test('ends the session with Ctrl-C', async () => {
    const { screen, code } = await openScreen()
    await screen.type('\u0003')
    const { exitCode, text } = await screen.ended()
    expect([exitCode, text.endsWith('\nStopped.\n')]).toEqual([130, true])
    await expect(take(relay, code)).rejects.toMatchObject({ code: 'code_not_found' })
  })

  test('ends with its terminal, and the session too', async () => {
    const { at } = await temporaryDirectory()
    const { screen, code } = await openScreen([], { env, before: `echo $$ > ${at('pid')}` })
    const receiver = await take(relay, code)
    await screen.says(YES_NO)
    screen.close()
    expect(await receiver.taken).toEqual({ error: 'closed_by_sender' })
    await ended(at('pid'))
  })
})

describeTerminal('the receiver at a terminal', () => {
  test('is asked for the code, and then whether to save', async () => {
    const { at, path } = await temporaryDirectory()
    const { sender, code } = await openSender(['-'], { env, stdin: 'content' })
    const screen = new Screen(['receive', '-o', at('file')], { env })
    await screen.answer('Code: ', code.toLowerCase())
    const [, number = ''] = await screen.says(SAVE_IT)
    expect(number).toBe(formatMatchNumber(String((await sender.event('request')).matchNumber)))
    expect(await readdir(path)).toEqual([])
    await screen.enter('Y')
    expect([(await screen.ended()).exitCode, (await sender.ended()).exitCode]).toEqual([0, 0])
    expect(await readFile(at('file'), 'utf8')).toBe('content')
    expect(screen.shown).toEqual([
      `Code: ${code.toLowerCase()}`,
      'Checking the code with the sender …',
      `The sender should show ${number}. Waiting for its approval …`,
      'Approved. Waiting for what it sends …',
      'The sender offers stdin of unknown length.',
      `Save it as ${at('file')}, if the sender shows ${number}? [y/N] Y`,
      `Saved ${at('file')}.`,
      expect.stringMatching(/^Received 7 bytes in /),
      '',
    ])
  })

  test('that has mistyped the code is told why and asked again, as after an empty line', async () => {
    const { sender, code } = await openSender(['-'], { env, stdin: 'content' })
    const { path } = await temporaryDirectory()
    const screen = new Screen(['receive', '--yes'], { env, cwd: path })
    await screen.answer('Code: ', code.slice(0, -1))
    await screen.says('A pairing code has 11 symbols')
    await screen.answer('Code: ', '', 2)
    await screen.answer('There is no code. Enter the one that the sender shows.\nCode: ', 'relay.example/#')
    await screen.says('The address in this link has no http:// or https:// in front')
    await screen.answer('Code: ', code, 4)
    expect([(await screen.ended()).exitCode, (await sender.ended()).exitCode]).toEqual([0, 0])
  })

  test('that presses Ctrl-D instead of a code is asked no more', async () => {
    const screen = new Screen(['receive'], { env })
    await screen.answer('Code: ', 'WRONG')
    await screen.says('Code: ', 2)
    await screen.type('\u0004')
    expect((await screen.ended()).exitCode).toBe(2)
    expect(screen.shown.at(-2)).toBe('pairlay: There is no code. Enter the one that the sender shows.')
  })

  test('is asked once about a relay that only the link names, and a no asks nothing of it', async () => {
    const { sender, link } = await openSender(['-'], { env, stdin: 'content' })
    const usual = { PAIRLAY_RELAY: 'http://127.0.0.1:1' }
    const question = `The link leads to ${relay.url}, which is not the usual relay. Go there? [y/N] `
    const refusing = new Screen(['receive', link], { env: usual })
    await refusing.answer(question, 'n')
    expect((await refusing.ended()).exitCode).toBe(2)
    expect(refusing.shown.at(-2)).toBe('pairlay: That relay was asked nothing.')
    const { at } = await temporaryDirectory()
    const screen = new Screen(['receive', '-o', at('file')], { env: usual })
    await screen.answer('Code: ', link)
    await screen.answer(question, 'y')
    await screen.answer(SAVE_IT, 'y')
    expect([(await screen.ended()).exitCode, (await sender.ended()).exitCode]).toEqual([0, 0])
    expect(screen.text.split('Go there?')).toHaveLength(2)
  })

  test('has accepted nothing with a y that it typed before the offer came', async () => {
    const { sender, code } = await openFile([], { env, stdin: 'open' })
    const { screen, path } = await openReceiver(code)
    await screen.answer('Waiting for its approval', 'y')
    await screen.says(/\ny(?=\n)/)
    await sender.write('y\n')
    await screen.answer(SAVE_IT, 'n')
    expect([(await screen.ended()).exitCode, (await sender.ended()).exitCode]).toEqual([5, 5])
    expect(await readdir(path)).toEqual([])
  })

  test('refuses with Enter, and nothing is saved', async () => {
    const { code, delivered } = await offer(relay, { file: 'content' })
    const { screen, path } = await openReceiver(code)
    await screen.answer(SAVE_IT, '')
    expect((await screen.ended()).exitCode).toBe(5)
    expect(screen.shown.at(-2)).toBe('pairlay: Refused. Nothing was saved.')
    expect(await delivered).toEqual([false])
    expect(await readdir(path)).toEqual([])
  })

  test('is asked for another name as long as the name is taken', async () => {
    const { code, delivered } = await offer(relay, { file: 'content' })
    const { screen, at } = await openReceiver(code, [], ['file', 'taken'])
    await screen.says(`file ${ANOTHER_NAME}`)
    await screen.enter('taken')
    await screen.says(`taken ${ANOTHER_NAME}`)
    await screen.enter('missing/free')
    await screen.says('There is no directory missing. Another name (Enter: file (2)): ')
    await screen.enter('free')
    await screen.says('Save it as free, ')
    await screen.enter('y')
    expect((await screen.ended()).exitCode).toBe(0)
    expect(await delivered).toEqual([true])
    const texts = ['free', 'file', 'taken'].map((name) => readFile(at(name), 'utf8'))
    expect(await Promise.all(texts)).toEqual(['content', 'mine', 'mine'])
  })

  test('is asked for another name than those of the other files', async () => {
    const { code, delivered } = await offer(relay, { one: '1', two: '2', three: '3' })
    const { screen, at } = await openReceiver(code, [], ['one', 'two'])
    const CLASH = 'is the name of another of these files. Another name (Enter: '
    await screen.says(`one ${ANOTHER_NAME}`)
    await screen.enter('./Three')
    await screen.says(`Three ${CLASH}`)
    await screen.enter('free')
    await screen.says(`two ${ANOTHER_NAME}`)
    await screen.enter('FREE')
    await screen.says(`FREE ${CLASH}`)
    await screen.enter('other')
    await screen.says('[y/N, l: list] ')
    await screen.enter('y')
    expect((await screen.ended()).exitCode).toBe(0)
    expect((await delivered).every(Boolean)).toBe(true)
    const texts = ['free', 'other', 'three'].map((name) => readFile(at(name), 'utf8'))
    expect(await Promise.all(texts)).toEqual(['1', '2', '3'])
  })

  test('is asked for another name than that of -o before the code', async () => {
    const { sender, code } = await openSender(['-'], { env, stdin: 'content' })
    const { at } = await temporaryDirectory({ file: 'mine' })
    const screen = new Screen(['receive', '-o', at('file')], { env })
    await screen.answer(`file ${ANOTHER_NAME}`, at('other'))
    await screen.answer('Code: ', code)
    await screen.answer(SAVE_IT, 'y')
    expect([(await screen.ended()).exitCode, (await sender.ended()).exitCode]).toEqual([0, 0])
    expect(await readFile(at('other'), 'utf8')).toBe('content')
    expect(await readFile(at('file'), 'utf8')).toBe('mine')
  })

  test('that names no other name takes the one that is proposed', async () => {
    const { code, delivered } = await offer(relay, { 'file.txt': 'content' })
    const { screen, at, path } = await openReceiver(code, [], ['file.txt', 'file (2).txt'])
    await screen.says('(Enter: file (3).txt): ')
    await screen.enter('')
    await screen.says('Save it as file (3).txt, ')
    await screen.enter('y')
    expect((await screen.ended()).exitCode).toBe(0)
    expect(await delivered).toEqual([true])
    expect((await readdir(path)).sort()).toEqual(['file (2).txt', 'file (3).txt', 'file.txt'])
    expect(await readFile(at('file.txt'), 'utf8')).toBe('mine')
  })

  test('lists a folder on l, and is asked again', async () => {
    const { code, delivered } = await offer(relay, { 'folder/a': '1', 'folder/b': '22' })
    const { screen, path } = await openReceiver(code)
    await screen.says(/folder\/ {2}2 files, 3 bytes/)
    await screen.says('[y/N, l: list] ')
    await screen.enter('l')
    await screen.says('folder/b  2 bytes')
    await screen.says('[y/N, l: list] ')
    await screen.enter('y')
    expect((await screen.ended()).exitCode).toBe(0)
    expect(await delivered).toEqual([true])
    expect((await readdir(path, { recursive: true })).sort()).toEqual(['folder', 'folder/a', 'folder/b'])
  })

  test('never obeys what an attacker calls its items', async () => {
    const attacker = await offer(relay, { [HOSTILE]: 'x', [`${HOSTILE}2`]: 'x' })
    const { screen, path } = await openReceiver(attacker.code)
    await screen.says('[y/N, l: list] ')
    await screen.enter('y')
    expect((await screen.ended()).exitCode).toBe(0)
    expect(await attacker.delivered).toEqual([true])
    expect(foreignControls(screen.raw)).toEqual([])
    expect(screen.raw).not.toMatch(/[\u009b\u202e]/)
    expect((await readdir(path)).sort()).toEqual([CLEANED, `${CLEANED}2`])
  })

  test('never obeys what an attacker writes in a text', async () => {
    const { sender: attacker, code } = await openSender(['--text'], { env, stdin: `one\n${HOSTILE}\nend` })
    const { screen } = await openReceiver(code, ['--yes'])
    expect([(await screen.ended()).exitCode, (await attacker.ended()).exitCode]).toEqual([0, 0])
    expect(foreignControls(screen.raw)).toEqual([])
    expect(screen.shown.slice(-5)).toEqual(['one', 'x␛[2J␛]0;title␇<U+009B>31m<U+202E>', 'y', 'end', ''])
  })
})

describeTerminal('a text at a terminal', () => {
  test('is shown exactly: tabs, indentation, runs of spaces and joiners', async () => {
    const text = 'def f():\n\treturn "a  b"\n\n    می‌خواهم 👨‍👩‍👧\n'
    const { sender, code } = await openSender(['--text'], { env, stdin: text })
    const { screen } = await openReceiver(code, ['--yes'])
    expect([(await screen.ended()).exitCode, (await sender.ended()).exitCode]).toEqual([0, 0])
    expect(screen.text.slice(-text.length)).toBe(text)
  })

  test('is sent as it was typed, with the spaces around it', async () => {
    const screen = new Screen(['send', '--text'], { env })
    await screen.answer('Text to send: ', '  two  spaces ')
    const [, code = ''] = await screen.says(/Code: (\S+)/)
    const receiver = await take(relay, code)
    await screen.answer(YES_NO, 'y')
    expect((await screen.ended()).exitCode).toBe(0)
    expect(await receiver.taken).toEqual({ items: ['  two  spaces '] })
  })
})

/** A pipe from a sender to a receiver, each at a terminal. */
async function openPipe(columns = 160) {
  const { at } = await temporaryDirectory()
  execFileSync('mkfifo', [at('pipe')])
  const sender = new Screen(['send', '--yes', '-'], { env, columns, after: `< ${at('pipe')}` })
  const pipe = await open(at('pipe'), 'w')
  const [, code = ''] = await sender.says(/Code: (\S+)/)
  const receiver = new Screen(['receive', code, '--yes', '-o', at('file')], { env, columns })
  const flowUntil = async (shown: Promise<unknown>) => {
    let enough = false
    const watching = shown.finally(() => {
      enough = true
    })
    await eventually('enough progress', async () => {
      await pipe.write(Buffer.alloc(MIB / 2))
      return enough || undefined
    })
    await watching
  }
  return { sender, receiver, pipe, flowUntil }
}

describeTerminal('progress at a terminal', () => {
  const LINE = /^\d+(\.\d)? [KM]iB {2}[\d.]+ \w+\/s$/

  test.each([
    ['of 80 columns', 80],
    ['of 40 columns', 40],
    ['that does not say how wide it is', 0],
  ])('%s is one line at each side, rewritten again and again, and gone in the end', async (_, columns) => {
    const { sender, receiver, pipe, flowUntil } = await openPipe(columns)
    await flowUntil(Promise.all([sender.says(/\S+ MiB {2}/, 3), receiver.says(/\S+ MiB {2}/, 3)]))
    await pipe.close()
    expect([(await sender.ended()).exitCode, (await receiver.ended()).exitCode]).toEqual([0, 0])
    for (const screen of [sender, receiver]) {
      const lines = screen.text.split('\n')
      expect(lines.filter((line) => LINE.test(line)).length).toBeGreaterThan(2)
      expect(screen.raw.split(`${ESCAPE}[1A${ESCAPE}[J`).length).toBeGreaterThan(2)
      expect(screen.shown.filter((line) => / MiB {2}/.test(line))).toEqual([])
      expect(foreignControls(screen.raw)).toEqual([])
    }
  })
})

describeTerminal('Ctrl-C during the progress', () => {
  test.each(['sender', 'receiver'])('leaves nothing of it behind at the %s', async (side) => {
    const { sender, receiver, pipe, flowUntil } = await openPipe()
    const screen = side === 'sender' ? sender : receiver
    await flowUntil(screen.says(/\S+ MiB {2}/))
    await screen.type('\u0003')
    expect((await screen.ended()).exitCode).toBe(130)
    expect(screen.raw).toContain('^C')
    const last = side === 'sender' ? /\d{3} accepts\.$/ : /^The sender offers/
    const end = screen.shown.findIndex((line) => last.test(line))
    const unsent = side === 'sender' ? [expect.stringMatching(/^Not delivered to \d{3} \d{3}\. Stopped here\.$/)] : []
    expect(screen.shown.slice(end + 1)).toEqual([...unsent, 'Stopped.', ''])
    await pipe.close()
    await Promise.all([sender.ended(), receiver.ended()])
  })
})

describeTerminal('a command under nohup', () => {
  /** Runs it at a terminal in a directory of its own, and gives the process that it becomes. */
  async function outlasting(args: readonly string[], env: Readonly<Record<string, string>>) {
    const { at, path } = await temporaryDirectory({ file: 'content' })
    const before = `trap 'exit' HUP; echo $$ > ${at('pid')}`
    const screen = new Screen(args, { env, cwd: path, before, under: 'nohup', after: `> ${at('out')} 2>&1` })
    const said = (pattern: RegExp) =>
      eventually(
        `says ${pattern}`,
        async () => (await readFile(at('out'), 'utf8').catch(() => '')).match(pattern) ?? undefined,
      )
    const signal = async (signal: NodeJS.Signals) => process.kill(Number(await readFile(at('pid'), 'utf8')), signal)
    const hangUp = async () => {
      await signal('SIGHUP')
      screen.close()
    }
    return { said, signal, hangUp, ended: () => ended(at('pid')) }
  }

  test('continues when its terminal is closed: a sender', async () => {
    const { said, hangUp, ended } = await outlasting(['send', '--yes', 'file'], env)
    const [, code = ''] = await said(/Code: (\S+)/)
    await hangUp()
    expect(await (await take(relay, code)).taken).toEqual({ items: ['content'] })
    await ended()
    await said(/Delivered/)
  })

  test('continues when its terminal is closed: a receiver', async () => {
    const waiting = await openSender(['-'], { env, stdin: 'open' })
    const { said, hangUp, ended } = await outlasting(['receive', waiting.code, '--yes', '-o', 'got'], env)
    await said(/Approved/)
    await hangUp()
    waiting.sender.endStdin()
    await ended()
    await said(/Saved got/)
  })

  test('continues when its terminal is closed: a relay', async () => {
    const { said, signal, hangUp, ended } = await outlasting(['serve', '--port', '0'], {})
    const [, port] = await said(/"port":(\d+),"msg":"the relay is ready"/)
    await hangUp()
    const { sender } = await openSender(['-', '--relay', `http://127.0.0.1:${port}`])
    await sender.event('connection')
    await signal('SIGTERM')
    await ended()
  })
})

describeTerminal('a command whose shell ignores hang-ups', () => {
  test('continues when its terminal is closed', async () => {
    const { at } = await temporaryDirectory({ file: 'content' })
    const under = `sh -c 'trap "" HUP; "$@"; exit' sh`
    const screen = new Screen(['send', '--yes', at('file')], { env, under })
    const [, code = ''] = await screen.says(/Code: (\S+)/)
    screen.close()
    expect(await (await take(relay, code)).taken).toEqual({ items: ['content'] })
  })
})

describeTerminal('serve at a terminal', () => {
  async function openServe(before?: string) {
    const screen = new Screen(['serve', '--port', '0'], before === undefined ? {} : { before })
    const [, port] = await screen.says(/"port":(\d+),"msg":"the relay is ready"/)
    const url = `http://127.0.0.1:${port}`
    const { sender } = await openSender(['-', '--relay', url])
    await sender.event('connection')
    return { screen, sender, url }
  }

  test.each(['once', 'twice'])('drains its sessions and ends in good order on Ctrl-C, seen %s', async () => {
    const { screen, sender } = await openServe()
    await screen.type('\u0003')
    const { exitCode, text } = await screen.ended()
    expect([exitCode, (await sender.ended()).exitCode]).toEqual([0, 4])
    expect(text).toContain('"msg":"stopped"')
  })

  test('ends with its terminal, and the relay too', async () => {
    const { at } = await temporaryDirectory()
    const { screen, sender, url } = await openServe(`echo $$ > ${at('pid')}`)
    screen.close()
    expect((await sender.ended()).exitCode).toBe(4)
    await ended(at('pid'))
    await eventually('the relay has ended', () =>
      fetch(url).then(
        () => undefined,
        () => true,
      ),
    )
  })
})

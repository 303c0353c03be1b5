import { execFileSync } from 'node:child_process'
import { open, readdir, readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { bytesSource, formatMatchNumber, PAIRING_ERRORS, Receiver, Sender } from '../../src/client/index.ts'
import {
  describeTerminal,
  foreignControls,
  MIB,
  openSender,
  pairlay,
  RelayProgram,
  run,
  Screen,
  temporaryDirectory,
} from './support.ts'

const relay = await RelayProgram.start()
const env = { PAIRLAY_RELAY: relay.url }

const ESCAPE = '\u001b'
const YES_NO = /Does the other device show (\d{3} \d{3})\? \[y\/N\] /
const TYPE_IT = '2 devices know the code. Type the number that the right one shows (Enter: none): '
const HOSTILE = `x${ESCAPE}[2J${ESCAPE}]0;title\u0007\u009b31m\u202e\ny`

/** A sender at a terminal that offers a file with this content, and its code. */
async function openScreen(args: readonly string[] = []) {
  const directory = await temporaryDirectory()
  await writeFile(directory.at('file'), 'content')
  const screen = new Screen(['send', ...args, directory.at('file')], { env })
  const [, code = ''] = await screen.says(/Code: (\S+)/)
  return { ...directory, screen, code }
}

describeTerminal('the sender at a terminal', () => {
  test('sees a QR code, is asked to compare the number, and sends after a yes', async () => {
    const { screen, code, at } = await openScreen()
    expect(screen.raw).toContain(`${ESCAPE}[30;107m`)
    expect(screen.text).toMatch(/█▀▀▀▀▀█/)
    const receiver = pairlay(['receive', code, '--yes', '-o', at('received')], { env })
    const [, number = ''] = await screen.says(YES_NO)
    await receiver.says(`The sender should show ${number}.`)
    await screen.enter('y')
    expect([(await screen.ended()).exitCode, (await receiver.ended()).exitCode]).toEqual([0, 0])
    expect(await readFile(at('received'), 'utf8')).toBe('content')
    const end = screen.shown.findIndex((line) => YES_NO.test(line))
    expect(screen.shown.slice(end)).toEqual([
      `Does the other device show ${number}? [y/N] y`,
      'Approved. The transfer starts when the other side accepts it.',
      expect.stringMatching(`^Delivered to ${number}: 7 bytes `),
      '',
    ])
    expect(foreignControls(screen.raw)).toEqual([])
  })

  test('sees no QR code with --no-qr, and nothing but text', async () => {
    const { screen } = await openScreen(['--no-qr'])
    expect(screen.raw).not.toContain(ESCAPE)
    expect(screen.raw).not.toContain('█')
  })

  test.each(['n', '', 'yess', 'Y es', '\u0004'])(
    'denies with %j, nothing is sent, and the code is of no use any more',
    async (answer) => {
      const { screen, code, at, path } = await openScreen(['--no-qr'])
      const receiver = pairlay(['receive', code, '--yes', '-o', at('received')], { env })
      await screen.says(YES_NO)
      if (answer === '\u0004') await screen.type(answer)
      else await screen.enter(answer)
      const nobody = answer === '\u0004'
      expect([(await screen.ended()).exitCode, (await receiver.ended()).exitCode]).toEqual(nobody ? [2, 5] : [3, 3])
      expect(await readdir(path)).toEqual(['file'])
      expect((await run(['receive', code], { env })).exitCode).toBe(3)
    },
  )

  test('with an attacker who knows the code too has to type the number, and a yes approves nobody', async () => {
    const { screen, code, at, path } = await openScreen(['--no-qr'])
    const receiver = pairlay(['receive', code, '--yes', '-o', at('received')], { env })
    await screen.says(YES_NO)
    const attacker = pairlay(['receive', code, '--yes', '-o', at('stolen')], { env })
    await screen.says(TYPE_IT)
    await screen.enter('y')
    await screen.says(PAIRING_ERRORS.no_such_number)
    await screen.says(TYPE_IT, 2)
    await screen.enter('123 45')
    await screen.says(TYPE_IT, 3)
    const [, number = ''] = await receiver.says(/should show (\d{3} \d{3})\./)
    await screen.enter(number)
    expect([(await screen.ended()).exitCode, (await receiver.ended()).exitCode]).toEqual([0, 0])
    expect((await attacker.ended()).exitCode).toBe(5)
    expect((await readdir(path)).sort()).toEqual(['file', 'received'])
  })

  test('may take the devices that came so far instead of waiting for all', async () => {
    const { screen, code, at } = await openScreen(['--no-qr', '--receivers', '3'])
    const receiver = pairlay(['receive', code, '--yes', '-o', at('received')], { env })
    await screen.says(YES_NO)
    await screen.enter('yes')
    await screen.says('Waiting for more devices. Press Enter to send to those approved now. ')
    await screen.enter('')
    expect([(await screen.ended()).exitCode, (await receiver.ended()).exitCode]).toEqual([0, 0])
  })

  test('is asked on, when the device it approves has left', async () => {
    const { screen, code, at } = await openScreen(['--no-qr'])
    const gone = pairlay(['receive', code], { env })
    await screen.says(YES_NO)
    gone.signal('SIGINT')
    await gone.ended()
    await screen.enter('y')
    await screen.says(PAIRING_ERRORS.receiver_left)
    const receiver = pairlay(['receive', code, '--yes', '-o', at('received')], { env })
    await screen.says(TYPE_IT)
    const [, number = ''] = await receiver.says(/should show (\d{3} \d{3})\./)
    await screen.enter(number)
    expect([(await screen.ended()).exitCode, (await receiver.ended()).exitCode]).toEqual([0, 0])
  })

  test('never obeys what an attacker calls itself', async () => {
    const { screen, code } = await openScreen()
    const attacker = await Receiver.join({ relay: relay.url, code, name: HOSTILE })
    await screen.says('(it calls itself "x [2J ]0;title 31m y")')
    await screen.says(YES_NO)
    expect(foreignControls(screen.raw)).toEqual([])
    expect(screen.raw).not.toMatch(/[\u009b\u202e]/)
    await attacker.close()
  })

  test('is asked for a text, and answers questions at the terminal while stdin is a pipe', async () => {
    const screen = new Screen(['send', '--text', '--no-qr'], { env })
    await screen.says('Text to send: ')
    await screen.enter('grüße')
    const [, code = ''] = await screen.says(/Code: (\S+)/)
    const receiver = pairlay(['receive', code, '--yes'], { env })
    await screen.says(YES_NO)
    await screen.enter('y')
    expect((await screen.ended()).exitCode).toBe(0)
    expect((await receiver.ended()).stdout.toString()).toBe('grüße')

    const { at } = await temporaryDirectory()
    await writeFile(at('file'), 'from a pipe')
    const piped = new Screen(['send', '--no-qr', '-'], { env, after: `< ${at('file')}` })
    const [, another = ''] = await piped.says(/Code: (\S+)/)
    const second = pairlay(['receive', another, '--yes', '-o', '-'], { env })
    await piped.says(YES_NO)
    await piped.enter('y')
    expect((await piped.ended()).exitCode).toBe(0)
    expect((await second.ended()).stdout.toString()).toBe('from a pipe')
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

  test('that is closed ends the session, and Ctrl-C does too', async () => {
    const { screen, code } = await openScreen()
    const receiver = pairlay(['receive', code], { env })
    await Promise.all([screen.says(YES_NO), receiver.says('Waiting for its approval')])
    screen.close()
    expect((await receiver.ended()).exitCode).toBe(5)

    const { screen: second, code: another } = await openScreen()
    await second.type('\u0003')
    const { exitCode, text } = await second.ended()
    expect([exitCode, text.endsWith('\nStopped. The other side has been told.\n')]).toEqual([130, true])
    expect((await run(['receive', another], { env })).exitCode).toBe(3)
  })
})

describeTerminal('the receiver at a terminal', () => {
  test('is asked for the code, and then whether to save', async () => {
    const { at, path } = await temporaryDirectory()
    const { sender, code } = await openSender(['-'], { env, stdin: 'content' })
    const screen = new Screen(['receive', '-o', at('file')], { env })
    await screen.says('Code: ')
    await screen.enter(code.toLowerCase())
    const [, number = ''] = await screen.says(/Save it as \S+, if the sender shows (\d{3} \d{3})\? \[y\/N\] /)
    expect(number).toBe(formatMatchNumber(String((await sender.event('request')).matchNumber)))
    expect(await readdir(path)).toEqual([])
    await screen.enter('Y')
    expect([(await screen.ended()).exitCode, (await sender.ended()).exitCode]).toEqual([0, 0])
    expect(await readFile(at('file'), 'utf8')).toBe('content')
    expect(screen.shown).toEqual([
      `Code: ${code.toLowerCase()}`,
      'Checking the code with the sender …',
      `The sender should show ${number}. Waiting for its approval …`,
      'The sender offers stdin of unknown length.',
      `Save it as ${at('file')}, if the sender shows ${number}? [y/N] Y`,
      `Saved ${at('file')}.`,
      expect.stringMatching(/^Received 7 bytes in /),
      '',
    ])
  })

  test.each(['n', '', 'yep'])('refuses with %j, and nothing is saved', async (answer) => {
    const { at, path } = await temporaryDirectory()
    const { sender, code } = await openSender(['-'], { env, stdin: 'content' })
    const screen = new Screen(['receive', code, '-o', at('file')], { env })
    await screen.says('[y/N] ')
    await screen.enter(answer)
    expect([(await screen.ended()).exitCode, (await sender.ended()).exitCode]).toEqual([5, 5])
    expect(screen.shown.at(-2)).toBe('pairlay: Refused. Nothing was saved.')
    expect(await readdir(path)).toEqual([])
  })

  test('is asked for another name as long as the name is taken', async () => {
    const { at, path } = await temporaryDirectory()
    for (const name of ['stdin', 'taken']) await writeFile(at(name), name)
    const { sender, code } = await openSender(['-'], { env, stdin: 'content' })
    const screen = new Screen(['receive', code], { env, cwd: path })
    await screen.says('stdin is there already, and is not overwritten. Another name (Enter: stop): ')
    await screen.enter('taken')
    await screen.says('taken is there already, and is not overwritten. Another name (Enter: stop): ')
    await screen.enter('free')
    await screen.says('Save it as free, ')
    await screen.enter('y')
    expect([(await screen.ended()).exitCode, (await sender.ended()).exitCode]).toEqual([0, 0])
    const texts = ['free', 'stdin', 'taken'].map((name) => readFile(at(name), 'utf8'))
    expect(await Promise.all(texts)).toEqual(['content', 'stdin', 'taken'])
  })

  test('that names no other name saves nothing', async () => {
    const { at, path } = await temporaryDirectory()
    await writeFile(at('stdin'), 'mine')
    const { sender, code } = await openSender(['-'], { env, stdin: 'content' })
    const screen = new Screen(['receive', code], { env, cwd: path })
    await screen.says('Another name (Enter: stop): ')
    await screen.enter('')
    expect([(await screen.ended()).exitCode, (await sender.ended()).exitCode]).toEqual([5, 5])
    expect(screen.shown.at(-2)).toBe('pairlay: Nothing was saved.')
    expect(await readFile(at('stdin'), 'utf8')).toBe('mine')
  })

  test('never obeys what an attacker calls its items, or writes in a text', async () => {
    const { path } = await temporaryDirectory()
    const attacker = await Sender.open({ relay: relay.url })
    const screen = new Screen(['receive', attacker.code], { env, cwd: path })
    for await (const request of attacker.requests()) await request.approve()
    const receipts = attacker.send(['', '2'].map((suffix) => bytesSource(Buffer.from('x'), HOSTILE + suffix)))
    await screen.says('[y/N] ')
    await screen.enter('y')
    expect(await receipts).toMatchObject([{ delivered: true }])
    await attacker.close()
    expect((await screen.ended()).exitCode).toBe(0)
    expect(foreignControls(screen.raw)).toEqual([])
    expect(screen.raw).not.toMatch(/[\u009b\u202e]/)
    expect((await readdir(path)).sort()).toEqual(['x [2J ]0;title 31m y', 'x [2J ]0;title 31m y2'])

    const { sender: second, code } = await openSender(['--text'], { env, stdin: `one\n${HOSTILE}\nend` })
    const text = new Screen(['receive', code, '--yes'], { env })
    expect([(await text.ended()).exitCode, (await second.ended()).exitCode]).toEqual([0, 0])
    expect(foreignControls(text.raw)).toEqual([])
    expect(text.shown.slice(-5)).toEqual(['one', 'x [2J ]0;title 31m', 'y', 'end', ''])
  })
})

describeTerminal('progress at a terminal', () => {
  const LINE = /^\d+(\.\d)? [KM]iB {2}[\d.]+ \w+\/s$/

  test.each([
    ['as wide as it is', 80],
    ['of 40 columns', 40],
    ['that does not say how wide it is', 0],
  ])('%s is one line at each side, rewritten again and again, and gone in the end', async (_, columns) => {
    const { at } = await temporaryDirectory()
    execFileSync('mkfifo', [at('pipe')])
    const sender = new Screen(['send', '--yes', '--no-qr', '-'], { env, columns, after: `< ${at('pipe')}` })
    const pipe = await open(at('pipe'), 'w')
    const [, code = ''] = await sender.says(/Code: (\S+)/)
    const receiver = new Screen(['receive', code, '--yes', '-o', at('file')], { env, columns })
    let enough = false
    const watching = Promise.all([sender.says(/ \S+ MiB {2}/, 3), receiver.says(/\S+ MiB {2}/, 3)]).finally(() => {
      enough = true
    })
    while (!enough) await pipe.write(Buffer.alloc(MIB))
    await watching
    await pipe.close()
    expect([(await sender.ended()).exitCode, (await receiver.ended()).exitCode]).toEqual([0, 0])
    for (const screen of [sender, receiver]) {
      const lines = screen.text.split('\n').map((line) => line.replace(/^\d{3} \d{3} {2}/, ''))
      expect(lines.filter((line) => LINE.test(line)).length).toBeGreaterThan(2)
      expect(screen.raw.split(`${ESCAPE}[1A${ESCAPE}[J`).length).toBeGreaterThan(2)
      expect(screen.shown.filter((line) => / MiB {2}/.test(line))).toEqual([])
      expect(foreignControls(screen.raw)).toEqual([])
    }
  })
})

describeTerminal('serve at a terminal', () => {
  test('drains its sessions and ends in good order on Ctrl-C', async () => {
    const screens = [1, 2, 3].map(() => new Screen(['serve', '--port', '0']))
    const outcomes = screens.map(async (screen) => {
      const [, port] = await screen.says(/"port":(\d+),"msg":"the relay is ready"/)
      const { sender } = await openSender(['-', '--relay', `http://127.0.0.1:${port}`])
      await sender.event('connection')
      await screen.type('\u0003')
      const { exitCode, text } = await screen.ended()
      return [exitCode, text.includes('"msg":"stopped"'), (await sender.ended()).exitCode]
    })
    expect(await Promise.all(outcomes)).toEqual([1, 2, 3].map(() => [0, true, 4]))
  })

  test('ends with the terminal', async () => {
    const screen = new Screen(['serve', '--port', '0'])
    const [, port] = await screen.says(/"port":(\d+),"msg":"the relay is ready"/)
    const { sender } = await openSender(['-', '--relay', `http://127.0.0.1:${port}`])
    await sender.event('connection')
    screen.close()
    expect((await sender.ended()).exitCode).toBe(4)
  })
})

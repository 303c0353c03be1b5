import { readdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { expect, test } from 'vitest'
import { bytesSource, cleanText, formatMatchNumber, Receiver, Sender } from '../../src/client/index.ts'
import {
  describeConcurrent,
  type Event,
  foreignControls,
  offer,
  openSender,
  pairlay,
  relayOfFile,
  run,
  take,
  temporaryDirectory,
} from './support.ts'

const relay = relayOfFile()
const { env } = relay

const anyNumber = expect.stringMatching(/^\d{6}$/)
const anyFingerprint = expect.stringMatching(/^[0-9A-Z]{32}$/)
const anyCount = expect.any(Number)
const name = cleanText(hostname(), 32).replaceAll(/[^\x20-\x7e]|["\\]/g, '_')

/** The events without those that tell of the progress, of which there may be any number. */
function steps(events: readonly Event[]): Event[] {
  return events.filter(({ event }) => event !== 'progress')
}

describeConcurrent('with --json', () => {
  test('a whole run is these events, in this order, on both sides, and no line for people', async () => {
    const { at } = await temporaryDirectory({ 'out/': '', a: 'a', b: 'bb' })
    const sender = pairlay(['send', at('a'), at('b'), '--json'], { env, stdin: 'open' })
    const { code } = await sender.event('code')
    const receiver = pairlay(['receive', '--json', '-o', at('out')], { env, stdin: `${code}\ny\n` })
    const { matchNumber, receiverCode } = await sender.event('request')
    await receiver.event('number')
    await sender.write('y\n')
    const [sent, received] = await Promise.all([sender.ended(), receiver.ended()])
    expect([sent.exitCode, received.exitCode, sent.stderr, received.stderr]).toEqual([0, 0, '', ''])
    const shown = formatMatchNumber(String(matchNumber))
    expect(steps(sender.events)).toEqual([
      { event: 'code', code, link: `${relay.url}/#${code}`, expiresInMs: anyCount },
      { event: 'connection', status: 'connected' },
      { event: 'request', matchNumber, receiverCode, name, fingerprint: anyFingerprint, verified: 1 },
      { event: 'question', kind: 'approve', text: `Does the other device show ${shown}? [y/N]` },
      { event: 'approved', matchNumber },
      { event: 'answer', matchNumber, hasBytes: 0 },
      { event: 'delivered', matchNumber, bytes: 3, ms: anyCount, skipped: 0 },
    ])
    expect(steps(receiver.events)).toEqual([
      { event: 'question', kind: 'code', text: 'Code:' },
      { event: 'connection', status: 'connected' },
      { event: 'number', matchNumber, fingerprint: sender.events[2]?.fingerprint },
      { event: 'approved', matchNumber },
      {
        event: 'offer',
        items: [
          { path: 'a', size: 1, modified: anyCount },
          { path: 'b', size: 2, modified: anyCount },
        ],
        totalBytes: 3,
      },
      {
        event: 'question',
        kind: 'accept',
        text: `Save them in ${at('out')}, if the sender shows ${shown}? [y/N, l: list]`,
      },
      { event: 'saved', path: at('out/a') },
      { event: 'saved', path: at('out/b') },
      { event: 'received', bytes: 3, ms: anyCount, confirmed: true },
    ])
    const [locator, secret = ''] = String(code).split('-')
    for (const half of [code, locator, secret.slice(0, 5)]) {
      expect(received.stdout.toString() + received.stderr).not.toContain(half)
    }
  })

  test('a text is an event', async () => {
    const { sender, code } = await openSender(['--text'], { env, stdin: 'one\ntwo' })
    const receiver = pairlay(['receive', code, '--yes', '--json'], { env })
    expect((await receiver.ended()).exitCode).toBe(0)
    expect(await receiver.event('text')).toEqual({ event: 'text', text: 'one\ntwo' })
    await sender.ended()
  })

  test('what a person would read as the outcome is an event too, and so is wrong usage', async () => {
    const [empty, wrong, mistaken] = await Promise.all([
      run(['receive', '--json'], { env, stdin: '\n' }),
      run(['receive', '--json', 'WRONG'], { env }),
      run(['send', '--json', '--relay', 'nowhere', '-'], { env }),
    ])
    const linesOf = ({ stdout, stderr, exitCode }: typeof empty) => {
      const events = stdout.toString().trimEnd().split('\n')
      return [exitCode, stderr, ...events.map((line) => JSON.parse(line))]
    }
    const noCode = 'There is no code. Enter the one that the sender shows.'
    const noRelay =
      'The value of --relay has no http:// or https:// in front. A relay address looks like https://relay.example.'
    expect(linesOf(empty)).toEqual([
      2,
      `pairlay: ${noCode}\n`,
      { event: 'question', kind: 'code', text: 'Code:' },
      { event: 'error', code: 'usage', message: noCode },
    ])
    const message =
      'A pairing code has 11 symbols, like five, a dash and six. Check whether something is missing or was typed twice.'
    expect(linesOf(wrong)).toEqual([3, `pairlay: ${message}\n`, { event: 'error', code: 'code_invalid', message }])
    expect(linesOf(mistaken)).toEqual([2, `pairlay: ${noRelay}\n`, { event: 'error', code: 'usage', message: noRelay }])
  })

  test('a device that is denied, and a run that is stopped, are events', async () => {
    const sender = pairlay(['send', '-', '--yes', '--receivers', '1', '--json'], { env, stdin: 'open' })
    await sender.event('code')
    sender.signal('SIGINT')
    expect((await sender.ended()).exitCode).toBe(130)
    expect(sender.events.at(-1)).toEqual({ event: 'interrupted' })

    const { at } = await temporaryDirectory({ file: '' })
    const asking = pairlay(['send', at('file'), '--json'], { env, stdin: 'open' })
    const { code } = await asking.event('code')
    const receiver = await take(relay, String(code))
    await asking.event('request')
    await asking.write('n\n')
    expect([(await asking.ended()).exitCode, await receiver.taken]).toEqual([3, { error: 'denied' }])
    const message = 'No device was approved, and nothing was sent. For another try, send again with a new code.'
    expect(asking.events.slice(-2)).toEqual([{ event: 'denied' }, { event: 'error', code: 'not_paired', message }])
  })

  test.each([
    ['the name given', ['--name', 'Grüße 🎉'], 'Grüße 🎉'],
    ['the name given, without what no terminal should see', ['--name', ' a \u001b[31m\u202e\nb '], 'a [31m b'],
    ['one of 64 bytes', ['--name', 'x'.repeat(64)], 'x'.repeat(64)],
    ['no name when it is empty', ['--name', ''], undefined],
    ['no name when nothing is left of it', ['--name', ' \u0007 '], undefined],
    ['the host name without --name', [], name],
  ])('a receiver calls itself %s', async (_, args, expected) => {
    const { sender, code } = await openSender(['-'], { env })
    const receiver = pairlay(['receive', code, '--yes', '-o', '-', ...args], { env })
    expect((await sender.event('request')).name).toBe(expected)
    expect([(await receiver.ended()).exitCode, (await sender.ended()).exitCode]).toEqual([0, 0])
  })

  test('three receivers are approved as they come, and each is told of by its own number', async () => {
    const { at } = await temporaryDirectory({ file: 'content' })
    const { sender, code } = await openSender([at('file'), '--receivers', '3'], { env })
    const receivers = ['x', 'y', 'z'].map((out) =>
      pairlay(['receive', code, '--yes', '--json', '-o', at(out)], { env }),
    )
    const outcomes = await Promise.all([sender, ...receivers].map((program) => program.ended()))
    expect(outcomes.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0])
    const numbersOf = (name: string) =>
      sender.events.filter(({ event }) => event === name).map(({ matchNumber }) => matchNumber)
    const shown = receivers.map(({ events }) => events.find(({ event }) => event === 'number')?.matchNumber)
    expect(new Set(shown).size).toBe(3)
    expect(numbersOf('request').sort()).toEqual(shown.sort())
    expect(numbersOf('delivered').sort()).toEqual(shown.sort())
    expect((await readdir(at('.'))).sort()).toEqual(['file', 'x', 'y', 'z'])
    expect((await run(['receive', code, '--yes'], { env })).exitCode).toBe(3)
  })

  test('one of three that cannot save is named, and the others have it', async () => {
    const { at } = await temporaryDirectory({ file: 'content' })
    const { sender, code } = await openSender([at('file'), '--receivers', '3'], { env })
    const failing = pairlay(['receive', code, '--yes', '--json', '-o', at('.')], { env })
    const others = [await take(relay, code), await take(relay, code)]
    expect([(await sender.ended()).exitCode, (await failing.ended()).exitCode]).toEqual([5, 1])
    for (const other of others) expect(await other.taken).toEqual({ items: ['content'] })
    const { matchNumber } = await failing.event('number')
    const receipts = sender.events.filter(({ event }) => event.endsWith('delivered'))
    expect(receipts).toHaveLength(3)
    expect(receipts.filter(({ event }) => event === 'not_delivered')).toEqual([
      { event: 'not_delivered', matchNumber, code: 'receiver_failed' },
    ])
  })

  test('each name in a folder that is another one here is an event, however many there are', async () => {
    const { path } = await temporaryDirectory()
    const names = Array.from({ length: 21 }, (_, index) => `d/${index}:`)
    const { code, delivered } = await offer(relay, Object.fromEntries(names.map((name) => [name, ''])))
    const receiver = pairlay(['receive', code, '--yes', '--json'], { env, cwd: path })
    expect([(await receiver.ended()).exitCode, await delivered]).toEqual([0, [true]])
    const renamed = receiver.events.filter(({ event }) => event === 'renamed')
    expect(renamed).toEqual(names.map((was) => ({ event: 'renamed', path: was.replace(':', '_'), was })))
  })

  const HOSTILE = 'x\u001b[31m\u009b2J\u202ey\u2028\u{e0041}\u007f\n'

  test('what an attacking sender calls its items is told as it is, and no terminal would obey it', async () => {
    const { at } = await temporaryDirectory()
    const attacker = await Sender.open({ relay: relay.url })
    const receiver = pairlay(['receive', attacker.code, '--yes', '--json', '-o', at('file')], { env })
    for await (const request of attacker.requests()) await request.approve()
    await attacker.send([bytesSource(Buffer.from('content'), HOSTILE, HOSTILE)])
    await attacker.close()
    const { exitCode, stdout } = await receiver.ended()
    expect(exitCode).toBe(0)
    expect(await receiver.event('offer')).toMatchObject({ items: [{ path: HOSTILE, type: HOSTILE, size: 7 }] })
    expect(foreignControls(stdout.toString())).toEqual([])
    expect(stdout.toString().trimEnd().replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
  })

  test('what an attacking receiver calls itself is told as it is, and no terminal would obey it', async () => {
    const { sender, code } = await openSender(['-'], { env, stdin: 'open' })
    const attacker = await Receiver.join({ relay: relay.url, code, name: HOSTILE })
    const { name: told, matchNumber } = await sender.event('request')
    expect([told, matchNumber]).toEqual([HOSTILE, anyNumber])
    expect(sender.stdout.toString().replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
    await attacker.close()
  })
})

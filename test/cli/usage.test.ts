import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import { text } from 'node:stream/consumers'
import { afterAll, describe, expect, test } from 'vitest'
import { COMMANDS } from '../../src/cli/commands.ts'
import { ENVIRONMENT } from '../../src/cli/environment.ts'
import { type CliError, EXIT, type ExitName, exitOf } from '../../src/cli/exit.ts'
import { failureOf } from '../../src/cli/relay.ts'
import { cleanText, PAIRING_ERRORS, PairingError, type PairingErrorCode } from '../../src/client/index.ts'
import { generatePairingCode } from '../../src/crypto/pairing-code.ts'
import { shownDevice } from '../../src/node/shown.ts'
import { CLI } from '../support/build.ts'
import {
  describeConcurrent,
  describeTerminal,
  MIB,
  type Outcome,
  offer,
  openFile,
  openPlain,
  openSender,
  Program,
  pairlay,
  RelayProgram,
  relayOfFile,
  run,
  runHere,
  Screen,
  type StartOptions,
  take,
  temporaryDirectory,
  withOtherSecret,
} from './support.ts'

const relay = relayOfFile()
const { env } = relay

const noRelayAt = (url: string) => `No relay answers at ${url}.`
const NO_SENDER = PAIRING_ERRORS.code_not_found

/** A code in the right form that no sender has. */
function strangeCode(): string {
  return generatePairingCode((length) => crypto.getRandomValues(new Uint8Array(length))).text
}

/** The lines of stderr that a person reads as the outcome. */
function errorsOf({ stderr }: Outcome): string[] {
  return stderr.split('\n').filter((line) => line.startsWith('pairlay:'))
}

/** A mistake that a person can make, and what it costs. With a `stdin` it takes a process of its own. */
type Mistake = readonly [args: readonly string[], says: string, exit?: ExitName, options?: StartOptions]

/** Makes the mistakes. Each costs one line on stderr, its exit code, and nothing on stdout. */
async function expectMistakes(mistakes: readonly Mistake[]): Promise<void> {
  for (const [args, says, exit = 'usage', options] of mistakes) {
    const outcome = options?.stdin === undefined ? runHere(args, options?.env ?? env) : run(args, { env, ...options })
    const { exitCode, stdout, stderr } = await outcome
    const expected = { args, exitCode: EXIT[exit], stdout: '', stderr: `pairlay: ${says}\n` }
    expect({ args, exitCode, stdout: stdout.toString(), stderr }).toEqual(expected)
  }
}

const servers = new Set<Server>()
afterAll(() => {
  for (const server of servers) {
    server.close()
    server.closeAllConnections()
  }
})

/** An HTTP server that is no relay. */
async function serveHttp(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  servers.add(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** An address at which nobody listens any more. */
async function nobodyListens(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}`
}

describeConcurrent('wrong usage', () => {
  const invalid = (flags: string, value: string, why: string) =>
    `Option '${flags}' argument '${value}' is invalid. It is ${why}.`

  test('of the command line is exit 2 and one line that says what is right', async () => {
    const option = (command: string, flags: string, value: string, why: string): Mistake => {
      return [[command, /--\w+/.exec(flags)?.[0] ?? '', value], invalid(flags, value, why)]
    }
    const link = "Unknown command 'https://relay.example/#K7QM3-XPDT28'"
    const octal = 'three octal digits such as 644: no file gets the rights of another user'
    await expectMistakes([
      [['hand-over'], "Unknown command 'hand-over'. See pairlay --help."],
      [['sned', 'file'], "Unknown command 'sned'. Did you mean send?"],
      [['help', 'sned'], "Unknown command 'sned'. Did you mean send?"],
      [['help', 'hand-over'], "Unknown command 'hand-over'. See pairlay --help."],
      [['package.json'], "Unknown command 'package.json'. To send it: pairlay send package.json"],
      [['K7QM3-XPDT28'], "Unknown command 'K7QM3-XPDT28'. To receive with a code: pairlay receive"],
      [['https://relay.example/#K7QM3-XPDT28'], `${link}. To receive with a code: pairlay receive`],
      [['\u001b[31m\nx'], "Unknown command ' [31m x'. See pairlay --help."],
      [['send', '--fast', 'file'], "Unknown option '--fast'. See pairlay send --help."],
      [['send', '--realy', 'file'], "Unknown option '--realy'. Did you mean --relay?"],
      [['--yes', 'send', 'file'], "Unknown option '--yes'. See pairlay --help."],
      [['send', 'file', '--relay'], "Option '--relay <url>' argument missing. See pairlay send --help."],
      [['receive', '-o'], "Option '-o, --output <path>' argument missing. See pairlay receive --help."],
      [['receive', 'one', 'two'], "Too many arguments for 'receive'. Expected 1 argument but got 2."],
      [['serve', 'now'], "Too many arguments for 'serve'. Expected 0 arguments but got 1."],
      [['completion'], "Missing required argument 'shell'. See pairlay completion --help."],
      [['completion', 'tcsh'], "'tcsh' is no shell. Allowed choices are bash, zsh, fish."],
      ...['0', '9', '1.5', ''].map((n) => option('send', '--receivers <n>', n, 'a whole number from 1 to 8')),
      ...['29', '86401'].map((n) => option('send', '--ttl <seconds>', n, 'a whole number from 30 to 86400')),
      ...['4755', '1777', '64', '888', 'rw-', ''].map((n) => option('receive', '--mode <octal>', n, octal)),
      ...['http', '65536', '-1', ''].map((n) =>
        option('serve', '--port <number>', n, 'a whole number from 0 to 65535'),
      ),
      option('serve', '--host <address>', 'http://[::]', 'an address such as 0.0.0.0 or ::'),
    ])
  })

  test('of what there is to send is exit 2 and one line that says what to do', async () => {
    const { at } = await temporaryDirectory()
    await writeFile(at('file 1'), '')
    const none = (path: string) => `Cannot read ${path}: there is no such file or directory.`
    const notName = 'The value of --name is no name of a file: without a slash, and of up to 255 bytes.'
    const deep = 'deep'
    const below = `${deep}${'/x'.repeat(128)}`
    await mkdir(at(below), { recursive: true })
    const tooDeep =
      `This cannot be one transfer: "${below}" cannot be sent: a name has 1 to 255 bytes between slashes, and none is ` +
      '. or ..; a path has at most 128 names and 4096 bytes. ' +
      'Send an archive: tar c PATH … | pairlay send - --name NAME.tar'
    await expectMistakes([
      [['send'], 'Name what to send: files, folders, or - for stdin.'],
      [['send', at('missing')], none(at('missing'))],
      [['send', at('file 1/x')], none(at('file 1/x'))],
      [['send', at('a\u001b[31m\nb')], none(at('a [31m b'))],
      [['send', '--name', 'x', at('file 1')], '--name is the name of what comes from stdin.'],
      [['send', at('file 1'), ''], 'A path is empty. Is a variable of the shell unset?'],
      [['send', '/etc/..'], '/etc/.. has no name to be sent under. Name folders in it.'],
      [['send', '--name', 'x', '--text', 'hello'], '--name is the name of what comes from stdin.'],
      ...['', '.', '..', 'a/b', `${'x'.repeat(254)}é`].map((name): Mistake => [['send', '-', '--name', name], notName]),
      [['send', at(deep)], tooDeep],
      [['send', '/dev/null'], '/dev/null is not a file. Pipe it: pairlay send - < …'],
      [['send', '/proc/version'], '/proc/version has no size, and is not empty. Pipe it: pairlay send - < …'],
      [['send', '-', at('file 1')], 'A pipe is sent alone: its length is not known, so nothing can follow it.'],
      [['send', '--receivers', '2', '-'], 'A pipe can be read once, so it has one receiver. Save it to a file first.'],
      [['send', '--text', 'hello', at('file 1')], 'With --text a text is sent: name no files.'],
      [['send', '--text'], 'There is no text to send.', 'usage', { stdin: '' }],
      [['send', '--text', ''], 'There is no text to send.'],
      [
        ['send', '--text'],
        'This text is longer than 1 MiB. Send a file: pairlay send - --name NAME.txt < FILE',
        'usage',
        { stdin: 'x'.repeat(MIB + 1) },
      ],
      [
        ['send', '--text'],
        'The text is not UTF-8. Send it as it is: pairlay send - < FILE',
        'usage',
        { stdin: Buffer.from([0xff, 0xfe]) },
      ],
    ])
  })

  test('of what there is to receive is exit 2 and one line', async () => {
    const tooLong = 'The name is too long: it may take 64 bytes.'
    await expectMistakes([
      [['receive', '--json', '-o', '-'], 'With -o - stdout is the data, so there is no room for --json.'],
      [['receive', '--name', 'x'.repeat(65)], tooLong],
      [['receive', '--name', '"'.repeat(33)], tooLong],
      [['receive', '--yes', '-o', 'caf\ufffd'], 'The value of -o is not UTF-8.'],
      [['receive', '--yes', '--into', 'caf\ufffd'], 'The value of --into is not UTF-8.'],
      [['receive', '--yes', ''], 'There is no code. Enter the one that the sender shows.'],
    ])
  })

  test('without a command is exit 2 and the help, on stderr', async () => {
    const { exitCode, stdout, stderr } = await runHere([])
    expect({ exitCode, stdout: stdout.length }).toEqual({ exitCode: 2, stdout: 0 })
    expect(stderr).toMatch(/^Usage: pairlay /)
  })
})

describeConcurrent('help', () => {
  test('says of send and receive that answers read from a pipe count in advance', async () => {
    for (const command of ['send', 'receive']) {
      const { stdout } = await runHere([command, '--help'])
      expect(stdout.toString()).toContain('Answers read from a pipe count in advance: `echo y |` trusts as --yes does.')
    }
  })

  test('names every option of every command, and examples that these allow, on stdout', async () => {
    for (const { name, options, examples } of COMMANDS) {
      const { exitCode, stdout, stderr } = await runHere([name, '--help'])
      expect([exitCode, stderr]).toEqual([0, ''])
      for (const { flags } of options) expect(stdout.toString()).toContain(`\n  ${flags} `)
      for (const [line, meaning] of Object.entries(examples)) {
        expect(stdout.toString()).toContain(`\n  ${line}\n      ${meaning}\n`)
        const used = [...line.matchAll(/pairlay.*? (--?[a-z]+)/g)].map(([, flag]) => flag)
        for (const flag of used) expect(options.flatMap(({ short, long }) => [short, long])).toContain(flag)
      }
    }
  })

  test('lists every exit code, and no other, and every variable', async () => {
    const { stdout } = await runHere(['--help'])
    for (const name of Object.keys(ENVIRONMENT)) expect(stdout.toString()).toContain(`\n  ${name} `)
    const [, table = ''] = stdout.toString().split('Exit codes:\n')
    const listed = [...table.matchAll(/^ {2}(\d+) {2}/gm)].map(([, code]) => Number(code))
    expect(listed.sort()).toEqual(Object.values(EXIT).sort())
  })

  test('is given by the help command, and the version by --version', async () => {
    const [help, long, version] = await Promise.all([
      runHere(['help', 'send']),
      runHere(['send', '-h']),
      run(['--version']),
    ])
    expect(help.stdout.toString()).toBe(long.stdout.toString())
    const { version: expected } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
    expect([help.exitCode, version.exitCode, version.stdout.toString()]).toEqual([0, 0, `${expected}\n`])
  })
})

describeTerminal('help at a terminal', () => {
  test.each([32, 40, 60, 80])(
    'of %i columns breaks no word and no command to copy, and no line is longer',
    async (columns) => {
      for (const { name, options, examples } of COMMANDS) {
        const { text } = await new Screen([name, '--help'], { columns }).ended()
        const lines = text.split('\n')
        const copied = Object.keys(examples)
        for (const example of copied) expect(lines).toContain(`  ${example}`)
        const tooLong = lines.filter(
          (line) => line.length > columns && !copied.includes(line.trim()) && !/^Usage:/.test(line),
        )
        expect(tooLong).toEqual([])
        const words = options.flatMap(({ description }) => description.split(' '))
        for (const word of words) expect(text).toContain(word)
      }
    },
  )

  test('has titles in bold, and none with NO_COLOR', async () => {
    const titled = new Screen(['--help'], { env: { TERM: 'xterm' } })
    const plain = new Screen(['--help'], { env: { TERM: 'xterm', NO_COLOR: '1' } })
    await Promise.all([titled.ended(), plain.ended()])
    expect(titled.raw).toContain('\u001b[1mOptions:\u001b[22m')
    expect(plain.raw).not.toContain('\u001b')
  })
})

test('a pipe of the shell is told how it is sent, and a file whose name looks like an option', async () => {
  const { at } = await temporaryDirectory({ '-rf': '' })
  const piped = new Program('bash', ['-c', '"$@" <(echo hi)', 'bash', process.execPath, CLI, 'send', '--yes'], { env })
  const { stderr } = await piped.ended()
  expect(stderr).toMatch(/^pairlay: \/dev\/fd\/\d+ is not a file\. Pipe it: pairlay send - < …\n$/)
  const dashed = await run(['send', '-rf'], { env, cwd: at('.') })
  expect(dashed.stderr).toBe("pairlay: Unknown option '-rf'. To send it: pairlay send -- -rf\n")
})

test('a user without a home folder sends and receives, and is told what is not kept', async () => {
  const { at } = await temporaryDirectory({
    file: 'content',
    'out/': '',
    'homeless.cjs':
      "require('os').homedir = () => { throw Object.assign(new Error(), { code: 'ERR_SYSTEM_ERROR' }) }\n" +
      "require('module').syncBuiltinESMExports()",
  })
  const NODE_OPTIONS = `--require ${at('homeless.cjs')}`
  const options = { env: { PAIRLAY_RELAY: relay.url, XDG_STATE_HOME: '', XDG_CONFIG_HOME: '', NODE_OPTIONS } }
  const { sender, code } = await openPlain(['--yes', at('file')], options)
  const received = await run(['receive', code, '--yes', '-o', at('out')], options)
  const sent = await sender.ended()
  expect([sent.exitCode, received.exitCode]).toEqual([0, 0])
  expect(sent.stderr).toContain('A transfer that is cut begins anew: this user has no home folder.\n')
  expect(received.stderr).toContain('Tries are counted for this run only: this user has no home folder.\n')
  const { exitCode, stderr } = await run(['config', 'relay', 'https://relay.example'], options)
  expect([exitCode, stderr]).toEqual([
    1,
    'pairlay: There is no home folder to keep settings in. Set XDG_CONFIG_HOME.\n',
  ])
})

test('a Node that is too old is named, with the one that is needed, instead of a stack', async () => {
  const { at } = await temporaryDirectory({
    'old.cjs': "Object.defineProperty(process.versions, 'node', { value: '20.9.0' })",
  })
  const { exitCode, stderr } = await run(['send', 'file'], { env: { NODE_OPTIONS: `--require ${at('old.cjs')}` } })
  expect([exitCode, stderr]).toEqual([1, 'pairlay: This is Node 20.9.0. Pairlay needs Node 20.19 or later.\n'])
})

describe('an error of the SDK', () => {
  const codes = (text: string) => text.split(' ')
  const FAILED = codes('aborted already_sent internal superseded typing_required')
  const RELAY = [
    ...codes(
      'access_denied access_needed at_capacity rate_limited relay_misbehaved relay_redirects relay_refused relay_unavailable',
    ),
    ...codes('relay_unreachable relay_untrusted session_lost shutting_down'),
  ]

  test('has one exit code before a device is approved, and one afterwards', () => {
    for (const code of Object.keys(PAIRING_ERRORS) as PairingErrorCode[]) {
      const expected = FAILED.includes(code)
        ? ['failed', 'failed']
        : [RELAY.includes(code) ? 'relay' : 'not_paired', 'not_delivered']
      expect([code, exitOf(code, false), exitOf(code, true)]).toEqual([code, ...expected])
    }
  })
})

describeConcurrent('a code', () => {
  test('that cannot be right is exit 3 without a single request', async () => {
    let requests = 0
    const url = await serveHttp((_, response) => {
      requests++
      response.writeHead(500).end()
    })
    const right = strangeCode()
    const last = right.endsWith('0') ? '1' : '0'
    const swapped = right.replace(/^(.)(.)/, '$2$1') === right ? right.slice(1) : right.replace(/^(.)(.)/, '$2$1')
    const length =
      'A pairing code has 11 symbols, like five, a dash and six. Check whether something is missing or was typed twice.'
    const check =
      'That is not quite the code: one symbol is wrong or two are swapped. Compare it with the other device.'
    const symbol = 'A pairing code has only digits and letters, and never the letter U. Check what you typed.'
    const wrong: Readonly<Record<string, string>> = {
      A: length,
      [right.slice(0, -1)]: length,
      [`${right}0`]: length,
      [right.slice(0, -1) + last]: check,
      [swapped]: swapped.length === 12 ? check : length,
      [right.replace(/.$/, 'U')]: symbol,
      '../../v1': symbol,
    }
    await expectMistakes(
      Object.entries(wrong).map(([code, says]) => [['receive', '--yes', '--relay', url, code], says, 'not_paired']),
    )
    expect(requests).toBe(0)
  })

  test('that no sender has is exit 3, and so is one that was used', async () => {
    const { code, delivered } = await offer(relay, { file: 'content' })
    await take(relay, code)
    expect(await delivered).toEqual([true])
    await expectMistakes([
      [['receive', strangeCode(), '--yes'], NO_SENDER, 'not_paired'],
      [['receive', code, '--yes'], NO_SENDER, 'not_paired'],
    ])
  })

  test('whose second half an attacker guesses is exit 3, and the sender hears of it and waits on', async () => {
    const { sender, code } = await openSender(['-'], { env, stdin: 'content' })
    const attacker = await run(['receive', withOtherSecret(code), '--yes', '-o', '-'], { env })
    expect(attacker).toMatchObject({ exitCode: 3, stdout: Buffer.alloc(0) })
    expect(errorsOf(attacker)).toEqual([`pairlay: ${PAIRING_ERRORS.wrong_code}`])
    expect(await sender.event('failed_attempt')).toEqual({
      event: 'failed_attempt',
      wrongCode: 1,
      timedOut: 0,
      invalid: 0,
    })
    const right = await take(relay, code)
    expect(await right.taken).toEqual({ items: ['content'] })
    expect((await sender.ended()).exitCode).toBe(0)
  })

  test('is tried three times by a device at most, over all its processes, and the sender is asked no more', async () => {
    const { sender, code } = await openSender(['-'], { env, stdin: 'content' })
    const { at } = await temporaryDirectory()
    const own = { ...env, PAIRLAY_RELAY: relay.url, XDG_STATE_HOME: at('state') }
    const attack = (nth: number) => run(['receive', withOtherSecret(code, nth), '--yes', '-o', '-'], { env: own })
    for (let nth = 0; nth < 3; nth++)
      expect(errorsOf(await attack(nth))).toEqual([`pairlay: ${PAIRING_ERRORS.wrong_code}`])
    const fourth = await attack(3)
    expect([fourth.exitCode, errorsOf(fourth)]).toEqual([3, [`pairlay: ${PAIRING_ERRORS.attempts_used_up}`]])
    expect(sender.events.filter(({ event }) => event === 'failed_attempt')).toHaveLength(3)
    expect(await (await take(relay, code)).taken).toEqual({ items: ['content'] })
  })

  test('is tried although the tries cannot be counted, which is told', async () => {
    const { code } = await openSender(['-'], { env, stdin: 'content' })
    const { at } = await temporaryDirectory({ state: 'a file' })
    const own = { PAIRLAY_RELAY: relay.url, XDG_STATE_HOME: at('state') }
    const { exitCode, stderr } = await run(['receive', code, '--yes', '-o', '-'], { env: own })
    expect(exitCode).toBe(0)
    expect(stderr.match(/^Tries are counted for this run only: .*$/gm)).toHaveLength(1)
  })

  test('that was tried too often is used up, which the sender says, and is exit 3', async () => {
    const { sender, code } = await openSender(['-'], { env })
    const plain = pairlay(['send', '--yes', '-'], { env, stdin: 'open' })
    const [, second = ''] = await plain.says(/Code: (\S+)/)
    for (let nth = 0; nth < 5; nth++) {
      const attackers = await Promise.all([code, second].map((each) => take(relay, withOtherSecret(each, nth))))
      for (const attacker of attackers) expect(await attacker.taken).toEqual({ error: 'wrong_code' })
    }
    const [outcome, said] = await Promise.all([sender.ended(), plain.ended()])
    expect([outcome.exitCode, said.exitCode]).toEqual([3, 3])
    expect(sender.events.slice(-2)).toEqual([
      { event: 'used_up' },
      { event: 'error', code: 'not_paired', message: expect.stringMatching(/^No device was approved/) },
    ])
    expect(said.stderr).toContain('\n5 devices tried a wrong code.\nThe code was tried too often and is used up.\n')
    await expectMistakes([[['receive', code, '--yes'], NO_SENDER, 'not_paired']])
  })

  test('that is used up still lets a device in that proved it before', async () => {
    const { sender, code } = await openFile([], { env, stdin: 'open' })
    const receiver = await take(relay, code)
    await sender.says(/\[y\/N\] $/)
    for (let nth = 0; nth < 5; nth++) await (await take(relay, withOtherSecret(code, nth))).taken
    await sender.says(
      /is used up\.\nOthers have tried this code\. Type the number that the right one shows \(Enter: none\): $/,
    )
    await sender.write(`${await receiver.number}\n`)
    expect([(await sender.ended()).exitCode, await receiver.taken]).toEqual([0, { items: ['content'] }])
  })

  test('whose time is over before anybody was approved is exit 3', async () => {
    const session = {
      sessionId: 'ABEiM0RVZneImaq7zN3u_w',
      token: 'c2VuZGVyIHRva2VuIG9mIDMyIHJhbmRvbSBieXRlcyE',
      expiresInMs: 1,
      limits: { windowBytes: 2_098_176, maxFrameBytes: 262_272, maxReceivers: 1, ttlSeconds: 30 },
    }
    const url = await serveHttp((request, response) => {
      if (request.url === '/v1/sessions') response.writeHead(201).end(JSON.stringify(session))
      else request.socket.destroy()
    })
    const { exitCode, stderr } = await run(['send', '--yes', '-', '--relay', url])
    expect([exitCode, stderr.split('\n').slice(-2)]).toEqual([3, [`pairlay: ${PAIRING_ERRORS.expired}`, '']])
  })

  test('is read from stdin when that is a pipe, and so is the answer', async () => {
    const { at } = await temporaryDirectory()
    const { code, delivered } = await offer(relay, { file: 'content' })
    const { exitCode } = await run(['receive', '-o', at('file')], { env, stdin: `${code}\ny\n` })
    expect([exitCode, await delivered]).toEqual([0, [true]])
    expect(await readFile(at('file'), 'utf8')).toBe('content')
  })

  test('may come as a link that names its relay, in small letters, and with spaces', async () => {
    const elsewhere = { PAIRLAY_RELAY: await nobodyListens() }
    const { sender, code, link } = await openSender(['-'], { env, stdin: 'content' })
    expect(link).toBe(`${relay.url}/#${code}`)
    const typed = `${relay.url}/#${code.toLowerCase().replace('-', ' ')} `
    const { exitCode, stdout } = await run(['receive', typed, '--yes', '-o', '-'], { env: elsewhere })
    expect({ exitCode, stdout: stdout.toString() }).toEqual({ exitCode: 0, stdout: 'content' })
    expect((await sender.ended()).exitCode).toBe(0)
  })
})

describeConcurrent('a relay', () => {
  test('with an impossible address is exit 2, and the address is not repeated', async () => {
    const noScheme = 'has no http:// or https:// in front'
    const faults: Readonly<Record<string, string>> = {
      '': 'is empty',
      ' ': 'is empty',
      'relay.example': noScheme,
      'localhost:8080': noScheme,
      'javascript:alert(1)': noScheme,
      'ftp://relay.example': 'begins with ftp:// instead of http:// or https://',
      'WSS://secret@relay.example': 'begins with wss:// instead of http:// or https://',
      'https://': 'has a host or a port that cannot be',
      'http://relay.example:65536': 'has a host or a port that cannot be',
      'http://user:secret@relay.example': 'has a user name or a password, which no relay takes',
      [`http://relay.example${'/'.repeat(100_000)}x`]: 'is too long',
    }
    const mistake = (args: readonly string[], source: string, fault: string, PAIRLAY_RELAY = ''): Mistake => {
      const says = `${source} ${fault}. A relay address looks like https://relay.example.`
      return [args, says, 'usage', { env: { PAIRLAY_RELAY } }]
    }
    await expectMistakes([
      ...Object.entries(faults).map(([address, fault]) =>
        mistake(['send', '--yes', '-', '--relay', address], 'The value of --relay', fault),
      ),
      mistake(['send', '--yes', '-'], 'PAIRLAY_RELAY', noScheme, 'relay.example'),
      mistake(['receive', '--relay', 'relay.example'], 'The value of --relay', noScheme),
      mistake(['receive', '--yes', `relay.example/#${strangeCode()}`], 'The address in this link', noScheme),
    ])
  })

  test('that only a link names is named before it is asked, when nobody can be', async () => {
    const elsewhere = await nobodyListens()
    const { stderr, exitCode } = await run(['receive', `${elsewhere}/#${strangeCode()}`, '--yes'], { env })
    expect([exitCode, stderr.split('\n')[0]]).toEqual([4, `The link leads to the relay at ${elsewhere}.`])
  })

  test('on another machine is warned of when the way to it has no TLS', async () => {
    const outcome = await run(['send', '--yes', '-', '--relay', 'http://relay.invalid'], { stdin: 'x' })
    expect([outcome.exitCode, outcome.stderr.split('\n')[0]]).toEqual([
      4,
      'http:// to relay.invalid has no TLS: others on the way can disturb this pairing, though not read what is sent.',
    ])
    const secure = await run(['send', '--yes', '-', '--relay', 'https://relay.invalid'], { stdin: 'x' })
    expect(secure.stderr).not.toContain('no TLS')
  })

  test('under a path that it does not have is exit 2, and the path is not repeated', async () => {
    const says = `There is no relay under this path of ${relay.url}. Most relays have none: try --relay ${relay.url}.`
    await expectMistakes([
      [['send', '--yes', '-', '--relay', `${relay.url}/secret`], says],
      [['receive', strangeCode(), '--yes', '--relay', `${relay.url}/secret/`], says],
    ])
  })

  test('whose address has a slash, a query or a fragment behind it is the relay', async () => {
    const { sender, code } = await openSender(['-', '--relay', `${relay.url}/?a=1#b`], { stdin: 'content' })
    const received = await run(['receive', code, '--relay', `${relay.url}/`, '--yes', '-o', '-'])
    expect([received.stdout.toString(), (await sender.ended()).exitCode]).toEqual(['content', 0])
  })

  test('is asked for a session of 15 minutes, and for a second more for each megabyte', async () => {
    const { at } = await temporaryDirectory({ file: '' })
    const refusal = { type: 'about:blank', title: 'No', status: 400, code: 'invalid_request', retryable: false }
    const asked: unknown[] = []
    const url = await serveHttp(async (request, response) => {
      asked.push(JSON.parse(await text(request)).ttlSeconds)
      response.writeHead(400).end(JSON.stringify(refusal))
    })
    for (const megabytes of [0, 600, 100_000]) {
      await truncate(at('file'), megabytes * 1_000_000)
      expect((await runHere(['send', '--yes', at('file'), '--relay', url])).exitCode).toBe(4)
    }
    expect(asked).toEqual([900, 1_500, 86_400])
  })

  test('that does not listen is exit 4 and named, and where it is ours, so is the way to start it', async () => {
    const url = await nobodyListens()
    const other = url.replace('127.0.0.1', '0.0.0.0')
    const start = `${noRelayAt(url)} Start one with \`pairlay serve\`, or name one with --relay or \`pairlay config\`.`
    const options = { env: { PAIRLAY_RELAY: `${url}/secret?secret` } }
    const check = `${noRelayAt(other)} Check the address and the network.`
    await expectMistakes([
      [['send', '--yes', '-'], start, 'relay', options],
      [['receive', strangeCode(), '--yes'], start, 'relay', options],
      [['receive', strangeCode(), '--yes', '--relay', other], check, 'relay'],
    ])
  })

  const PAGE = '<!doctype html><title>\u001b[31mhello</title>'
  const other = (detail: string) =>
    `There is something else at this address: the answer is not one of a Pairlay relay${detail}.`
  const TLS = 'If this port has TLS, the address begins with https://.'
  const badGateway = 'A proxy answers there, and it reaches no relay behind it (HTTP 502).'
  test.each<[string, string, RequestListener]>([
    ['knows no such page', other(' (HTTP 404)'), (_, response) => response.writeHead(404).end(PAGE)],
    ['says yes to everything', other(''), (_, response) => response.writeHead(200).end(PAGE)],
    [
      'answers with other JSON',
      other(''),
      (_, response) => response.writeHead(201).end('{"code":"\\u001b[31m","sessionId":1}'),
    ],
    ['forbids everything', other(' (HTTP 403)'), (_, response) => response.writeHead(403).end('{"code":"no"}')],
    ['is a proxy whose relay is down', badGateway, (_, response) => response.writeHead(502).end(PAGE)],
    ['wants TLS, and says that', TLS, (_, response) => response.writeHead(400).end(PAGE)],
    ['hangs up, as for want of TLS', TLS, (request) => request.socket.destroy()],
  ])('that is none, and %s, is exit 4', async (_, detail, listener) => {
    const url = await serveHttp(listener)
    const args = detail === other('') ? ['send', '--yes', '-'] : ['receive', strangeCode(), '--yes']
    const options = { env: { PAIRLAY_RELAY: url } }
    await expectMistakes([[args, `${noRelayAt(url)} ${detail}`, 'relay', options]])
  })

  test('that is reached through a proxy alone is exit 4, and it is said that the proxy is not used', async () => {
    const unused = (name: string) =>
      `Check the address and the network. ${name} is set and is not used: ` +
      'Node 24 uses HTTP_PROXY and HTTPS_PROXY with NODE_USE_ENV_PROXY=1.'
    const proxied = (protocol: string, name: string, env = {}): Mistake => {
      const url = `${protocol}://0.0.0.0:1`
      const args = ['receive', strangeCode(), '--yes', '--relay', url]
      return [args, `${noRelayAt(url)} ${unused(name)}`, 'relay', { env: { [name]: 'http://p', ...env } }]
    }
    await expectMistakes([
      proxied('http', 'HTTP_PROXY'),
      proxied('https', 'https_proxy'),
      proxied('https', 'ALL_PROXY'),
      proxied('https', 'ALL_PROXY', { NODE_USE_ENV_PROXY: '1' }),
    ])
  })

  test('that sends us elsewhere is exit 4, and it is said where to', async () => {
    const url = await serveHttp((request, response) => {
      response.writeHead(308, { location: `https://relay.example${request.url}` }).end()
    })
    const says =
      `${PAIRING_ERRORS.relay_redirects} It points to https://relay.example. ` +
      `Name that one with --relay, instead of ${url}.`
    await expectMistakes([[['receive', strangeCode(), '--yes', '--relay', url], says, 'relay']])
  })

  test('that does not answer to the name it was called by says who can change that', async () => {
    const problem = { type: 'about:blank', title: 'no', status: 403, code: 'forbidden', retryable: false }
    const url = await serveHttp((_request, response) => {
      response.writeHead(403, { 'content-type': 'application/problem+json' }).end(JSON.stringify(problem))
    })
    const says = `The relay at ${url} does not answer to this name. Its operator lets it with ALLOWED_HOSTS or TRUST_PROXY.`
    await expectMistakes([[['receive', strangeCode(), '--yes', '--relay', url], says, 'relay']])
  })

  test('whose certificate is not trusted is named, and so is the way to trust an authority of one’s own', () => {
    const said = (detail: string) =>
      (failureOf(new PairingError('relay_untrusted', { detail }), 'https://r.example/', false) as CliError).message
    const own = ' Trust one of your own with NODE_EXTRA_CA_CERTS=ca.pem.'
    const start = 'The certificate of https://r.example cannot be trusted.'
    expect(said('It is self-signed.')).toBe(`${start} It is self-signed.${own}`)
    expect(said('It is of an unknown authority.')).toContain(own)
    expect(said('It has expired.')).toBe(`${start} It has expired.`)
    const cause = Object.assign(new Error(), { code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' })
    const unreachable = new PairingError('relay_unreachable', { cause: new TypeError('failed', { cause }) })
    expect(failureOf(unreachable, 'https://r.example/', false)).toMatchObject({
      message: 'No relay answers at https://r.example. It takes another TLS than this device.',
    })
  })

  test('that is full is exit 4', async () => {
    const full = await RelayProgram.start({ MAX_SESSIONS: '1' })
    const options = { env: { PAIRLAY_RELAY: full.url } }
    await openSender(['-'], options)
    await expectMistakes([[['send', '--yes', '-'], PAIRING_ERRORS.at_capacity, 'relay', options]])
  })
})

describeConcurrent('without a terminal', () => {
  const name = cleanText(hostname(), 32).replaceAll(/[^\x20-\x7e]|["\\]/g, '_')
  /** The lines, without those that tell of the progress when it takes longer than a moment. */
  const lines = (text: string) => text.split('\n').filter((line) => !line.endsWith('/s'))

  test('both sides print plain lines on stderr, and nothing on stdout', async () => {
    const { at } = await temporaryDirectory({ 'out/': '', file: 'hello' })
    const { sender, code } = await openPlain(['--yes', at('file')], { env })
    const received = await run(['receive', code, '--yes', '-o', at('out')], { env })
    const sent = await sender.ended()
    const number = received.stderr.match(/should show (\d{3} \d{3})\./)?.[1] ?? ''
    expect([sent.exitCode, received.exitCode]).toEqual([0, 0])
    expect([sent.stdout.length, received.stdout.length]).toEqual([0, 0])
    expect(lines(sent.stderr)).toEqual([
      'Sending file (5 bytes). On the other device:',
      '',
      `  pairlay receive ${code} --relay ${relay.url}`,
      '',
      `Code: ${code}`,
      'It is good for 15:00. Waiting for the other device …',
      `A device has proved that it knows the code. Its number: ${number}`,
      `    It calls itself ${shownDevice(name)}`,
      'Approved. Waiting until the other side accepts it …',
      `${number} accepts.`,
      expect.stringMatching(new RegExp(`^Delivered to ${number}: 5 bytes in \\d\\.\\d s \\(\\S+ \\w+/s\\)\\.$`)),
      '',
    ])
    expect(lines(received.stderr)).toEqual([
      'Checking the code with the sender …',
      `The sender should show ${number}. Waiting for its approval …`,
      'Approved. Waiting for what it sends …',
      'The sender offers file (5 bytes).',
      `Saved ${at('out/file')}.`,
      expect.stringMatching(/^Received 5 bytes in \d\.\d s \(\S+ \w+\/s\)\. The relay says that the sender knows\.$/),
      '',
    ])
  })

  test('questions take their answers from stdin, and each stays a line of its own', async () => {
    const { at } = await temporaryDirectory({ a: 'a', b: 'bb', 'out/': '' })
    const { sender, code } = await openPlain([at('a'), at('b'), '--ttl', '60'], { env, stdin: 'open' })
    const receiver = pairlay(['receive'], { env, stdin: 'open', cwd: at('out') })
    await receiver.says(/^Code: $/)
    await receiver.write(`${code}\n`)
    const [, number = ''] = await sender.says(/show (\d{3} \d{3})\? \[y\/N\] $/)
    await sender.write('y\n')
    await receiver.says(
      `Save them in ${at('out')}, if the sender shows ${number}? [y/N, l: list] `.replaceAll(/[?[\]]/g, '\\$&'),
    )
    await receiver.write('yes\n')
    const [sent, received] = await Promise.all([sender.ended(), receiver.ended()])
    expect([sent.exitCode, received.exitCode]).toEqual([0, 0])
    expect(lines(sent.stderr)).toContain(`Does the other device show ${number}? [y/N] `)
    expect(lines(received.stderr).slice(0, 10)).toEqual([
      'Code: ',
      'Checking the code with the sender …',
      `The sender should show ${number}. Waiting for its approval …`,
      'Approved. Waiting for what it sends …',
      'The sender offers 2 files (3 bytes):',
      '    a  1 byte',
      '    b  2 bytes',
      `Save them in ${at('out')}, if the sender shows ${number}? [y/N, l: list] `,
      'Saved a.',
      'Saved b.',
    ])
  })

  test('an answer that was in the pipe before a device came approves it', async () => {
    const { sender, code } = await openFile([], { env, stdin: 'y\n' })
    const receiver = await take(relay, code)
    expect([(await sender.ended()).exitCode, await receiver.taken]).toEqual([0, { items: ['content'] }])
  })

  test('nobody to answer is exit 2 at the sender before it shows a code', async () => {
    const { at } = await temporaryDirectory({ file: '' })
    const line = 'pairlay: There is nobody to answer. Use --yes to approve without asking.\n'
    for (const [args, stdin] of [[at('file')], [at('file'), ''], ['-', 'data'], ['--text', 'text']]) {
      const { exitCode, stdout, stderr } = await run(['send', args ?? ''], { env, ...(stdin && { stdin }) })
      expect([exitCode, stdout.toString(), stderr]).toEqual([2, '', line])
    }
  })

  test('nobody to answer is exit 2 at the receiver before it joins, and the code stays good', async () => {
    const { at } = await temporaryDirectory()
    const { code, delivered } = await offer(relay, { file: 'content' })
    const line = 'pairlay: There is nobody to answer. Use --yes to accept without asking.'
    expect(errorsOf(await run(['receive', code, '-o', at('x')], { env }))).toEqual([line])
    const outcome = await run(['receive', '-o', at('x')], { env, stdin: `${code}\n` })
    expect([outcome.exitCode, outcome.stderr]).toEqual([2, `Code: \n${line}\n`])
    const other = await take(relay, code)
    expect([await other.taken, await delivered]).toEqual([{ items: ['content'] }, [true]])
  })

  test('an answer that ends before a question is exit 2, and the other side does not wait for the deadline', async () => {
    const { sender, code, at } = await openFile([], { env, stdin: 'open' })
    sender.endStdin()
    const received = await run(['receive', code, '--yes'], { env, cwd: at('.') })
    const sent = await sender.ended()
    expect(errorsOf(sent)).toEqual(['pairlay: There is nobody to answer. Use --yes to approve without asking.'])
    expect(errorsOf(received)).toEqual([expect.stringContaining(PAIRING_ERRORS.closed_by_sender)])
    expect([sent.exitCode, received.exitCode]).toEqual([2, 3])

    const second = await offer(relay, { file: 'content' })
    const refused = await run(['receive', second.code, '--yes'], { env, cwd: at('.') })
    expect(errorsOf(refused)).toEqual([
      'pairlay: file is there already, and is not overwritten. Save elsewhere with -o, or use --rename or --overwrite.',
    ])
    expect([refused.exitCode, await second.delivered]).toEqual([1, [false]])
  })

  test('an offer that is not wanted, or does not fit, is not delivered', async () => {
    const { at } = await temporaryDirectory({ 'out/': '' })
    const refusals: [args: string[], stdin: string, line: string, exitCode: number][] = [
      [['-o', at('out')], 'n\n', 'Refused. Nothing was saved.', 5],
      [['--yes', '-o', '-'], '', 'Several files do not fit into one pipe. Receive them into a directory with -o.', 2],
      [
        ['--yes', '-o', at('a')],
        '',
        `${at('a')} is not a directory, and there are several files. Name a directory with -o.`,
        2,
      ],
    ]
    await Promise.all(
      refusals.map(async ([args, stdin, line, exitCode]) => {
        const { code, delivered } = await offer(relay, { a: 'a', b: 'b' })
        const refused = await run(['receive', code, ...args], { env, stdin })
        expect(errorsOf(refused)).toEqual([`pairlay: ${line}`])
        expect([refused.exitCode, await delivered]).toEqual([exitCode, [false]])
      }),
    )
  })

  test('a sender that approved nobody and is done is exit 3', async () => {
    const { sender, code } = await openFile([], { env, stdin: 'open' })
    const receivers = [await take(relay, code), await take(relay, code)]
    await sender.says(/2 devices know the code\. Type the number that the right one shows \(Enter: none\): $/)
    await sender.write('000 00\n')
    await sender.says(PAIRING_ERRORS.no_such_number)
    await sender.write('\n')
    const sent = await sender.ended()
    expect([sent.exitCode, errorsOf(sent)]).toEqual([3, [expect.stringContaining('No device was approved')]])
    for (const receiver of receivers) expect(await receiver.taken).toEqual({ error: 'closed_by_sender' })
  })
})

describeConcurrent('serve', () => {
  test('runs a relay until it is stopped, and passes its exit code on', async () => {
    const serve = pairlay(['serve', '--port', '0', '--host', '127.0.0.1'])
    const ready = await serve.until('the relay is ready', () =>
      serve.events.find(({ msg }) => msg === 'the relay is ready'),
    )
    const { sender } = await openSender(['-', '--relay', `http://127.0.0.1:${ready.port}`])
    sender.signal('SIGTERM')
    await sender.ended()
    serve.signal('SIGTERM')
    const { exitCode, stderr } = await serve.ended()
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(serve.events.at(-1)).toMatchObject({ msg: 'stopped' })
  })

  test('with a port that is taken is exit 1 and one line', async () => {
    const port = new URL(relay.url).port
    const says = `cannot listen on 127.0.0.1 port ${port}: EADDRINUSE`
    await expectMistakes([[['serve', '--port', port], says, 'failed', { stdin: '' }]])
  })
})

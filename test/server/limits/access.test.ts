import { hash } from 'node:crypto'
import { pino } from 'pino'
import { afterEach, describe, expect, test } from 'vitest'
import { type AccessFile, AccessFileError, AccessTokens, parseAccessFile } from '../../../src/server/limits/access.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { call } from '../../support/http.ts'
import { publicKey } from '../../support/relay.ts'
import { type RunningRelay, type ServerOptions, startRelay } from '../../support/server.ts'

const lineOf = (name: string, token: string) => `${name} sha256:${hash('sha256', token, 'base64url')}\n`

/** A file that a test edits. */
class EditedFile implements AccessFile {
  text: string | undefined
  /** Its rights have been taken away. */
  isForbidden = false
  #edits = 0

  constructor(text: string) {
    this.text = text
  }

  edit(text: string | undefined): void {
    this.text = text
    this.#edits++
  }

  read(): string {
    if (this.isForbidden) throw Object.assign(new Error(), { code: 'EACCES' })
    if (this.text === undefined) throw Object.assign(new Error(), { code: 'ENOENT' })
    return this.text
  }

  version(): string {
    if (this.text === undefined) throw Object.assign(new Error(), { code: 'ENOENT' })
    return String(this.#edits)
  }
}

function tokensOf(file: EditedFile) {
  const clock = new FakeClock()
  const log: string[] = []
  const logger = pino({ base: null }, { write: (line: string) => void log.push(line) })
  return { clock, log, tokens: new AccessTokens(file, clock, logger) }
}

describe('a file of access tokens', () => {
  test('has a name and a digest on each line, comments and empty lines', () => {
    const digests = parseAccessFile(`# ours\r\n\n${lineOf('ada', 'one')}  \n ${lineOf('b.o-b@x', 'two')}`)
    expect([...digests.keys()]).toEqual(['ada', 'b.o-b@x'])
  })

  test.each([
    ['a token itself', 'ada sha256:one\n', 1],
    ['a digest alone', lineOf('', 'one'), 1],
    ['a name twice', lineOf('ada', 'one') + lineOf('ada', 'two'), 2],
    ['words after the digest', `# first\n${lineOf('ada', 'one').trim()} more\n`, 2],
  ])('with %s is refused by the number of the line, and nothing of it is repeated', (_, text, line) => {
    expect(() => parseAccessFile(text)).toThrow(AccessFileError)
    expect(() => parseAccessFile(text)).toThrow(new RegExp(`^line ${line} (?!.*(ada|one|sha256:[\\w-]{9}))`))
  })

  test('is read again within a second of its change', () => {
    const file = new EditedFile(lineOf('ada', 'one'))
    const { clock, log, tokens } = tokensOf(file)
    file.edit(lineOf('bob', 'two'))
    expect([tokens.has('one'), tokens.has('two')]).toEqual([true, false])
    clock.advance(1_000)
    expect([tokens.has('one'), tokens.has('two')]).toEqual([false, true])
    expect(log).toHaveLength(1)
  })

  test.each([undefined, 'nonsense'])(
    'that becomes unreadable (%s) leaves the tokens as they were, and says it once',
    (text) => {
      const file = new EditedFile(lineOf('ada', 'one'))
      const { clock, log, tokens } = tokensOf(file)
      file.edit(text)
      for (let i = 0; i < 3; i++) {
        clock.advance(1_000)
        expect(tokens.has('one')).toBe(true)
      }
      expect(log).toHaveLength(1)
      file.edit(lineOf('bob', 'two'))
      clock.advance(1_000)
      expect([tokens.has('one'), tokens.has('two')]).toEqual([false, true])
    },
  )

  test('that may not be read is told of once, and is read when it may be', () => {
    const file = new EditedFile(lineOf('ada', 'one'))
    const { clock, log, tokens } = tokensOf(file)
    file.edit(lineOf('bob', 'two'))
    const looks = [true, true, true, false].map((isForbidden) => {
      file.isForbidden = isForbidden
      clock.advance(1_000)
      return tokens.has('two')
    })
    expect(looks).toEqual([false, false, false, true])
    expect(log.map((line) => JSON.parse(line).level)).toEqual([50, 30])
  })
})

describe('opening a session', () => {
  let relay: RunningRelay
  let made = 0
  afterEach(() => relay.close())

  const attempt = async (headers: Readonly<Record<string, string>> = {}) => {
    const body = { clientId: 'c', senderCode: `code-${++made}` }
    const answer = await call(relay.url, 'POST', '/v1/sessions', { body, headers })
    return answer.status === 201 ? 201 : [answer.status, answer.json<{ code: string }>().code]
  }
  const start = async (options: ServerOptions) => {
    relay = await startRelay({ trustProxy: ['127.0.0.1'], logLevel: 'debug', ...options })
  }

  test('takes a token of the file, in the form of a bearer token, where there is one', async () => {
    await start({ accessTokens: tokensOf(new EditedFile(lineOf('ada', 'one') + lineOf('bob', 'two'))).tokens })
    const refused = [401, 'unauthorized']
    expect(await attempt({ authorization: 'Bearer two' })).toBe(201)
    expect(await attempt({ authorization: 'Bearer one' })).toBe(201)
    const attackers = [{}, { authorization: 'Bearer three' }, { authorization: 'two' }, { authorization: 'Basic two' }]
    for (const attacker of attackers) expect(await attempt(attacker)).toEqual(refused)
    expect(relay.log.join()).not.toMatch(/three|\btwo\b/)
  })

  test('takes a client of the networks, where some are named', async () => {
    await start({ createFrom: ['10.0.0.0/8', '2001:db8::/48'] })
    const from = (address: string) => attempt({ 'x-forwarded-for': address })
    expect([await from('10.9.8.7'), await from('2001:db8:0:5::1')]).toEqual([201, 201])
    for (const attacker of ['192.0.2.1', '2001:db8:1::1', '10.1.1.1, 192.0.2.1'])
      expect(await from(attacker)).toEqual([403, 'access_denied'])
  })

  test('is for everybody where neither is set, and joining always is', async () => {
    await start({ accessTokens: tokensOf(new EditedFile(lineOf('ada', 'one'))).tokens, createFrom: ['127.0.0.1'] })
    const body = { clientId: 'c', senderCode: 'ours' }
    await call(relay.url, 'POST', '/v1/sessions', { body, headers: { authorization: 'Bearer one' } })
    const join = { senderCode: 'ours', receiverCode: 'receiver-1', publicKey: publicKey(1) }
    const joined = await call(relay.url, 'POST', '/v1/receivers', {
      body: join,
      headers: { 'x-forwarded-for': '192.0.2.1' },
    })
    expect(joined.status).toBe(201)
  })
})

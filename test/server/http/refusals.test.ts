import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ERROR_TITLES } from '../../../src/protocol/error-titles.ts'
import { ERRORS, type HttpErrorCode } from '../../../src/protocol/errors.ts'
import { BODY_MAX_BYTES } from '../../../src/protocol/limits.ts'
import { Problem } from '../../../src/protocol/responses.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { FakeSecrets } from '../../support/fake-secrets.ts'
import { type Answer, type CallOptions, call, sayRaw } from '../../support/http.ts'
import { publicKey } from '../../support/relay.ts'
import { type RunningRelay, startRelay } from '../../support/server.ts'

const clock = new FakeClock()
const strangers = new FakeSecrets(1_000_000)
let relay: RunningRelay
let made = 0

beforeAll(async () => {
  relay = await startRelay({ clock, settings: { maxReceivers: 2, maxSessionsPerClient: 1000 } })
})
afterAll(() => relay.close())

interface Party {
  readonly path: string
  readonly sessionId: string
  readonly senderCode: string
  readonly token: string
  readonly receiver: { readonly code: string; readonly token: string }
}

/** An open session with one pending receiver. */
async function party(): Promise<Party> {
  made++
  const [senderCode, code] = [`sender-${made}`, `receiver-${made}`]
  const created = await call(relay.url, 'POST', '/v1/sessions', { body: { clientId: 'c', senderCode } })
  const { sessionId, token } = created.json<{ sessionId: string; token: string }>()
  const body = { senderCode, receiverCode: code, publicKey: publicKey(made) }
  const joined = (await call(relay.url, 'POST', '/v1/receivers', { body })).json<{ token: string }>()
  return { path: `/v1/sessions/${sessionId}`, sessionId, senderCode, token, receiver: { code, token: joined.token } }
}

const viewOf = async ({ path, token }: Party) => (await call(relay.url, 'GET', path, { token })).json()

/** Asserts that a call is refused as documented, in full. */
function expectProblem(answer: Answer, code: HttpErrorCode): void {
  const { status, retryable } = ERRORS[code]
  const title = ERROR_TITLES[code]
  const { detail, ...problem } = answer.problem()
  expect(problem).toEqual({ type: 'about:blank', title, status, code, retryable })
  expect(answer.status).toBe(status)
  expect(Problem.safeParse(answer.json()).success).toBe(true)
  if (detail !== undefined) expect(detail).not.toMatch(/[\n\r]|\bat \/|node_modules|\.ts:|\.js:|Error:/)
  expect(answer.headers.get('cache-control')).toBe('no-store')
  expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
  expect(answer.headers.get('www-authenticate')).toBe(status === 401 ? 'Bearer' : null)
  if (status === 429 || status === 503) expect(answer.headers.get('retry-after')).toMatch(/^\d+$/)
  else expect(answer.headers.get('retry-after')).toBeNull()
}

/** Makes a call as an attacker would, and asserts that it is refused and that nothing has changed. */
async function refused(method: string, path: string, options: CallOptions, code: HttpErrorCode, watched?: Party) {
  const before = watched && (await viewOf(watched))
  const counted = relay.counters()
  const attacker = await call(relay.url, method, path, options)
  expectProblem(attacker, code)
  if (watched) expect(await viewOf(watched)).toEqual(before)
  expect(relay.counters()).toEqual(counted)
  return attacker
}

describe('bodies', () => {
  const create = { clientId: 'c', senderCode: 'a-code' }

  test(`of more than ${BODY_MAX_BYTES} bytes are body_too_large, ${BODY_MAX_BYTES} are read`, async () => {
    const text = (length: number) => JSON.stringify({ ...create, padding: '' }).replace('""', `"${'x'.repeat(length)}"`)
    const fill = BODY_MAX_BYTES - text(0).length
    const type = 'application/json'
    await refused('POST', '/v1/sessions', { raw: { text: text(fill + 1), type } }, 'body_too_large')
    const taken = { raw: { text: text(fill).replace('a-code', 'x'), type } }
    await refused('POST', '/v1/sessions', taken, 'invalid_request')
  })

  test('that announce more than they may are body_too_large before they have come', async () => {
    const head = `POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9000000\r\n`
    const answer = await sayRaw(relay.port, `${head}connection: close\r\n\r\n{`)
    expect(answer).toContain('413')
    expect(answer).toContain('"code":"body_too_large"')
  })

  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx']) {
    test(`of type ${type} are unsupported_media_type`, async () => {
      await refused('POST', '/v1/sessions', { raw: { text: JSON.stringify(create), type } }, 'unsupported_media_type')
    })
  }

  test('of type application/json with a charset are read', async () => {
    const raw = { text: '{"clientId":""}', type: 'application/json; charset=utf-8' }
    await refused('POST', '/v1/sessions', { raw }, 'invalid_request')
  })

  const malformed = {
    nothing: '',
    'an open brace': '{',
    'two values': '{}{}',
    'a list': '[]',
    null: 'null',
    'a string': '"text"',
    'a comment': '{} // {}',
    'a key __proto__': '{"clientId":"c","senderCode":"a-code","__proto__":{"admin":true}}',
    'a key __proto__ deep inside': '{"clientId":"c","senderCode":"a-code","x":[{"__proto__":1}]}',
    'a constructor with a prototype': '{"clientId":"c","senderCode":"a-code","constructor":{"prototype":{}}}',
    'another depth than anybody needs': `{"clientId":${'['.repeat(3000)}${']'.repeat(3000)}}`,
  }
  for (const [what, text] of Object.entries(malformed)) {
    for (const path of ['/v1/sessions', '/v1/receivers']) {
      test(`that are ${what} are invalid_request at ${path}`, async () => {
        await refused('POST', path, { raw: { text, type: 'application/json' } }, 'invalid_request')
        expect(Object.hasOwn(Object.prototype, 'admin')).toBe(false)
      })
    }
  }

  const join = { senderCode: 'a-code', receiverCode: 'b-code', publicKey: publicKey(1) }
  const wrong: [path: string, field: string, body: object][] = [
    ['/v1/sessions', 'clientId', { ...create, clientId: '' }],
    ['/v1/sessions', 'clientId', { ...create, clientId: 'x'.repeat(65) }],
    ['/v1/sessions', 'senderCode', { ...create, senderCode: 'abc' }],
    ['/v1/sessions', 'senderCode', { ...create, senderCode: 'x'.repeat(65) }],
    ['/v1/sessions', 'senderCode', { ...create, senderCode: 'white space' }],
    ['/v1/sessions', 'ttlSeconds', { ...create, ttlSeconds: 29 }],
    ['/v1/sessions', 'ttlSeconds', { ...create, ttlSeconds: 86_401 }],
    ['/v1/sessions', 'maxReceivers', { ...create, maxReceivers: 0 }],
    ['/v1/sessions', 'maxReceivers', { ...create, maxReceivers: 9 }],
    ['/v1/receivers', 'receiverCode', { ...join, receiverCode: 'ünïcode' }],
    ['/v1/receivers', 'publicKey', { ...join, publicKey: '' }],
    ['/v1/receivers', 'publicKey', { ...join, publicKey: Buffer.alloc(129).toString('base64url') }],
    ['/v1/receivers', 'publicKey', { ...join, publicKey: Buffer.alloc(32).toString('base64') }],
    ['/v1/receivers', 'name', { ...join, name: '' }],
    ['/v1/receivers', 'name', { ...join, name: 'é'.repeat(33) }],
  ]
  for (const [path, field, body] of wrong) {
    test(`with a wrong ${field} are invalid_request, which names it: ${JSON.stringify(body).slice(0, 90)}`, async () => {
      const answer = await refused('POST', path, { body }, 'invalid_request')
      expect(answer.problem().detail).toMatch(new RegExp(`^${field}: `))
    })
  }

  test('what was wrong is not repeated in the answer', async () => {
    const body = { ...create, senderCode: '<script>alert(1)</script>' }
    const answer = await refused('POST', '/v1/sessions', { body }, 'invalid_request')
    expect(answer.text).not.toContain('script')
  })
})

describe('paths', () => {
  const unknown = ['/', '/v1', '/v1/session', '/v2/sessions', '/metrics', '/.env', '/v1/sessions//code']
  for (const path of unknown) {
    test(`${path} is not_found`, async () => {
      await refused('GET', path, {}, 'not_found')
    })
  }

  test('a method nobody documented is not_found', async () => {
    for (const method of ['PUT', 'DELETE', 'PATCH']) await refused(method, '/v1/sessions', {}, 'not_found')
    const session = await party()
    await refused('PATCH', session.path, { token: session.token }, 'not_found', session)
    await refused('POST', session.path, { token: session.token, body: {} }, 'not_found', session)
  })

  for (const id of [
    'short',
    'x'.repeat(21),
    'x'.repeat(23),
    `${'A'.repeat(21)}B`,
    '',
    '..%2f..%2fetc',
    `${'A'.repeat(21)}=`,
  ]) {
    test(`a session id like ${id} is invalid_request`, async () => {
      await refused('GET', `/v1/sessions/${id}`, { token: strangers.token() }, 'invalid_request')
    })
  }

  for (const code of ['abc', 'x'.repeat(65), 'x'.repeat(100), 'with%20space', '%00%00%00%00']) {
    test(`a receiver code like ${code.slice(0, 70)} is invalid_request`, async () => {
      const session = await party()
      await refused('DELETE', `${session.path}/receivers/${code}`, { token: session.token }, 'invalid_request', session)
    })
  }

  test('a part longer than any of ours, or wrongly encoded, is invalid_request', async () => {
    await refused('GET', `/v1/sessions/${'x'.repeat(500)}`, {}, 'invalid_request')
    await refused('GET', '/v1/sessions/%zz', {}, 'invalid_request')
  })

  for (const query of [
    'waitMs=-1',
    'waitMs=25001',
    'waitMs=soon',
    'waitMs=1.5',
    `version=${'x'.repeat(33)}`,
    'waitMs=1&waitMs=2',
    'version=a&version=b',
  ]) {
    test(`a query like ${query} is invalid_request`, async () => {
      const session = await party()
      await refused('GET', `${session.path}?${query}`, { token: session.token }, 'invalid_request', session)
    })
  }
})

describe('tokens', () => {
  const commands: [method: string, path: (of: Party) => string, body?: object][] = [
    ['GET', ({ path }) => path],
    ['DELETE', ({ path }) => path],
    ['DELETE', ({ path }) => `${path}/code`],
    ['PUT', ({ path, receiver }) => `${path}/receivers/${receiver.code}/decision`, { decision: 'approved' }],
    ['DELETE', ({ path, receiver }) => `${path}/receivers/${receiver.code}`],
  ]
  const names = ['view', 'close', 'retire', 'decide', 'end']

  for (const [index, [method, pathOf, body]] of commands.entries()) {
    test(`missing, malformed, unknown or of another session, are unauthorized: ${names[index]}`, async () => {
      const [session, other] = [await party(), await party()]
      const path = pathOf(session)
      const token = session.token
      const headers = [
        '',
        'Bearer',
        'Bearer ',
        `Basic ${token}`,
        token,
        `Bearer ${token}=`,
        `Bearer ${token} x`,
        `Bearer  ${token}`,
      ]
      const options = body ? { body } : {}
      await refused(method, path, options, 'unauthorized', session)
      for (const authorization of headers) {
        await refused(method, path, { ...options, headers: { authorization } }, 'unauthorized', session)
      }
      for (const wrong of [
        strangers.token(),
        other.token,
        other.receiver.token,
        token.slice(1),
        `${token}A`,
        token.toLowerCase(),
      ]) {
        await refused(method, path, { ...options, token: wrong }, 'unauthorized', session)
      }
      await refused(
        method,
        path.replace(session.sessionId, strangers.sessionId()),
        { ...options, token },
        'session_not_found',
      )
    })
  }

  for (const index of [1, 2, 3]) {
    const [method, pathOf, body] = commands[index] ?? expect.unreachable()
    test(`of a receiver are forbidden what is the sender's: ${names[index]}`, async () => {
      const session = await party()
      const options = { token: session.receiver.token, ...(body ? { body } : {}) }
      await refused(method, pathOf(session), options, 'forbidden', session)
    })
  }

  test('of a receiver are forbidden to end another one', async () => {
    const session = await party()
    const body = { senderCode: session.senderCode, receiverCode: 'second', publicKey: publicKey(2) }
    await call(relay.url, 'POST', '/v1/receivers', { body })
    await refused('DELETE', `${session.path}/receivers/second`, { token: session.receiver.token }, 'forbidden', session)
  })

  test('of a wrong form are unauthorized before anybody looks for the session, others after', async () => {
    const nowhere = `/v1/sessions/${strangers.sessionId()}`
    await refused('GET', nowhere, {}, 'unauthorized')
    await refused('GET', nowhere, { token: strangers.token().slice(1) }, 'unauthorized')
    await refused('GET', nowhere, { token: strangers.token() }, 'session_not_found')
  })

  test('in the query are not looked at', async () => {
    const session = await party()
    await refused('GET', `${session.path}?token=${session.token}`, {}, 'unauthorized', session)
  })
})

describe('states', () => {
  test('a decision that is none is invalid_request', async () => {
    const session = await party()
    const path = `${session.path}/receivers/${session.receiver.code}/decision`
    for (const body of [{}, { decision: 'maybe' }, { decision: 'denied', reason: 'bored' }, { decision: null }]) {
      await refused('PUT', path, { token: session.token, body }, 'invalid_request', session)
    }
  })

  test('sessions beyond the caps are too_many_sessions and at_capacity, with Retry-After', async () => {
    const small = await startRelay({ clock, settings: { maxSessions: 2, maxSessionsPerClient: 1 } })
    const create = (clientId: string, senderCode: string) =>
      call(small.url, 'POST', '/v1/sessions', { body: { clientId, senderCode } })
    expect((await create('one', 'code-1')).status).toBe(201)
    expectProblem(await create('one', 'code-2'), 'too_many_sessions')
    expect((await create('two', 'code-2')).status).toBe(201)
    expectProblem(await create('three', 'code-3'), 'at_capacity')
    expect(small.counters().sessions).toBe(2)
    await small.close()
  })

  test('a join without room for its handshake is at_capacity, with Retry-After', async () => {
    // An eighth of it is for handshakes: eight of them.
    const small = await startRelay({ clock, settings: { memoryBudgetBytes: 2 * 262_272 } })
    for (const senderCode of ['one-code', 'another-code'])
      await call(small.url, 'POST', '/v1/sessions', { body: { clientId: 'c', senderCode, maxReceivers: 8 } })
    const join = (senderCode: string, receiverCode: string) =>
      call(small.url, 'POST', '/v1/receivers', { body: { senderCode, receiverCode, publicKey: publicKey(1) } })
    for (let i = 0; i < 8; i++) expect((await join('one-code', `receiver-${i}`)).status).toBe(201)
    expectProblem(await join('another-code', 'receiver'), 'at_capacity')
    await small.close()
  })
})

describe('a failure of the relay itself', () => {
  test('is internal, says nothing of what failed, and is logged once', async () => {
    const broken = await startRelay({
      clock,
      wrapSessions: (store) =>
        Object.assign(Object.create(store), {
          create: async () => {
            throw new Error('password hunter2 refused at /var/secret/path')
          },
        }),
    })
    const answer = await call(broken.url, 'POST', '/v1/sessions', { body: { clientId: 'c', senderCode: 'a-code' } })
    expectProblem(answer, 'internal')
    expect(answer.problem().detail).toBeUndefined()
    expect(answer.text).not.toMatch(/hunter2|secret|Error|stack/)
    expect(broken.log.filter((line) => line.includes('hunter2'))).toHaveLength(1)
    await broken.close()
  })
})

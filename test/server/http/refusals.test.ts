import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ERROR_TITLES } from '../../../src/protocol/error-titles.ts'
import { ERRORS, type HttpErrorCode } from '../../../src/protocol/errors.ts'
import { Problem } from '../../../src/protocol/responses.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { FakeSecrets } from '../../support/fake-secrets.ts'
import { type Answer, type CallOptions, call, sayRaw } from '../../support/http.ts'
import { publicKey } from '../../support/relay.ts'
import { NO_SERVER_STATE, type RunningRelay, startRelay } from '../../support/server.ts'

/** Refusals at the edge. Those of the documented forms, tokens, roles and states are in test/conformance. */

const clock = new FakeClock()
const strangers = new FakeSecrets(1_000_000)
let relay: RunningRelay

beforeAll(async () => {
  relay = await startRelay({ clock })
})
afterAll(() => relay.close())

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

/** Makes a call as an attacker would, and asserts that it is refused and that nothing has come of it. */
async function refused(method: string, path: string, options: CallOptions, code: HttpErrorCode) {
  const attacker = await call(relay.url, method, path, options)
  expectProblem(attacker, code)
  expect(relay.counters()).toEqual(NO_SERVER_STATE)
  return attacker
}

describe('bodies', () => {
  const create = { clientId: 'c', senderCode: 'a-code' }
  const join = { senderCode: 'a-code', receiverCode: 'b-code', publicKey: publicKey(1) }

  test('that announce more than they may are body_too_large before they have come', async () => {
    const head = `POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9000000\r\n`
    const answer = await sayRaw(relay.port, `${head}connection: close\r\n\r\n{`)
    expect(answer).toContain('413')
    expect(answer).toContain('"code":"body_too_large"')
  })

  test('of a type that only begins like JSON are unsupported_media_type, with a charset they are read', async () => {
    const typed = (type: string) => ({ raw: { text: '{"clientId":""}', type } })
    await refused('POST', '/v1/sessions', typed('application/jsonx'), 'unsupported_media_type')
    await refused('POST', '/v1/sessions', typed('application/json; charset=utf-8'), 'invalid_request')
  })

  test.each(['/v1/sessions', '/v1/receivers'])('of another form are invalid_request at %s', async (path) => {
    const deep = `{"clientId":${'['.repeat(3000)}${']'.repeat(3000)}}`
    const polluting = '{"clientId":"c","senderCode":"a-code","x":[{"__proto__":{"admin":true}}]}'
    for (const text of ['', '{}{}', 'null', '"text"', '{} // {}', deep, polluting])
      await refused('POST', path, { raw: { text, type: 'application/json' } }, 'invalid_request')
    expect(Object.hasOwn(Object.prototype, 'admin')).toBe(false)
  })

  test.each([
    ['/v1/sessions', 'clientId', { ...create, clientId: '' }],
    ['/v1/sessions', 'senderCode', { ...create, senderCode: 'white space' }],
    ['/v1/sessions', 'ttlSeconds', { ...create, ttlSeconds: 29 }],
    ['/v1/sessions', 'maxReceivers', { ...create, maxReceivers: 9 }],
    ['/v1/receivers', 'receiverCode', { ...join, receiverCode: 'ünïcode' }],
    ['/v1/receivers', 'publicKey', { ...join, publicKey: '' }],
    ['/v1/receivers', 'name', { ...join, name: '' }],
  ])('at %s with a wrong %s are invalid_request, which names it', async (path, field, body) => {
    const answer = await refused('POST', path, { body }, 'invalid_request')
    expect(answer.problem().detail).toMatch(new RegExp(`^${field}: `))
  })

  test('that are wrong are not repeated in the answer', async () => {
    const body = { ...create, senderCode: '<script>alert(1)</script>' }
    const answer = await refused('POST', '/v1/sessions', { body }, 'invalid_request')
    expect(answer.text).not.toContain('script')
  })
})

describe('paths', () => {
  test.each(['waitMs=1&waitMs=2', 'version=a&version=b'])('a query like %s is invalid_request', async (query) => {
    const path = `/v1/sessions/${strangers.sessionId()}?${query}`
    await refused('GET', path, { token: strangers.token() }, 'invalid_request')
  })
})

describe('tokens', () => {
  const nowhere = `/v1/sessions/${strangers.sessionId()}`

  test('in the query are not looked at', async () => {
    await refused('GET', `${nowhere}?token=${strangers.token()}`, {}, 'unauthorized')
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

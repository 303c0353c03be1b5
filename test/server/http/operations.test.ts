import { afterEach, describe, expect, test } from 'vitest'
import { ERROR_TITLES } from '../../../src/protocol/error-titles.ts'
import { secretsFrom, systemClock, systemSecrets } from '../../../src/server/system.ts'
import { call, sayRaw } from '../../support/http.ts'
import { type RunningRelay, startRelay } from '../../support/server.ts'

let relay: RunningRelay
afterEach(() => relay.close())

describe('what an orchestrator asks', () => {
  test('is answered: alive, ready, which version', async () => {
    relay = await startRelay()
    expect((await call(relay.url, 'GET', '/healthz')).json()).toEqual({ status: 'alive' })
    expect((await call(relay.url, 'GET', '/readyz')).json()).toEqual({ status: 'ready' })
    const version = { name: 'pairlay', version: '0.0.0-test', protocol: 'pairlay.v1', features: [], page: false }
    expect((await call(relay.url, 'GET', '/version')).json()).toEqual(version)
  })

  test('a relay that drains is alive and not ready, and takes nothing new', async () => {
    relay = await startRelay()
    await relay.relay.drain()
    expect((await call(relay.url, 'GET', '/healthz')).status).toBe(200)
    const ready = await call(relay.url, 'GET', '/readyz')
    expect([ready.status, ready.problem().code]).toEqual([503, 'going_away'])
    expect(ready.headers.get('retry-after')).toMatch(/^\d+$/)
    const create = await call(relay.url, 'POST', '/v1/sessions', { body: { clientId: 'c', senderCode: 'code' } })
    expect([create.status, create.problem().code]).toEqual([503, 'going_away'])
  })

  test('the OpenAPI document has schemas and tokens of commands, and nothing an operator alone needs', async () => {
    relay = await startRelay()
    const answer = await call(relay.url, 'GET', '/openapi.json')
    const document = answer.json<{
      openapi: string
      paths: Record<string, Record<string, { requestBody?: unknown; responses: object; security?: unknown }>>
      components: object
    }>()
    expect(document.openapi).toBe('3.1.0')
    for (const hidden of ['/healthz', '/readyz', '/version', '/v1/address', '/openapi.json'])
      expect(document.paths).not.toHaveProperty(hidden)
    expect(document.paths['/v1/sessions']?.post?.requestBody).toMatchObject({
      content: { 'application/json': { schema: { required: ['clientId', 'senderCode'] } } },
    })
    for (const [path, methods] of Object.entries(document.paths)) {
      if (path.includes('{sessionId}') && !path.endsWith('/socket')) {
        for (const operation of Object.values(methods)) expect(operation.security).toEqual([{ token: [] }])
      }
    }
  })
})

describe('what the HTTP parser refuses', () => {
  /** The status and the problem of a raw answer. */
  const parsed = (answer: string) => {
    const [head, body] = answer.split('\r\n\r\n')
    expect(head).toMatch(/^HTTP\/1\.1 \d{3} /)
    expect(head?.toLowerCase()).toContain('content-type: application/problem+json')
    expect(head?.toLowerCase()).toContain('cache-control: no-store')
    expect(head?.toLowerCase()).toContain('connection: close')
    return JSON.parse(body ?? '')
  }

  for (const [what, text] of Object.entries({
    'what is not HTTP': 'hello\r\n\r\n',
    'another protocol': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'two content lengths': 'POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n',
    'a length and chunks':
      'POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    'a header without a name': 'GET / HTTP/1.1\r\nhost: x\r\n: value\r\n\r\n',
  })) {
    test(`${what} is invalid_request`, async () => {
      relay = await startRelay()
      expect(parsed(await sayRaw(relay.port, text))).toEqual({
        type: 'about:blank',
        title: ERROR_TITLES.invalid_request,
        status: 400,
        code: 'invalid_request',
        retryable: false,
      })
    })
  }

  test('headers that do not come in time are request_timeout, and the time-outs are the documented ones', async () => {
    relay = await startRelay()
    const { server } = relay
    expect([server.headersTimeout, server.requestTimeout, server.keepAliveTimeout]).toEqual([8_000, 10_000, 125_000])
    // The one test that waits for real time: a tenth of what is configured, in the same mechanism.
    server.headersTimeout = 800
    const attacker = sayRaw(relay.port, 'GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ')
    expect(parsed(await attacker)).toMatchObject({ status: 408, code: 'request_timeout' })
  })
})

describe('the process around it', () => {
  test('has a clock of whole milliseconds that does not go back', () => {
    relay = { close: async () => {} } as RunningRelay
    let last = systemClock.now()
    for (let i = 0; i < 1000; i++) {
      const now = systemClock.now()
      expect(Number.isInteger(now)).toBe(true)
      expect(now).toBeGreaterThanOrEqual(last)
      last = now
    }
  })

  test('makes ids and tokens of the documented length, all different, and digests that are SHA-256', () => {
    const made = Array.from({ length: 100 }, () => [systemSecrets.sessionId(), systemSecrets.token()]).flat()
    expect(new Set(made).size).toBe(200)
    expect(made.map((each) => Buffer.from(each, 'base64url').length)).toEqual(Array(100).fill([16, 32]).flat())
    expect(systemSecrets.digest('abc')).toBe(
      Buffer.from('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', 'hex').toString('base64url'),
    )
  })

  test('makes each id and token of bytes of its own, which are zeroed then: an attacker who reads memory finds none', () => {
    const draws: Buffer[] = []
    const secrets = secretsFrom((bytes) => {
      const drawn = Buffer.from(Array.from({ length: bytes }, (_, i) => 1 + ((i + draws.length) % 251)))
      draws.push(drawn)
      return drawn
    })
    const made = Array.from({ length: 200 }, () => [secrets.token(), secrets.sessionId()]).flat()
    const text = Buffer.concat(made.map((each) => Buffer.from(each, 'base64url')))
    expect(text.includes(0)).toBe(false)
    expect(draws.length).toBeGreaterThan(3)
    for (const attacker of draws.slice(0, -1)) expect(attacker.filter((byte) => byte !== 0).length).toBeLessThan(32)
  })
})

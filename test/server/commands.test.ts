import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LONG_POLL_MAX_MS } from '../../src/protocol/limits.ts'
import { CreateSessionResponse, JoinResponse } from '../../src/protocol/responses.ts'
import { zodOf } from '../../src/protocol/zod.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type Answer, type CallOptions, call } from '../support/http.ts'
import { publicKey } from '../support/relay.ts'
import { NO_SERVER_STATE, type RunningRelay, startRelay } from '../support/server.ts'

const clock = new FakeClock()
let relay: RunningRelay
let made = 0

beforeAll(async () => {
  relay = await startRelay({ clock })
})
afterAll(() => relay.close())

const http = (method: string, path: string, options?: CallOptions) => call(relay.url, method, path, options)

async function session(request: object = {}) {
  const senderCode = `code-${++made}`
  const created = await http('POST', '/v1/sessions', { body: { clientId: 'c', senderCode, ...request } })
  const { sessionId, token } = zodOf(CreateSessionResponse).parse(created.json())
  return { path: `/v1/sessions/${sessionId}`, senderCode, token, created }
}

async function join(senderCode: string, receiverCode: string, rest: object = {}) {
  const body = { senderCode, receiverCode, publicKey: publicKey(++made), ...rest }
  const joined = await http('POST', '/v1/receivers', { body })
  return { token: zodOf(JoinResponse).parse(joined.json()).token, joined }
}

function expectNothing(answer: Answer): void {
  expect([answer.status, answer.text]).toEqual([204, ''])
  expect(answer.headers.get('cache-control')).toBe('no-store')
  expect(answer.headers.get('set-cookie')).toBeNull()
}

describe('a pairing over HTTP', () => {
  test('codes that would mean something in a path or a pattern are codes like any other', async () => {
    for (const code of ['----', '____', '__proto__', 'constructor', 'toString', '0000', 'null', 'code']) {
      const { path, senderCode, token } = await session({ senderCode: code })
      expect(senderCode).toBeDefined()
      const receiver = await join(code, code)
      expectNothing(await http('PUT', `${path}/receivers/${code}/decision`, { token, body: { decision: 'approved' } }))
      expectNothing(await http('DELETE', `${path}/receivers/${code}`, { token: receiver.token }))
      expectNothing(await http('DELETE', path, { token }))
    }
  })

  test('leaves nothing behind', async () => {
    await relay.tick()
    clock.advance(3_600_000)
    await relay.tick()
    await relay.tick()
    expect(relay.counters()).toEqual(NO_SERVER_STATE)
  })
})

describe('a long poll over HTTP', () => {
  /** Resolves when the relay holds so many sessions' polls. No clock is involved: the request is on its way. */
  const held = async (watchers: number) => {
    while (relay.counters().watchers !== watchers) await new Promise((resolve) => setImmediate(resolve))
  }

  test('of a client that went away is given up at the end of its time', async () => {
    const { path, token } = await session()
    const { version } = (await http('GET', path, { token })).json()
    const gone = new AbortController()
    const poll = fetch(`${relay.url}${path}?version=${version}&waitMs=25000`, {
      headers: { authorization: `Bearer ${token}` },
      signal: gone.signal,
    })
    await held(1)
    gone.abort()
    await expect(poll).rejects.toThrow()
    clock.advance(LONG_POLL_MAX_MS)
    await relay.tick()
    await held(0)
  })
})

describe('what browsers ask', () => {
  const preflight = (url: string, origin: string) =>
    call(url, 'OPTIONS', '/v1/sessions', {
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    })

  test('a preflight is answered for any origin where all are allowed, without credentials', async () => {
    const answer = await preflight(relay.url, 'https://anywhere.example')
    expect(answer.status).toBe(204)
    expect(answer.headers.get('access-control-allow-origin')).toBe('*')
    expect(answer.headers.get('access-control-allow-credentials')).toBeNull()
    expect(answer.headers.get('access-control-allow-headers')).toBe('authorization, content-type')
    expect(answer.headers.get('access-control-allow-methods')).toBe('GET, POST, PUT, DELETE')
  })

  test('only the origins of an operator who names some are let in', async () => {
    const strict = await startRelay({ clock, corsOrigins: ['https://app.example'] })
    const allowed = await preflight(strict.url, 'https://app.example')
    expect(allowed.headers.get('access-control-allow-origin')).toBe('https://app.example')
    for (const attacker of ['https://evil.example', 'http://app.example', 'https://app.example.evil.example', 'null']) {
      const answer = await preflight(strict.url, attacker)
      expect(answer.headers.get('access-control-allow-origin')).not.toBe(attacker)
      expect(answer.headers.get('access-control-allow-origin')).not.toBe('*')
    }
    await strict.close()
  })

  test('where no origin is allowed no answer has a CORS header, and an OPTIONS is answered, as proxies ask it', async () => {
    const own = await startRelay({ clock, corsOrigins: [] })
    const answers = [await preflight(own.url, 'https://evil.example'), await call(own.url, 'GET', '/version')]
    expect(answers.map(({ status }) => status)).toEqual([204, 200])
    for (const { headers } of answers)
      expect([...headers.keys()].filter((name) => name.startsWith('access-control-'))).toEqual([])
    await own.close()
  })

  test('a refusal can be read across origins too', async () => {
    const answer = await http('GET', `/v1/sessions/${'A'.repeat(22)}`, { headers: { origin: 'https://app.example' } })
    expect(answer.status).toBe(401)
    expect(answer.headers.get('access-control-allow-origin')).toBe('*')
  })
})

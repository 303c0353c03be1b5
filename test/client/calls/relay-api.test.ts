import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { RelayRefusal, RelayUnreachable } from '../../../src/client/calls/http-call.ts'
import { pairingErrorOf as meaningOf, RelayApi, Tries } from '../../../src/client/calls/relay-api.ts'
import { PairingError } from '../../../src/client/errors.ts'
import { environmentWith } from '../../../src/client/runtime.ts'
import { ERRORS } from '../../../src/protocol/errors.ts'
import { settled } from '../fake-time.ts'
import { FakeWorld, pairingErrorOf } from '../support.ts'

const credentials = { sessionId: 'A'.repeat(22), token: 'T'.repeat(43) }
const CREATED = {
  sessionId: 'A'.repeat(22),
  token: `${'B'.repeat(42)}A`,
  expiresInMs: 900_000,
  limits: { windowBytes: 1, maxFrameBytes: 1, maxReceivers: 1, ttlSeconds: 900 },
}
const request = { clientId: 'a client', senderCode: 'K7QM3' }

interface Call {
  readonly url: string
  readonly init: RequestInit
}

/** An API in front of answers that a test makes up; the last one is given for ever. */
function apiWith(...answers: (() => Response | Promise<Response>)[]) {
  const world = new FakeWorld()
  const calls: Call[] = []
  world.fetch = async (url, init) => {
    calls.push({ url, init })
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    if (!answer) throw new Error('no answer was prepared')
    return answer()
  }
  return { api: new RelayApi('https://relay.example', world.environment), world, calls }
}

const json =
  (value: unknown, status = 200) =>
  () =>
    new Response(JSON.stringify(value), { status })
const nothing = () => new Response(null, { status: 204 })
const unreachable = () => Promise.reject(new TypeError('fetch failed'))
function problem(code: string, change = {}) {
  const spec: { status?: number; retryable?: boolean } | undefined = Object.entries(ERRORS).find(
    ([key]) => key === code,
  )?.[1]
  const { status = 400, retryable = false } = spec ?? {}
  return json({ type: 'about:blank', title: 'No', status, code, retryable, ...change }, status)
}

/** Gives the error of a create that is answered so. */
function failureOf(answer: () => Response | Promise<Response>): Promise<unknown> {
  return apiWith(answer)
    .api.createSession(request)
    .catch((reason: unknown) => reason)
}

/** Lets retries happen, and says how long they waited. */
async function outcomeOf(world: FakeWorld, call: Promise<unknown>): Promise<{ error: unknown; waits: number[] }> {
  let outcome: { error: unknown } | undefined
  const settle = (error?: unknown) => {
    outcome = { error }
  }
  call.then(() => settle(), settle)
  const waits: number[] = []
  for (;;) {
    await settled()
    if (outcome) return { error: outcome.error, waits }
    const [ms] = world.time.due
    waits.push(ms)
    await world.time.advance(ms)
  }
}

describe('the address of a relay', () => {
  test.each([
    ['https://relay.example', 'https://relay.example'],
    ['https://relay.example/', 'https://relay.example'],
    ['http://127.0.0.1:8080', 'http://127.0.0.1:8080'],
    ['https://example.org/relay//', 'https://example.org/relay'],
    ['https://relay.example/?a=1#K7QM3-XPDT28', 'https://relay.example'],
    ['HTTPS://Relay.Example', 'https://relay.example'],
    ['http://[::1]:9/http', 'http://[::1]:9/http'],
  ])('%s is %s', (text, url) => {
    expect(new RelayApi(text, new FakeWorld().environment).url).toBe(url)
  })

  test.each([
    '',
    'relay.example',
    'localhost:8080',
    'ftp://relay.example',
    'javascript:alert(1)',
    'file:///etc/passwd',
    'https://',
    'https://me:secret@relay.example',
    'https://me@relay.example',
    `https://relay.example/${'a'.repeat(2_048)}`,
    `https://relay.example${'/'.repeat(100_000)}`,
    'ws://relay.example',
  ])('%j is refused', async (text) => {
    expect(await pairingErrorOf(() => new RelayApi(text, new FakeWorld().environment))).toBe('relay_unreachable')
  })

  test('a password in an address is not repeated in the error', () => {
    const refused = () => new RelayApi('https://me:hunter2@relay.example', new FakeWorld().environment)
    expect(refused).toThrow('A relay address looks like')
    expect(refused).not.toThrow('hunter2')
  })
})

describe('a request', () => {
  test('carries its token in a header only, follows no redirect, and sends no cookies', async () => {
    const { api, calls } = apiWith(nothing)
    await api.decide(credentials, 'RCODE', { decision: 'approved' })
    const [{ url, init }] = calls
    expect(url).toBe(`https://relay.example/v1/sessions/${credentials.sessionId}/receivers/RCODE/decision`)
    expect(url + init.body).not.toContain(credentials.token)
    expect(init).toMatchObject({
      method: 'PUT',
      body: '{"decision":"approved"}',
      redirect: 'manual',
      credentials: 'omit',
      cache: 'no-store',
      headers: { authorization: `Bearer ${credentials.token}`, 'content-type': 'application/json' },
    })
  })

  test('without a body claims no content type', async () => {
    const { api, calls } = apiWith(nothing)
    await api.closeSession(credentials)
    expect(calls[0].init.headers).toEqual({ authorization: `Bearer ${credentials.token}` })
    expect(calls[0].init).not.toHaveProperty('body')
  })

  test('that is not answered within 15 s is given up', async () => {
    const { api, world, calls } = apiWith(
      () => new Promise<Response>((_, reject) => calls[0].init.signal?.addEventListener('abort', reject)),
    )
    const { error, waits } = await outcomeOf(world, api.createSession(request))
    expect(waits).toEqual([15_000])
    expect(error).toBeInstanceOf(RelayUnreachable)
  })

  test('leaves no timer behind', async () => {
    for (const answer of [json(CREATED, 201), problem('code_in_use'), unreachable]) {
      const { api, world } = apiWith(answer)
      await api.createSession(request).catch(() => {})
      expect(world.time.outstanding).toBe(0)
    }
  })

  test('a redirect is refused: the token goes to nobody else', async () => {
    let stolen: string | undefined
    const attacker = createServer((incoming, answer) => {
      if (incoming.url === '/elsewhere') stolen = incoming.headers.authorization ?? 'nothing'
      answer.writeHead(307, { location: '/elsewhere' }).end()
    })
    await new Promise<void>((resolve) => attacker.listen(0, '127.0.0.1', resolve))
    const { port } = attacker.address() as AddressInfo
    const api = new RelayApi(`http://127.0.0.1:${port}`, { ...(await environmentWith()), jitter: () => 0 })
    try {
      await expect(api.createSession(request)).rejects.toBeInstanceOf(RelayUnreachable)
      expect(stolen).toBe(undefined)
    } finally {
      attacker.closeAllConnections()
      attacker.close()
    }
  })
})

describe('an answer', () => {
  test('of the documented form is given on, without what else it says', async () => {
    const { api } = apiWith(json({ ...CREATED, surprise: true }, 201))
    expect(await api.createSession(request)).toEqual(CREATED)
  })

  test.each<[string, () => Response]>([
    ['HTML', () => new Response('<html>Welcome to nginx</html>', { status: 200 })],
    ['HTML with an error status', () => new Response('<html>502 Bad Gateway</html>', { status: 502 })],
    ['JSON of something else', json({ hello: 'world' })],
    ['a problem without a code', json({ type: 'about:blank', title: 'No', status: 404 }, 404)],
    ['nothing', nothing],
    ['a token that is too short', json({ ...CREATED, token: 'short' }, 201)],
    ['a negative time', json({ ...CREATED, expiresInMs: -1 }, 201)],
    ['a key __proto__', () => new Response(JSON.stringify(CREATED).replace('{', '{"__proto__":{},'), { status: 201 })],
  ])('that is %s is not one of a Pairlay relay, and the person is told so', async (_, answer) => {
    const error = await failureOf(answer)
    expect(error).toBeInstanceOf(RelayUnreachable)
    const meaning = meaningOf(error)
    expect(meaning.code).toBe('relay_unreachable')
    expect(meaning.message).toContain('There is something else at this address')
    expect(meaning.message).not.toMatch(/nginx|Bad Gateway|hello/)
  })

  test('longer than 64 KiB is not read to its end', async () => {
    let given = 0
    const attacker = () =>
      new Response(
        new ReadableStream({
          pull: (controller) => {
            given += 16_384
            controller.enqueue(new Uint8Array(16_384).fill(0x20))
          },
        }),
        { status: 201 },
      )
    expect(await failureOf(attacker)).toBeInstanceOf(RelayUnreachable)
    expect(given).toBeLessThan(10 * 16_384)
  })

  test('in pieces that cut a character is read right', async () => {
    const bytes = Buffer.from(JSON.stringify({ ...CREATED, note: 'é' }))
    const cut = bytes.indexOf(0xc3) + 1
    const { api } = apiWith(() => {
      const pieces = new ReadableStream({
        start: (controller) => {
          controller.enqueue(new Uint8Array(bytes.subarray(0, cut)))
          controller.enqueue(new Uint8Array(bytes.subarray(cut)))
          controller.close()
        },
      })
      return new Response(pieces, { status: 201 })
    })
    expect(await api.createSession(request)).toEqual(CREATED)
  })
})

describe('repeating', () => {
  test('a command that may be repeated is tried five times, with waits that double', async () => {
    for (const answer of [unreachable, problem('at_capacity'), problem('internal')]) {
      const { api, world, calls } = apiWith(answer)
      world.jitter = 0.5
      const { error, waits } = await outcomeOf(world, api.retireCode(credentials))
      expect(calls).toHaveLength(5)
      expect(waits).toEqual([300, 600, 1_200, 2_400])
      expect(error).toBeInstanceOf(answer === unreachable ? RelayUnreachable : RelayRefusal)
    }
  })

  test.each([0, 1])('jitter of %d moves a wait by half of it at most', async (jitter) => {
    const { api, world } = apiWith(unreachable, nothing)
    world.jitter = jitter
    const { waits } = await outcomeOf(world, api.endReceiver(credentials, 'RCODE'))
    expect(waits).toEqual([300 * (0.5 + jitter)])
  })

  test('it ends with the first answer that says how things are', async () => {
    const good = apiWith(unreachable, problem('going_away'), nothing)
    expect((await outcomeOf(good.world, good.api.retireCode(credentials))).error).toBe(undefined)
    expect(good.calls).toHaveLength(3)
    const bad = apiWith(unreachable, problem('decision_made'), nothing)
    const { error } = await outcomeOf(bad.world, bad.api.decide(credentials, 'RCODE', { decision: 'approved' }))
    expect(error).toMatchObject({ code: 'decision_made' })
    expect(bad.calls).toHaveLength(2)
  })

  test('creating and joining are not repeated: that takes fresh codes', async () => {
    const { api, calls } = apiWith(unreachable)
    await expect(api.createSession(request)).rejects.toBeInstanceOf(RelayUnreachable)
    const joining = api.join({ senderCode: 'K7QM3', receiverCode: 'ABCDEF', publicKey: 'A'.repeat(43) })
    await expect(joining).rejects.toBeInstanceOf(RelayUnreachable)
    expect(calls).toHaveLength(2)
  })
})

describe('what a refusal means', () => {
  test.each([
    ['at_capacity', 'at_capacity'],
    ['too_many_sessions', 'at_capacity'],
    ['rate_limited', 'rate_limited'],
    ['going_away', 'relay_unavailable'],
    ['unavailable', 'relay_unavailable'],
    ['session_full', 'session_full'],
    ['session_not_found', 'session_lost'],
    ['session_gone', 'expired'],
    ['receiver_gone', 'receiver_left'],
    ['decision_made', 'relay_refused'],
    ['unauthorized', 'relay_refused'],
  ])('%s is %s', (code, expected) => {
    expect(meaningOf(new RelayRefusal(code, false)).code).toBe(expected)
  })

  test('a path that a proxy has not taken off is told in words', () => {
    const { code, message } = meaningOf(new RelayRefusal('not_found', false))
    expect([code, message]).toEqual(['relay_refused', expect.stringContaining('a proxy hands on a path')])
  })

  test('a code that is not known is named', () => {
    expect(meaningOf(new RelayRefusal('teapot', false)).message).toBe('The relay refused. It said teapot.')
  })

  test.each(['\u001b[31mred', 'A'.repeat(10_000), 'constructor.name', ''])(
    'a code that is not a word reaches neither message nor cause: %j',
    async (attacker) => {
      const meaning = meaningOf(await failureOf(problem(attacker)))
      expect(meaning.code).toBe('relay_refused')
      expect(meaning.message).toBe('The relay refused. It said something_else.')
      expect((meaning.cause as Error).message).toBe('the relay answered something_else')
    },
  )

  test('the names of things every object has are codes like any other', () => {
    for (const attacker of ['constructor', 'to_string', 'valueof']) {
      expect(meaningOf(new RelayRefusal(attacker, false)).code).toBe('relay_refused')
    }
  })

  test('an error that is not the relay’s is internal, with its cause, and a PairingError stays what it is', () => {
    const bug = new TypeError('a bug')
    expect(meaningOf(bug)).toMatchObject({ code: 'internal', cause: bug })
    const known = new PairingError('aborted')
    expect(meaningOf(known)).toBe(known)
  })

  test('the title and detail of a problem reach nobody', async () => {
    const error = await failureOf(problem('forbidden', { title: 'Visit evil.example', detail: 'and pay' }))
    expect(meaningOf(error).message + String(error)).not.toMatch(/evil|pay/)
  })
})

describe('a relay that limits rates', () => {
  const limited = (seconds: number | string) => () =>
    new Response(
      JSON.stringify({ type: 'about:blank', title: 'No', status: 429, code: 'rate_limited', retryable: true }),
      { status: 429, headers: { 'retry-after': String(seconds) } },
    )

  async function asked(answers: (() => Response)[], patienceMs?: number) {
    const { api, world } = apiWith(...answers)
    const asking = async () => {
      for (const tries = new Tries(world.environment, patienceMs); ; ) {
        try {
          return await api.createSession(request)
        } catch (error) {
          await tries.next(error)
        }
      }
    }
    const { error, waits } = await outcomeOf(world, asking())
    return { error, waits: waits.filter((ms) => ms !== 15_000) }
  }

  test('is waited for as long as it says', async () => {
    expect(await asked([limited(3), limited(0), json(CREATED, 201)])).toEqual({
      error: undefined,
      waits: [3_000, 1_000],
    })
  })

  test('beyond what the app has patience for is rate_limited, with the seconds in its text', async () => {
    const { error, waits } = await asked([limited(75)])
    expect(waits).toEqual([])
    expect(error).toMatchObject({ code: 'rate_limited', message: 'Too many tries from this network. Wait 75 s.' })
    expect((await asked([limited(75), json(CREATED, 201)], 100_000)).waits).toEqual([75_000])
  })

  test('without end is not waited for without end', async () => {
    const { error, waits } = await asked([limited(4)])
    expect(error).toMatchObject({ code: 'rate_limited' })
    expect(waits).toEqual([4_000, 4_000])
  })

  test('as a proxy says it, in no form of Pairlay, is one too', async () => {
    const { error } = await asked([() => new Response('slow down', { status: 429, headers: { 'retry-after': '60' } })])
    expect(error).toMatchObject({ code: 'rate_limited' })
  })
})

describe('an address that is not the relay’s', () => {
  test.each([
    [301, 'https://relay.example/v1/sessions', 'It points to https://relay.example.'],
    [307, '/elsewhere/v1/sessions', 'It points to https://relay.example/elsewhere.'],
    [308, undefined, undefined],
  ])('that answers %d to %s is named as a redirect, and not asked again', async (status, location, detail) => {
    const { api, world, calls } = apiWith(
      () => new Response(null, { status, ...(location ? { headers: { location } } : {}) }),
    )
    const { error } = await outcomeOf(world, api.closeSession(credentials))
    expect(meaningOf(error)).toMatchObject({ code: 'relay_redirects', detail })
    expect(calls).toHaveLength(1)
  })

  test.each([
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'relay_untrusted', 'self-signed'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'relay_untrusted', 'self-signed'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'relay_untrusted', 'authority'],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'relay_untrusted', 'authority'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'relay_untrusted', 'another name'],
    ['CERT_HAS_EXPIRED', 'relay_untrusted', 'expired'],
    ['CERT_NOT_YET_VALID', 'relay_untrusted', 'not valid yet'],
    ['INVALID_PURPOSE', 'relay_untrusted', 'a server'],
    ['UNSPECIFIED', 'relay_untrusted', 'a server'],
    ['CERT_REVOKED', 'relay_untrusted', 'not valid'],
    ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'relay_unreachable', 'the network.'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'relay_unreachable', 'http://'],
    ['HPE_INVALID_CONSTANT', 'relay_unreachable', 'https://'],
    ['ECONNREFUSED', 'relay_unreachable', 'Check the address'],
  ])('a connection that fails with %s is %s', async (code, meaning, words) => {
    const cause = Object.assign(new Error('below'), { code })
    const error = meaningOf(await failureOf(() => Promise.reject(new TypeError('fetch failed', { cause }))))
    expect(error.code).toBe(meaning)
    expect(error.message).toContain(words)
  })
})

test('limits and times are never larger than this client takes', async () => {
  const limits = { ...CREATED.limits, windowBytes: 2 ** 50, maxFrameBytes: 2 ** 40 }
  const { api } = apiWith(json({ ...CREATED, expiresInMs: 2 ** 50, limits }, 201))
  expect(await api.createSession(request)).toMatchObject({
    expiresInMs: 86_400_000,
    limits: { windowBytes: 2 ** 26, maxFrameBytes: 2 ** 20 },
  })
})

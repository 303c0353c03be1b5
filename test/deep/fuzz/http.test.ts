import { afterAll, expect, test } from 'vitest'
import { ERRORS } from '../../conformance/documented.ts'
import { expectHealthy, expectIdle, warmUp } from '../../support/health.ts'
import { call } from '../../support/http.ts'
import { FACTOR, Random, SEED } from '../../support/random.ts'
import { HttpConnection, headerOf, type RawAnswer, sayAlone } from '../../support/raw-http.ts'
import { publicKey } from '../../support/relay.ts'
import { startRelayProcess } from '../../support/relay-process.ts'
import {
  bytesOf,
  type Draft,
  draftOf,
  type Known,
  type OpenApi,
  type Operation,
  operationsOf,
  worsen,
} from './requests.ts'

const REQUESTS = 6_000 * FACTOR
const BATCH = 1_000
const CONNECTIONS = 8

const relay = await startRelayProcess()
afterAll(() => relay.stop())
const operations = operationsOf((await call(relay.url, 'GET', '/openapi.json')).json<OpenApi>())

test('the document has every call of PROTOCOL.md, so that each is mutated', () => {
  expect(operations.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
    'DELETE /v1/sessions/{sessionId}',
    'DELETE /v1/sessions/{sessionId}/channels/{channel}/frames/{seq}',
    'DELETE /v1/sessions/{sessionId}/code',
    'DELETE /v1/sessions/{sessionId}/receivers/{receiverCode}',
    'GET /v1/sessions/{sessionId}',
    'GET /v1/sessions/{sessionId}/channels/{channel}/frames/{seq}',
    'GET /v1/sessions/{sessionId}/socket',
    'POST /v1/receivers',
    'POST /v1/sessions',
    'PUT /v1/sessions/{sessionId}/attachment',
    'PUT /v1/sessions/{sessionId}/channels/{channel}/frames/{seq}',
    'PUT /v1/sessions/{sessionId}/receivers/{receiverCode}/decision',
  ])
})

test(`${REQUESTS} mutated requests get documented answers, end nothing and leave nothing (seed ${SEED})`, async () => {
  await warmUp(relay)
  const idle = await relay.state()
  const seen = new Map<string, number>()
  const connections = Array.from({ length: CONNECTIONS }, () => new HttpConnection(relay.port))
  for (let done = 0; done < REQUESTS; done += BATCH) {
    const known = await somethingToMeet(done)
    await Promise.all(
      connections.map(async (connection, worker) => {
        const random = new Random('http', done, worker)
        for (let i = 0; i < BATCH / CONNECTIONS; i++) {
          const operation = random.pick(operations)
          const attacker = worsen(random, draftOf(random, operation, known))
          for (const answer of await answersTo(connection, attacker)) {
            const fault = faultOf(answer, operation, attacker)
            if (fault) throw new Error(`${fault}: ${shown(attacker)} got ${answer.bytes.toString('latin1', 0, 600)}`)
            const kind = answer.body.startsWith('{"type":"about:blank"')
              ? JSON.parse(answer.body).code
              : `${answer.status}`
            seen.set(kind, (seen.get(kind) ?? 0) + 1)
          }
        }
      }),
    )
    expect(relay.failures).toEqual([])
    await expectHealthy(relay)
  }
  for (const connection of connections) connection.close()
  // The requests were bad in many ways and not in one, and some were good: none of these numbers is small by accident.
  for (const kind of ['200', '201', '204', 'invalid_request', 'unauthorized', 'not_found', 'session_not_found']) {
    expect(seen.get(kind), `${kind} in ${[...seen]}`).toBeGreaterThan(3)
  }
  for (const kind of ['body_too_large', 'unsupported_media_type', 'forbidden', 'headers_too_large']) {
    expect(seen.get(kind), `${kind} in ${[...seen]}`).toBeGreaterThan(3)
  }
  for (const kind of ['invalid_frame', 'receiver_not_found']) {
    expect(seen.get(kind), `${kind} in ${[...seen]}`).toBeGreaterThan(0)
  }
  await expectIdle(relay, idle)
})

const UPGRADE = `Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: pairlay.v1\r\n`
const SOCKET = `/v1/sessions/${'A'.repeat(22)}/socket`

/** Refusals that something below the relay's own code would say in words of its own. */
const BELOW_THE_ROUTES: readonly { readonly what: string; readonly request: string }[] = [
  {
    what: 'an expectation nobody knows',
    request: 'GET /version HTTP/1.1\r\nHost: x\r\nExpect: something-else\r\n\r\n',
  },
  {
    what: 'an upgrade with a short key',
    request: `GET ${SOCKET} HTTP/1.1\r\n${UPGRADE}Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n`,
  },
  {
    what: 'an upgrade of another version',
    request: `GET ${SOCKET} HTTP/1.1\r\n${UPGRADE}Sec-WebSocket-Version: 99\r\n\r\n`,
  },
  {
    what: 'a HEAD that asks for an upgrade',
    request: `HEAD ${SOCKET} HTTP/1.1\r\n${UPGRADE}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`,
  },
]

test.each(BELOW_THE_ROUTES)('a refusal of $what is a problem', async ({ request }) => {
  const [answer] = await sayAlone(relay.port, Buffer.from(request), request.startsWith('HEAD'))
  expect(headerOf(answer, 'content-type')).toMatch(/^application\/problem\+json/)
})

test('an OPTIONS that is no preflight is answered like one', async () => {
  const [answer] = await sayAlone(relay.port, Buffer.from('OPTIONS /v1/sessions HTTP/1.1\r\nHost: x\r\n\r\n'))
  expect(answer?.status).toBe(204)
})

test('an upgrade of another version is told which one is known', async () => {
  const request = `GET ${SOCKET} HTTP/1.1\r\n${UPGRADE}Sec-WebSocket-Version: 99\r\n\r\n`
  const [answer] = await sayAlone(relay.port, Buffer.from(request))
  expect(headerOf(answer, 'sec-websocket-version')).toBe('13')
})

/** HTTP/1.1 without a Host: no HTTP, and Node answers that without a body. */
function isHostMissing({ status, body, headers }: RawAnswer): boolean {
  return status === 400 && body === '' && !headers.some(([name]) => name === 'content-type')
}

/** A few sessions with receivers, so that some of what is said is about something. */
async function somethingToMeet(done: number): Promise<Known> {
  const known: Record<
    'sessionId' | 'token' | 'senderCode' | 'receiverCode' | 'channel' | 'seq' | 'channels',
    string[]
  > = {
    channel: ['1', '1', '1', '2'],
    seq: ['1', '1', '2', '3'],
    channels: ['', '1.0.0', '1.1.1'],
    sessionId: [],
    token: [],
    senderCode: [],
    receiverCode: [],
  }
  for (let i = 0; i < 4; i++) {
    const senderCode = `met-${done}-${i}`
    const create = { clientId: senderCode, senderCode, maxReceivers: 2 }
    const session = (await call(relay.url, 'POST', '/v1/sessions', { body: create })).json<Record<string, string>>()
    known.sessionId.push(session.sessionId)
    known.token.push(session.token)
    known.senderCode.push(senderCode)
    const join = { senderCode, receiverCode: `receiver-${i % 2}`, publicKey: publicKey(i) }
    const receiver = (await call(relay.url, 'POST', '/v1/receivers', { body: join })).json<Record<string, string>>()
    known.token.push(receiver.token)
    known.receiverCode.push(join.receiverCode)
  }
  return known
}

async function answersTo(connection: HttpConnection, attacker: Draft): Promise<readonly RawAnswer[]> {
  const bytes = bytesOf(attacker)
  const noBody = attacker.method === 'HEAD'
  try {
    if (attacker.alone) return await sayAlone(relay.port, bytes, noBody)
    const answer = await connection.ask(bytes, noBody)
    if (!answer) throw new Error('no answer')
    return [answer]
  } catch (error) {
    throw new Error(`${error}: ${shown(attacker)}`)
  }
}

/** Names the fault of an answer; undefined when PROTOCOL.md has it. */
function faultOf(answer: RawAnswer, { method, responses }: Operation, attacker: Draft): string | undefined {
  const { status } = answer
  if (status < 400) {
    // A mutation may have made another good request of it, or a preflight.
    if (!attacker.alone && attacker.method === method && responses[status]) return undefined
    return [200, 201, 204, 101].includes(status) ? undefined : 'an undocumented status'
  }
  if (isHostMissing(answer)) return undefined
  const type = headerOf(answer, 'content-type') ?? ''
  if (!/^application\/problem\+json(; charset=utf-8)?$/.test(type)) return `a refusal of type ${type}`
  if (headerOf(answer, 'cache-control') !== 'no-store') return 'a refusal that may be stored'
  if (attacker.method === 'HEAD' && answer.body === '') return undefined
  const problem = JSON.parse(answer.body)
  const documented = ERRORS.get(problem.code)
  if (documented?.status !== status || problem.status !== status) return 'a code that is not the one of its status'
  if (documented.retryable !== problem.retryable || problem.type !== 'about:blank') return 'a problem of another form'
  // No 5xx is documented for a relay that neither stops nor is full.
  if (status >= 500) return 'a 5xx'
  if (status === 401 && headerOf(answer, 'www-authenticate') !== 'Bearer') return '401 without a challenge'
  if (status === 429 && !headerOf(answer, 'retry-after')) return '429 without a time'
  return undefined
}

function shown(attacker: Draft): string {
  return JSON.stringify(bytesOf(attacker).toString('latin1')).slice(0, 1_500)
}

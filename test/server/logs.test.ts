import { afterEach, describe, expect, test } from 'vitest'
import { FakeClock } from '../support/fake-clock.ts'
import { call, sayRaw } from '../support/http.ts'
import { publicKey } from '../support/relay.ts'
import { type RunningRelay, startRelay } from '../support/server.ts'
import { WireSocket } from '../support/wire-socket.ts'

const clock = new FakeClock()
let relay: RunningRelay
afterEach(() => relay.close())

/** Everything that can happen to a relay, with values nobody could mistake for anything else. Returns all of them. */
async function everything(): Promise<Record<string, string>> {
  const secrets = {
    'sender code': 'SENDERCODE7F3KQ2',
    'receiver code': 'RECEIVERCODE9XPDT',
    'second receiver code': 'RECEIVERCODE5AAAA',
    'client id': 'CLIENTID-of-somebody',
    name: 'NAME of a device',
    'public key': Buffer.alloc(32, 'PUBLICKEY').toString('base64url'),
    'second public key': publicKey(99),
    payload: 'PAYLOAD-ciphertext',
  }
  const http = (method: string, path: string, options?: Parameters<typeof call>[3]) =>
    call(relay.url, method, path, options)
  const create = { clientId: secrets['client id'], senderCode: secrets['sender code'] }
  const { sessionId, token } = (await http('POST', '/v1/sessions', { body: create })).json<Record<string, string>>()
  if (!sessionId || !token) throw new Error('no session')
  const join = (receiverCode: string, key: string) =>
    http('POST', '/v1/receivers', {
      body: { senderCode: create.senderCode, receiverCode, publicKey: key, name: secrets.name },
    })
  const joined = (await join(secrets['receiver code'], secrets['public key'])).json<Record<string, string>>()
  await join(secrets['second receiver code'], secrets['second public key'])
  const path = `/v1/sessions/${sessionId}`
  const receiver = { sessionId, token: joined.token ?? '' }
  // Refusals, of every kind.
  await http('POST', '/v1/sessions', { body: create })
  await http('POST', '/v1/sessions', { body: { ...create, ttlSeconds: create.senderCode } })
  await http('POST', '/v1/sessions', {
    raw: { text: `{"senderCode":"${create.senderCode}"`, type: 'application/json' },
  })
  await http('POST', '/v1/sessions', { raw: { text: create.senderCode.repeat(1000), type: 'application/json' } })
  await http('POST', '/v1/sessions', { raw: { text: create.senderCode, type: 'text/plain' } })
  await http('GET', `${path}?version=${create.senderCode}${create.senderCode}${create.senderCode}`, { token })
  await http('GET', path, { token: receiver.token.slice(1) })
  await http('DELETE', path, { token: receiver.token })
  await http('GET', `/${sessionId}/${create.senderCode}`, { token })
  await http('GET', `/%zz/${sessionId}/${create.senderCode}`)
  await http('GET', `${path}${create.senderCode.repeat(20)}`)
  await sayRaw(relay.port, `GARBAGE ${path} ${token}\r\n\r\n`)
  await sayRaw(relay.port, `GET ${path} HTTP/1.1\r\nhost: x\r\nx: ${token.repeat(300)}\r\n\r\n`)
  await sayRaw(
    relay.port,
    `GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`,
  )
  // Calls that succeed.
  const sender = await WireSocket.attach(relay.url, { sessionId, token })
  const attached = await WireSocket.attach(relay.url, receiver)
  const decision = `${path}/receivers/${secrets['receiver code']}/decision`
  await http('PUT', decision, { token, body: { decision: 'approved' } })
  sender.data(1, 1, secrets.payload)
  await attached.until(() => attached.received === 1)
  sender.data(1, 1, secrets.payload)
  attached.ack(1, 1)
  await sender.until(() => sender.messages.some((each) => each.kind !== 'view' && each.seq === 1))
  // Ends of sockets.
  const attacker = new WireSocket(relay.url, sessionId)
  await attacker.opened()
  attacker.send(`{"type":"attach","token":"${token}"`)
  await attacker.closed()
  sender.send(new Uint8Array(300_000).fill(1))
  await sender.closed()
  attached.send(`${token} as text`)
  await attached.closed()
  await http('DELETE', path, { token })
  await http('DELETE', decision.replace('/decision', ''), { token })
  clock.advance(60_000)
  await relay.tick()
  await http('GET', path, { token })
  return { ...secrets, 'session id': sessionId, 'sender token': token, 'receiver token': receiver.token }
}

/** A secret may also be in the log as hex, base64 or percent-encoded: each is looked for. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret)
  return [
    secret,
    encodeURIComponent(secret),
    bytes.toString('hex'),
    bytes.toString('base64'),
    bytes.toString('base64url'),
  ]
}

describe('the log', () => {
  test('has nothing in it of codes, tokens, keys, names, ids, payloads, addresses or URLs, at the lowest level', async () => {
    relay = await startRelay({ clock, logLevel: 'trace' })
    const secrets = await everything()
    expect(relay.log.length).toBeGreaterThan(15)
    const text = relay.log.join('')
    for (const [what, secret] of Object.entries(secrets)) {
      for (const spelling of spellings(secret)) expect(text.includes(spelling), `${what}: ${spelling}`).toBe(false)
    }
    // No part of a token either, and no hash the relay keeps of one.
    for (const token of [secrets['sender token'], secrets['receiver token'], secrets['session id']]) {
      expect(text).not.toContain(token?.slice(4, 16))
    }
    expect(text).not.toMatch(/127\.0\.0\.1|::1|::ffff/)
    expect(text).not.toMatch(/https?:\/\//)
    expect(text).not.toMatch(/remoteAddress|remotePort|"headers"|authorization|"url"/i)
    expect(text).not.toMatch(/\/v1\/sessions\/(?!:sessionId)/)
  })

  test('says per request the method, the route, the status and the time it took, and no more', async () => {
    relay = await startRelay({ clock, logLevel: 'debug' })
    await call(relay.url, 'GET', `/v1/sessions/${'A'.repeat(22)}?version=1`)
    await call(relay.url, 'GET', '/nowhere?x=1')
    const lines = relay.log.map((line) => JSON.parse(line)).filter((line) => line.msg === 'answered')
    expect(lines).toMatchObject([
      { method: 'GET', route: '/v1/sessions/:sessionId', status: 401, ms: expect.any(Number) },
      { method: 'GET', route: 'no route', status: 404, ms: expect.any(Number) },
    ])
    for (const line of lines) {
      expect(Object.keys(line).sort()).toEqual(['level', 'method', 'ms', 'msg', 'reqId', 'route', 'status', 'time'])
    }
  })

  test('counts what was discarded by its reason', async () => {
    relay = await startRelay({ clock })
    await everything()
    expect(relay.discards).toEqual(['duplicate'])
    const lines = relay.log.map((line) => JSON.parse(line)).filter((line) => line.reason === 'duplicate')
    expect(lines).toHaveLength(1)
  })

  test('at level info says of what clients do only which errors they got, each kind once a minute', async () => {
    relay = await startRelay({ clock, logLevel: 'info' })
    await everything()
    const [first, ...rest] = relay.log.map((line) => JSON.parse(line))
    expect(first).toMatchObject({ msg: 'listening' })
    const kinds = rest.map(({ refused }) => refused)
    expect(kinds).toContain('code_in_use')
    expect(new Set(kinds).size).toBe(kinds.length)
    for (const line of rest) expect(Object.keys(line).sort()).toEqual(['level', 'msg', 'refused', 'time'])
  })
})

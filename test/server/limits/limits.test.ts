import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ConcurrencyLimit } from '../../../src/server/limits/concurrency-limit.ts'
import { TEXT, wsFrame } from '../../conformance/raw.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { type CallOptions, call, sayRaw } from '../../support/http.ts'
import { RawWebSocket } from '../../support/raw-web-socket.ts'
import { publicKey } from '../../support/relay.ts'
import { type RunningRelay, type ServerOptions, startRelay } from '../../support/server.ts'

let relay: RunningRelay
let made = 0
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] })
})
afterEach(async () => {
  vi.useRealTimers()
  await relay.close()
})

const start = async (options: ServerOptions) => {
  relay = await startRelay({ trustProxy: ['127.0.0.1'], logLevel: 'info', ...options })
}

const from = (address: string, method: string, path: string, options: CallOptions = {}) =>
  call(relay.url, method, path, { ...options, headers: { 'x-forwarded-for': address, ...options.headers } })

const create = (address: string, senderCode = `code-${++made}`) =>
  from(address, 'POST', '/v1/sessions', { body: { clientId: `client-${++made}`, senderCode } })

const join = (address: string, senderCode: string) =>
  from(address, 'POST', '/v1/receivers', {
    body: { senderCode, receiverCode: `receiver-${++made}`, publicKey: publicKey(++made) },
  })

/** The statuses of so many calls, one after the other. */
async function statuses(count: number, ask: (i: number) => Promise<{ status: number }>): Promise<number[]> {
  const all: number[] = []
  for (let i = 0; i < count; i++) all.push((await ask(i)).status)
  return all
}

const ones = (count: number, status: number) => Array<number>(count).fill(status)

describe('creates in a minute', () => {
  test('beyond the limit of a client address are rate_limited, with the seconds that are left', async () => {
    await start({ limits: { creates: 3 } })
    const attacker = '192.0.2.7'
    expect(await statuses(3, () => create(attacker))).toEqual(ones(3, 201))
    vi.advanceTimersByTime(20_500)
    const refused = await create(attacker)
    expect([refused.status, refused.problem().code, refused.problem().retryable]).toEqual([429, 'rate_limited', true])
    expect(refused.headers.get('retry-after')).toBe('40')
    expect((await create('192.0.2.8')).status).toBe(201)
    vi.advanceTimersByTime(39_500)
    expect((await create(attacker)).status).toBe(201)
  })

  test('are counted before a body is looked at, whatever is wrong with it', async () => {
    await start({ limits: { creates: 2 } })
    const attacker = () => from('192.0.2.7', 'POST', '/v1/sessions', { raw: { text: '{', type: 'application/json' } })
    expect(await statuses(3, attacker)).toEqual([400, 400, 429])
  })

  test('of a /64 are those of one client, and of a /48 eight times as many', async () => {
    await start({ limits: { creates: 2 } })
    const attacker = (i: number) => create(`2001:db8:1:${(i % 9).toString(16)}::${i + 1}`)
    expect(await statuses(3, (i) => create(`2001:db8:2:2::${i + 1}`))).toEqual([201, 201, 429])
    expect(await statuses(16, attacker)).toEqual(ones(16, 201))
    // The ninth /64 has asked for less than the others, and the /48 has no more.
    expect((await create('2001:db8:1:ffff::1')).status).toBe(429)
    expect((await create('2001:db8:3:1::1')).status).toBe(201)
  })

  test('that are refused one /64 take nothing from its /48', async () => {
    await start({ limits: { creates: 2 } })
    await statuses(40, () => create('2001:db8:1:1::1'))
    expect((await create('2001:db8:1:2::1')).status).toBe(201)
  })

  test('of who is exempt are not counted', async () => {
    await start({ limits: { creates: 1 }, rateLimitExempt: ['192.0.2.0/24'] })
    expect(await statuses(4, () => create('192.0.2.7'))).toEqual(ones(4, 201))
    expect(await statuses(2, () => create('198.51.100.7'))).toEqual([201, 429])
  })
})

describe('joins in a minute', () => {
  test('beyond the limit of a client address are rate_limited', async () => {
    await start({ limits: { joins: 2 } })
    const attacker = '192.0.2.7'
    await create('192.0.2.1', 'the-code')
    expect(await statuses(2, () => join(attacker, 'the-code'))).toEqual([201, 201])
    const refused = await join(attacker, 'the-code')
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '60'])
    expect((await join('192.0.2.8', 'the-code')).status).toBe(201)
  })

  test('with unknown codes beyond their limit make every join wait, with a code that is known as well', async () => {
    await start({ limits: { unknownCodes: 3 } })
    const attacker = '192.0.2.7'
    await create('192.0.2.1', 'the-code')
    expect((await join(attacker, 'the-code')).status).toBe(201)
    expect(await statuses(4, (i) => join(attacker, `guess-${i}`))).toEqual([404, 404, 404, 429])
    expect((await join(attacker, 'the-code')).status).toBe(429)
    expect((await join('192.0.2.8', 'the-code')).status).toBe(201)
    vi.advanceTimersByTime(60_000)
    expect((await join(attacker, 'the-code')).status).not.toBe(429)
  })

  test('with a code that the client address itself has used up are no unknown codes', async () => {
    await start({ limits: { unknownCodes: 1 }, settings: { limitAddresses: true } })
    await create('192.0.2.1', 'the-code')
    expect(await statuses(6, () => join('192.0.2.7', 'the-code'))).toEqual([201, 201, 404, 404, 404, 404])
    expect(await statuses(2, () => join('192.0.2.7', 'another-code'))).toEqual([404, 429])
  })
})

describe('attaches in a minute', () => {
  test('by sockets and over HTTP count together, and leave other client addresses alone', async () => {
    await start({ limits: { attaches: 2 } })
    const { sessionId, token } = (await create('192.0.2.1')).json<{ sessionId: string; token: string }>()
    const attach = (address: string) =>
      from(address, 'PUT', `/v1/sessions/${sessionId}/attachment`, { token, body: { channels: [] } })
    // Its address is the proxy's own.
    const socket = async () => {
      const opened = new RawWebSocket(relay.port, sessionId)
      await opened.until(() => opened.status !== undefined)
      return opened.status
    }
    expect([await socket(), (await attach('127.0.0.1')).status]).toEqual([101, 200])
    expect([await socket(), (await attach('127.0.0.1')).status]).toEqual([429, 429])
    expect(await statuses(3, () => attach('192.0.2.7'))).toEqual([200, 200, 429])
    vi.advanceTimersByTime(60_000)
    expect(await socket()).toBe(101)
  })
})

describe('what a client address holds at a time', () => {
  const upgrade = (sessionId = 'A'.repeat(22)) => new RawWebSocket(relay.port, sessionId)
  const opened = async (socket: RawWebSocket) => {
    await socket.until(() => socket.status !== undefined)
    return socket.status
  }

  test('of sockets is refused before the upgrade when it is too much, and free again when one closes', async () => {
    await start({ limits: { sockets: 2 } })
    const [one, two] = [upgrade(), upgrade()]
    expect([await opened(one), await opened(two)]).toEqual([101, 101])
    const attacker = upgrade()
    expect(await opened(attacker)).toBe(429)
    expect(await attacker.ended).toBe('cut')
    one.destroy()
    await expect.poll(() => opened(upgrade()), { interval: 20 }).toBe(101)
    two.destroy()
  })

  test('of polls is refused when it is too much, and free again when one is answered', async () => {
    await start({ limits: { polls: 2 } })
    const { sessionId, token } = (await create('192.0.2.1')).json<{ sessionId: string; token: string }>()
    const poll = (address: string, query: string) =>
      from(address, 'GET', `/v1/sessions/${sessionId}?${query}`, { token })
    const { version } = (await poll('192.0.2.7', 'waitMs=0')).json()
    const attacker = `version=${version}&waitMs=25000`
    const held = [poll('192.0.2.7', attacker), poll('192.0.2.7', attacker)]
    await expect.poll(async () => (await poll('192.0.2.7', 'waitMs=0')).status, { interval: 20 }).toBe(429)
    expect((await poll('192.0.2.8', 'waitMs=0')).status).toBe(200)
    await from('192.0.2.1', 'DELETE', `/v1/sessions/${sessionId}`, { token })
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200])
    expect((await poll('192.0.2.7', 'waitMs=0')).status).toBe(200)
  })

  test('of connections is closed when it is too much; those of a trusted proxy are not counted', async () => {
    await start({ limits: { connections: 2 }, trustProxy: [] })
    const sockets = await connections(2)
    const [attacker] = await connections(1)
    await ended(attacker)
    // The client is told, instead of waiting for ever.
    await expect(fetch(`${relay.url}/healthz`)).rejects.toThrow()
    expect(relay.log.join('')).toContain('"refused":"connections_of_one_address"')
    for (const socket of sockets) socket.destroy()
    await expect.poll(async () => (await fetch(`${relay.url}/healthz`)).status, { interval: 20 }).toBe(200)
    await relay.close()
    await start({ limits: { connections: 2 } })
    const many = await connections(5)
    expect((await fetch(`${relay.url}/healthz`)).status).toBe(200)
    for (const socket of many) socket.destroy()
  })

  test('of a /48 may be eight times as much as of a /64, and nothing is kept of who holds nothing', () => {
    const limit = new ConcurrencyLimit(2)
    const of = (i: number) => ({ counted: `2001:db8:1:${i}::`, wider: '2001:db8:1::/48' })
    for (let i = 0; i < 16; i++) expect(limit.take(of(i % 8))).toBe(true)
    const attacker = of(9)
    expect(limit.take(attacker)).toBe(false)
    expect(limit.take({ counted: '2001:db8:2:1::', wider: '2001:db8:2::/48' })).toBe(true)
    limit.release({ counted: '2001:db8:2:1::', wider: '2001:db8:2::/48' })
    limit.release(of(0))
    expect(limit.take(attacker)).toBe(true)
    limit.release(attacker)
    for (let i = 1; i < 16; i++) limit.release(of(i % 8))
    expect(limit.size).toBe(0)
  })
})

describe('connections in all', () => {
  test('beyond the maximum are answered with at_capacity, and said once in the log', async () => {
    const clock = new FakeClock()
    await start({ maxConnections: 3, clock })
    const sockets = await connections(3)
    for (let i = 0; i < 3; i++) {
      // The answer ends the connection, or it would be refused for ever.
      const attacker = await sayRaw(relay.port, 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n')
      expect(attacker).toMatch(/^HTTP\/1\.1 503 .*"code":"at_capacity"/s)
    }
    expect(relay.log.filter((line) => line.includes('"refused":"connections"'))).toHaveLength(1)
    sockets[0]?.destroy()
    await expect
      .poll(async () => (await call(relay.url, 'GET', '/healthz', { headers: { connection: 'close' } })).status, {
        interval: 20,
      })
      .toBe(200)
    for (const socket of sockets) socket.destroy()
  })
})

describe('connections far beyond the maximum', () => {
  test('are reset, and nothing is left of them', async () => {
    await start({ maxConnections: 1 })
    const sockets = await connections(65)
    await expect(fetch(`${relay.url}/healthz`)).rejects.toThrow()
    for (const socket of sockets) socket.destroy()
    await expect
      .poll(async () => (await fetch(`${relay.url}/healthz`).catch(() => undefined))?.status, { interval: 20 })
      .toBe(200)
  })
})

describe('the log of refusals', () => {
  test('has the first of each kind in a minute, and how many there were since', async () => {
    const clock = new FakeClock()
    await start({ limits: { creates: 1 }, clock })
    for (let i = 0; i < 4; i++) await create('192.0.2.7')
    await join('192.0.2.7', 'nobody')
    const said = () => relay.log.map((line) => JSON.parse(line)).filter(({ refused }) => refused !== undefined)
    expect(said()).toMatchObject([
      { level: 40, refused: 'rate_limited' },
      { level: 30, refused: 'session_not_found' },
    ])
    clock.advance(60_000)
    await create('192.0.2.7')
    expect(said()[2]).toMatchObject({ refused: 'rate_limited', before: 2 })
    expect(relay.log.join('')).not.toMatch(/192\.0\.2|nobody/)
  })

  test.each([
    [['192.0.2.7'], true],
    [['192.0.2.7', '192.0.2.8'], false],
  ])('names TRUST_PROXY where all clients (%j) have one address: %s', async (addresses, isNamed) => {
    await start({ limits: { creates: 1 } })
    for (const address of [...addresses, ...addresses]) await create(address)
    const lines = relay.log.filter((line) => line.includes('"refused":"rate_limited"'))
    expect(lines).toHaveLength(1)
    expect(lines[0]?.includes('TRUST_PROXY')).toBe(isNamed)
  })

  test('has the closes of sockets that did something wrong, and not those that ended as they should', async () => {
    await start({})
    const { sessionId, token } = (await create('192.0.2.1')).json<{ sessionId: string; token: string }>()
    const attacker = new RawWebSocket(relay.port, sessionId, wsFrame(TEXT, 'hello'))
    await attacker.ended
    const attach = JSON.stringify({ type: 'attach', token, channels: [] })
    const sender = new RawWebSocket(relay.port, sessionId, wsFrame(TEXT, attach))
    await sender.until(() => sender.frames.length > 0)
    await from('192.0.2.1', 'DELETE', `/v1/sessions/${sessionId}`, { token })
    expect(await sender.ended).toMatchObject({ code: 4410 })
    const refused = relay.log.map((line) => JSON.parse(line).refused).filter((kind) => kind !== undefined)
    expect(refused).toEqual(['invalid_frame'])
  })
})

async function connections(count: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(relay.port, '127.0.0.1').on('error', () => {}))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  // Accepting is another turn of the relay than connecting.
  await expect
    .poll(() => new Promise((resolve) => relay.server.getConnections((_e, n) => resolve(n))))
    .toBeGreaterThan(0)
  return sockets
}

async function ended(socket: Socket | undefined): Promise<void> {
  if (!socket || socket.destroyed) return
  socket.resume()
  await new Promise((resolve) => socket.once('close', resolve))
}

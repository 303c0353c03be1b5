import { afterEach, describe, expect, test } from 'vitest'
import { sayRaw } from '../../support/http.ts'
import { type RunningRelay, type ServerOptions, startRelay } from '../../support/server.ts'

let relay: RunningRelay
afterEach(() => relay.close())

/** The status of the answer to a request, or to an upgrade, with these headers and no others. */
async function statusOf(headers: Readonly<Record<string, string>>, upgrade = false): Promise<number> {
  const all: Record<string, string> = upgrade
    ? {
        connection: 'upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'sec-websocket-protocol': 'pairlay.v1',
        ...headers,
      }
    : { connection: 'close', ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  const path = upgrade ? `/v1/sessions/${'A'.repeat(22)}/socket` : '/healthz'
  // A close frame ends an upgrade that is taken.
  const after = upgrade ? '\x88\x80\x00\x00\x00\x00' : ''
  const version = all.host === undefined ? '1.0' : '1.1'
  const answer = await sayRaw(relay.port, `GET ${path} HTTP/${version}\r\n${lines.join('')}\r\n${after}`)
  return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1])
}

const upgrade = (headers: Readonly<Record<string, string>>) => statusOf({ host: 'localhost', ...headers }, true)

describe('an upgrade', () => {
  const start = async (options: ServerOptions = {}) => {
    relay = await startRelay({ corsOrigins: [], ...options })
  }

  test('from a page of another site is forbidden, unless its origin is allowed', async () => {
    await start({ corsOrigins: ['https://app.example'] })
    for (const attacker of [
      'https://evil.example',
      'http://app.example',
      'https://app.example:8443',
      'https://app.example.evil.example',
      'null',
      '',
      'file://',
    ])
      expect(await upgrade({ origin: attacker }), attacker).toBe(403)
    expect(await upgrade({ origin: 'https://app.example' })).toBe(101)
  })

  test('from a page of the relay itself is taken, also when a proxy ends its TLS', async () => {
    await start()
    const own = (host: string, origin: string) => upgrade({ host, origin })
    expect(await own('relay.example', 'https://relay.example')).toBe(101)
    expect(await own('relay.example:443', 'https://relay.example')).toBe(101)
    expect(await own('RELAY.example', 'https://relay.example')).toBe(101)
    expect(await own('localhost:8080', 'http://localhost:8080')).toBe(101)
    expect(await own('localhost:8080', 'http://localhost:8081')).toBe(403)
    expect(await own('relay.example', 'https://evil.example')).toBe(403)
  })

  test('is one of a page of the relay when a trusted proxy says which host the page asked, and no one else', async () => {
    const headers = { host: '127.0.0.1:8080', origin: 'https://relay.example', 'x-forwarded-host': 'relay.example' }
    await start()
    expect(await upgrade(headers)).toBe(403)
    await relay.close()
    await start({ trustProxy: ['127.0.0.1'] })
    expect(await upgrade(headers)).toBe(101)
    expect(await upgrade({ ...headers, 'x-forwarded-host': 'other.example' })).toBe(403)
  })

  test('without an Origin comes from no browser, and is taken', async () => {
    await start()
    expect(await upgrade({})).toBe(101)
  })

  test('from any page is taken where every origin is allowed', async () => {
    await start({ corsOrigins: ['*'] })
    expect(await upgrade({ origin: 'https://evil.example' })).toBe(101)
    expect(await upgrade({ origin: 'null' })).toBe(101)
  })
})

describe('a Host', () => {
  const start = async (options: ServerOptions = {}) => {
    relay = await startRelay({ corsOrigins: [], allowedHosts: [], ...options })
  }

  test('that is a name of this machine is answered by a relay on loopback, and no other: a name can be rebound', async () => {
    for (const address of ['127.0.0.1', 'LOCALHOST', '127.1', '::ffff:127.0.0.1', '::ffff:127.0.0.2']) {
      await start({ host: address })
      for (const host of ['localhost', 'LocalHost:8080', '127.0.0.1', '127.8.9.1:80', '[::1]', '[::1]:8080'])
        expect(await statusOf({ host }), host).toBe(200)
      for (const attacker of ['evil.example', '127.0.0.1.evil.example', 'localhost.evil.example:8080', '10.0.0.1'])
        expect(await statusOf({ host: attacker }), attacker).toBe(403)
      expect(await statusOf({ host: 'evil.example', origin: 'http://evil.example' }, true)).toBe(403)
      if (address !== '::ffff:127.0.0.2') await relay.close()
    }
  })

  test('of none is no browser’s, and is answered', async () => {
    await start()
    expect(await statusOf({})).toBe(200)
  })

  test('that is allowed, or the one of an origin that is, is answered', async () => {
    await start({ allowedHosts: ['Relay.example'], corsOrigins: ['https://app.example:8443'] })
    for (const host of ['relay.example:80', 'app.example', 'localhost'])
      expect(await statusOf({ host }), host).toBe(200)
    expect(await statusOf({ host: 'evil.example' })).toBe(403)
    await relay.close()
    // A name that can be no host opens no door for others like it.
    await start({ allowedHosts: ['256.1.1.1'] })
    expect(await statusOf({ host: '257.1.1.1' })).toBe(403)
  })

  test('is a trusted proxy’s affair', async () => {
    await start({ trustProxy: ['127.0.0.1'] })
    expect(await statusOf({ host: 'relay.example' })).toBe(200)
    await relay.close()
    await start({ trustProxy: ['192.0.2.1'] })
    expect(await statusOf({ host: 'evil.example' })).toBe(403)
  })

  test('of any name is answered by a relay on another address, unless names are allowed', async () => {
    await start({ host: '0.0.0.0' })
    expect(await statusOf({ host: 'anything.example' })).toBe(200)
    await relay.close()
    await start({ host: '0.0.0.0', allowedHosts: ['relay.example'] })
    expect(await statusOf({ host: 'relay.example' })).toBe(200)
    expect(await statusOf({ host: 'evil.example' })).toBe(403)
    expect(await statusOf({ host: 'localhost' })).toBe(403)
  })
})

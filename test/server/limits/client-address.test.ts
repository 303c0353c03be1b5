import { once } from 'node:events'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../../../src/server/config.ts'
import { ADDRESS_WARNINGS, ClientAddresses } from '../../../src/server/limits/client-address.ts'
import { call } from '../../support/http.ts'
import { publicKey } from '../../support/relay.ts'
import { type RunningRelay, startRelay } from '../../support/server.ts'

/** A request as Node gives it, from the other end of a connection and with these headers. */
function request(remoteAddress: string | undefined, headers: IncomingHttpHeaders = {}, url = '/v1/sessions') {
  return { url, headers, socket: { remoteAddress } } as unknown as IncomingMessage
}

const counted = (ip: string | undefined) => new ClientAddresses([]).of(request(ip)).counted

/** Through a proxy at 10.0.0.1, which is trusted. */
const forwarded = (xff: string) =>
  new ClientAddresses(['10.0.0.1']).of(request('10.0.0.1', { 'x-forwarded-for': xff })).counted

describe('the client address of a request', () => {
  test.each([
    ['an IPv4 address', '192.0.2.7', '192.0.2.7'],
    ['an IPv4 address that a socket for IPv6 gives', '::ffff:192.0.2.7', '192.0.2.7'],
    ['the same in hexadecimal', '::ffff:c000:207', '192.0.2.7'],
    ['an IPv4 address behind a NAT64 gateway', '64:ff9b::192.0.2.7', '192.0.2.7'],
    ['the same in hexadecimal', '64:ff9b::c000:207', '192.0.2.7'],
    ['what only begins like that', '64:ff9b:1::c000:207', '64:ff9b:1::'],
    ['what differs in the fourth group alone', '64:ff9b:0:1::c000:207', '64:ff9b:0:1::'],
    ['an IPv6 address', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::'],
    ['an IPv6 address with a gap', '2001:db8::6', '2001:db8::'],
    ['an IPv6 address of an interface', 'fe80::1%eth0', 'fe80::'],
    ['one of a bridge', 'fe80::1%br-lan', 'fe80::'],
    ['one of a VLAN', 'fe80::1%eth0.100', 'fe80::'],
    ['the loopback address', '::1', '::'],
  ])('for %s is the IPv4 address, or the /64', (_what, ip, expected) => {
    expect(counted(ip)).toBe(expected)
    expect(forwarded(ip)).toBe(expected)
  })

  test('is one for all of a /64 and another for the next, and both have one /48', () => {
    const [one, same, next] = ['2001:db8:1:2::1', '2001:DB8:1:2:ffff:ffff:ffff:ffff', '2001:db8:1:3::1'].map((ip) =>
      new ClientAddresses([]).of(request(ip)),
    )
    expect(one).toEqual(same)
    expect(one?.counted).not.toBe(next?.counted)
    expect([one?.wider, next?.wider]).toEqual(['2001:db8:1::/48', '2001:db8:1::/48'])
    expect(new ClientAddresses([]).of(request('192.0.2.7')).wider).toBeUndefined()
  })

  test.each([
    ['203.0.113.5:1234', '203.0.113.5'],
    ['[2001:db8:1:2::3]:80', '2001:db8:1:2::'],
    ['[2001:db8:1:2::3]', '2001:db8:1:2::'],
    ['[::ffff:192.0.2.7]:80', '192.0.2.7'],
    ['  192.0.2.7\t', '192.0.2.7'],
    ['198.51.100.9:1, 203.0.113.5:1234', '203.0.113.5'],
    ['203.0.113.5:1234 , 10.0.0.1:999', '203.0.113.5'],
  ])('that a trusted proxy writes as %o is %s', (written, expected) => {
    expect(forwarded(written)).toBe(expected)
  })

  test.each([
    'unknown',
    '',
    ',',
    '0x7f.1',
    '127.1',
    '_hidden',
    '999.1.1.1',
    '[192.0.2.7',
    '192.0.2.7:99999999',
    '[192.0.2.7]x',
    '192.0.2.7:',
    '192.0.2.7/32',
  ])('is the proxy’s own when it calls its client %o', (attacker) => {
    expect(forwarded(attacker)).toBe('10.0.0.1')
    // Nothing in front of it counts.
    expect(forwarded(`192.0.2.9, ${attacker}`)).toBe('10.0.0.1')
  })

  test('of a private IPv4 address behind a NAT64 gateway is not a trusted proxy', () => {
    const addresses = new ClientAddresses(['10.0.0.0/8'])
    const attacker = request('64:ff9b::10.0.0.1', { 'x-forwarded-for': '192.0.2.7' })
    expect(addresses.of(attacker).counted).toBe('10.0.0.1')
    expect(addresses.isTrusted('64:ff9b::10.0.0.1')).toBe(false)
  })

  test('of an interface is a trusted proxy on that interface alone', () => {
    const addresses = new ClientAddresses(['fe80::1%eth0'])
    expect(['fe80::1%eth0', 'fe80::1%eth1', 'fe80::1'].map((each) => addresses.isTrusted(each))).toEqual([
      true,
      false,
      false,
    ])
  })

  test('of a connection that has just ended, and of who is exempt, is nobody’s', () => {
    expect(counted(undefined)).toBe('')
    const addresses = new ClientAddresses(['10.0.0.1'], ['192.0.2.0/24', '2001:db8::5'])
    const of = (xff: string) => addresses.of(request('10.0.0.1', { 'x-forwarded-for': xff })).counted
    expect(['192.0.2.7', '64:ff9b::192.0.2.7', '2001:db8::5'].map(of)).toEqual(['', '', ''])
    expect(['192.0.3.7', '2001:db8::6'].map(of)).toEqual(['192.0.3.7', '2001:db8::'])
  })
})

describe('a header of who it is forwarded for', () => {
  const warningsOf = (remote: string, headers: IncomingHttpHeaders, url?: string) => [
    ...new ClientAddresses(['10.0.0.0/8']).warnings(request(remote, headers, url)),
  ]

  test('comes from a stranger when nobody takes the word for it', () => {
    const headers = { 'x-forwarded-for': '192.0.2.7' }
    expect(warningsOf('192.0.2.1', headers)).toEqual(['stranger'])
    expect(warningsOf('10.0.0.1', headers)).toEqual([])
    // A client on the proxy's own machine.
    expect(warningsOf('10.0.0.1', { 'x-forwarded-for': '10.0.0.1' })).toEqual([])
    expect(warningsOf('192.0.2.1', {})).toEqual([])
  })

  test('that a trusted proxy leaves out, or that is no address, is worth a warning; of its health checks it is not', () => {
    expect(warningsOf('10.0.0.1', {})).toEqual(['silent'])
    expect(warningsOf('10.0.0.1', { 'x-forwarded-for': ' ' })).toEqual(['silent'])
    expect(warningsOf('10.0.0.1', {}, '/readyz')).toEqual([])
    for (const attacker of ['unknown', '192.0.2.7, unknown', '192.0.2.7,'])
      expect(warningsOf('10.0.0.1', { 'x-forwarded-for': attacker }), attacker).toEqual(['unreadable'])
  })

  test.each([
    ...(['x-real-ip', 'x-client-ip', 'true-client-ip', 'cf-connecting-ip', 'forwarded'] as const),
    ...(['fastly-client-ip', 'x-cluster-client-ip', 'x-envoy-external-address'] as const),
    ...(['x-original-forwarded-for', 'x-azure-clientip', 'fly-client-ip', 'do-connecting-ip'] as const),
  ])('%s is worth a warning when it names another address than the one that counts', (header) => {
    const [other, same] = header === 'forwarded' ? ['for=192.0.2.9', 'for="192.0.2.7:80"'] : ['192.0.2.9', '192.0.2.7']
    const through = { 'x-forwarded-for': '192.0.2.7' }
    expect(warningsOf('10.0.0.1', { ...through, [header]: other })).toEqual([header])
    expect(warningsOf('10.0.0.1', { ...through, [header]: same })).toEqual([])
    expect(warningsOf('192.0.2.1', { [header]: other })).toEqual([header])
  })

  test('of a kind that is not read is said once in the log for each kind, without an address', async () => {
    const relay = await startRelay({ logLevel: 'info', trustProxy: ['127.0.0.1'] })
    for (let i = 0; i < 3; i++) {
      for (const headers of [{}, { 'x-forwarded-for': 'nobody' }, { 'x-real-ip': '192.0.2.7' }])
        await call(relay.url, 'GET', '/v1/sessions/x', { headers })
      await call(relay.url, 'GET', '/v1/sessions/x', {
        headers: { 'x-forwarded-for': '192.0.2.7', forwarded: 'for=x' },
      })
    }
    const said = relay.log.map((line) => JSON.parse(line).msg)
    for (const kind of ['silent', 'unreadable', 'x-real-ip', 'forwarded'] as const)
      expect(said.filter((msg) => msg === ADDRESS_WARNINGS[kind])).toHaveLength(1)
    expect(relay.log.join()).not.toMatch(/192\.0\.2\.7|127\.0\.0\.1/)
    await relay.close()
  })

  test('of a proxy that keeps idle connections for longer than the relay is worth a warning, and of clients none', async () => {
    const trusting = await startRelay({ trustProxy: ['127.0.0.1'] })
    const open = await startRelay()
    for (const relay of [trusting, open]) {
      relay.server.keepAliveTimeout = 1
      // No client of Node does as such a proxy does: all of them heed the relay's Keep-Alive.
      const proxy = connect(relay.port, '127.0.0.1').resume()
      proxy.write('GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n')
      await once(proxy, 'close')
    }
    const ask = async ({ url }: RunningRelay) =>
      (await call(url, 'GET', '/v1/address', { headers: { 'x-forwarded-for': '192.0.2.7' } })).json()
    expect(await ask(trusting)).toMatchObject({ warnings: ['kept'] })
    expect(await ask(open)).toMatchObject({ warnings: ['stranger'] })
    for (const relay of [trusting, open]) await relay.close()
  })

  const warnings = ({ log }: RunningRelay) => log.filter((line) => line.includes(ADDRESS_WARNINGS.stranger))

  test('from a proxy that is not trusted counts for nothing: all its clients are one client address', async () => {
    const relay = await startRelay()
    const attacker = await failFiveTimes(relay, (i) => `192.0.2.${i}`)
    expect(await attacker('192.0.2.99')).toBe(404)
    await relay.close()
  })

  test('from a proxy that is not trusted is said once in the log, without the address', async () => {
    const relay = await startRelay({ logLevel: 'info' })
    for (let i = 0; i < 3; i++) {
      await call(relay.url, 'GET', '/healthz', { headers: { 'x-forwarded-for': '192.0.2.7' } })
    }
    expect(warnings(relay)).toHaveLength(1)
    expect(relay.log.join()).not.toMatch(/192\.0\.2\.7|127\.0\.0\.1/)
    await relay.close()
  })

  test('is looked for with every form that the configuration takes', async () => {
    const TRUST_PROXY =
      '10.0.0.0/8, 192.0.2.1/32,::1,fc00::/7, 2001:db8::/128,::ffff:10.0.0.1,fe80::1%br-lan,fe80::%eth0/64'
    const relay = await startRelay({ trustProxy: readConfig({ TRUST_PROXY }).trustProxy })
    await relay.close()
  })

  test('is told to the asker by its class and its warnings, and no address is', async () => {
    const relay = await startRelay({ trustProxy: ['127.0.0.1'] })
    const ask = async (headers: Record<string, string>) =>
      (await call(relay.url, 'GET', '/v1/address', { headers })).json()
    expect(await ask({ 'x-forwarded-for': '192.168.7.9' })).toEqual({ family: 4, range: 'private', warnings: [] })
    expect(await ask({ 'x-forwarded-for': '2001:4860::1' })).toEqual({ family: 6, range: 'unicast', warnings: [] })
    expect(await ask({})).toEqual({ family: 4, range: 'loopback', warnings: ['silent'] })
    await relay.close()
  })

  test('from a proxy that is trusted tells its clients apart, by the last address that the proxy did not write itself', async () => {
    const relay = await startRelay({ logLevel: 'info', trustProxy: ['10.0.0.0/8', '127.0.0.1'] })
    // Addresses in front of the one that the proxy adds are the client's own word.
    const attacker = await failFiveTimes(relay, (i) => `198.51.100.${i}, 192.0.2.7, 10.1.2.3`)
    expect(await attacker('192.0.2.7')).toBe(404)
    expect(await attacker('198.51.100.9, 192.0.2.7')).toBe(404)
    expect(await attacker('192.0.2.8')).toBe(201)
    await call(relay.url, 'GET', '/healthz', { headers: { 'x-forwarded-for': '127.0.0.1' } })
    expect(warnings(relay)).toEqual([])
    await relay.close()
  })
})

/** Five handshakes fail in one session, each forwarded as it says. What comes back joins once more, and gives the status. */
async function failFiveTimes(relay: RunningRelay, forwardedFor: (i: number) => string) {
  const opened = await call(relay.url, 'POST', '/v1/sessions', { body: { clientId: 'c', senderCode: 'code' } })
  const { sessionId, token } = opened.json<{ sessionId: string; token: string }>()
  let made = 0
  const join = async (forwarded: string) => {
    const body = { senderCode: 'code', receiverCode: `receiver-${++made}`, publicKey: publicKey(1) }
    return (await call(relay.url, 'POST', '/v1/receivers', { body, headers: { 'x-forwarded-for': forwarded } })).status
  }
  for (let i = 1; i <= 5; i++) {
    expect(await join(forwardedFor(i))).toBe(201)
    const body = { decision: 'denied', reason: 'handshake_failed' }
    await call(relay.url, 'PUT', `/v1/sessions/${sessionId}/receivers/receiver-${i}/decision`, { token, body })
  }
  return join
}

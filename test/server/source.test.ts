import { describe, expect, test } from 'vitest'
import { readConfig } from '../../src/server/config.ts'
import { isForwardedByStranger, sourceOf } from '../../src/server/source.ts'
import { call } from '../support/http.ts'
import { publicKey } from '../support/relay.ts'
import { type RunningRelay, startRelay } from '../support/server.ts'

type Request = Parameters<typeof sourceOf>[0]

function request(ip: string | undefined, remoteAddress: string | undefined = ip): Request {
  return { ip, raw: { socket: { remoteAddress } } } as unknown as Request
}

describe('the source of a request', () => {
  test.each([
    ['an IPv4 address', '192.0.2.7', '192.0.2.7'],
    ['an IPv4 address that a socket for IPv6 gives', '::ffff:192.0.2.7', '192.0.2.7'],
    ['the same in hexadecimal', '::ffff:c000:207', '192.0.2.7'],
    ['an IPv6 address', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::'],
    ['an IPv6 address with a gap', '2001:db8::6', '2001:db8::'],
    ['an IPv6 address of an interface', 'fe80::1%eth0', 'fe80::'],
    ['the loopback address', '::1', '::'],
  ])('for %s is the address, or its /64', (_what, ip, source) => {
    expect(sourceOf(request(ip))).toBe(source)
  })

  test('is one for all of a /64, and another for the next', () => {
    const [one, same, next] = ['2001:db8:1:2::1', '2001:DB8:1:2:ffff:ffff:ffff:ffff', '2001:db8:1:3::1']
    expect(sourceOf(request(one))).toBe(sourceOf(request(same)))
    expect(sourceOf(request(one))).not.toBe(sourceOf(request(next)))
  })

  test.each(['unknown', '', '192.0.2.7:5000', '[2001:db8::1]:80', '0x7f.1', '127.1', '_hidden', '999.1.1.1'])(
    'is the proxy’s own when it calls its client %o',
    (attacker) => {
      expect(sourceOf(request(attacker, '10.0.0.1'))).toBe('10.0.0.1')
    },
  )

  test('of a connection that has just ended is nobody in particular', () => {
    expect(sourceOf({ ip: undefined, raw: { socket: {} } } as unknown as Request)).toBe('')
  })
})

describe('a header of who it is forwarded for', () => {
  test('comes from a stranger when nobody took the word for it', () => {
    const headers = { 'x-forwarded-for': '192.0.2.7' }
    const isStranger = (ips: string[] | undefined, sent = headers as object) =>
      isForwardedByStranger({ ips, raw: { headers: sent } } as unknown as Parameters<typeof isForwardedByStranger>[0])
    expect(isStranger(undefined)).toBe(true)
    expect(isStranger(['10.0.0.1'])).toBe(true)
    expect(isStranger(['10.0.0.1', '192.0.2.7'])).toBe(false)
    // A client on the proxy's own machine.
    expect(isStranger(['10.0.0.1', '10.0.0.1'])).toBe(false)
    expect(isStranger(undefined, {})).toBe(false)
  })

  const LAST = 'X-Forwarded-For came from a proxy that TRUST_PROXY does not name: all its clients count as one source'
  const warnings = ({ log }: RunningRelay) => log.filter((line) => line.includes(LAST))

  test('from a proxy that is not trusted counts for nothing: all its clients are one source', async () => {
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
      '10.0.0.0/8, 192.0.2.1/32,::1,fc00::/7, 2001:db8::/128,::ffff:10.0.0.1,fe80::1%eth0,fe80::%eth0/64'
    const relay = await startRelay({ trustProxy: readConfig({ TRUST_PROXY }).trustProxy })
    await relay.close()
  })

  test('from a proxy that is trusted tells its clients apart, by the last address that the proxy did not write itself', async () => {
    const relay = await startRelay({ logLevel: 'info', trustProxy: ['10.0.0.0/8', '127.0.0.1'] })
    // What a client puts in front of the address that the proxy gives it is its own word.
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

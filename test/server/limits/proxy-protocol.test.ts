import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { HEADERS_TIMEOUT_MS } from '../../../src/server/app.ts'
import { readProxyHeader } from '../../../src/server/limits/proxy-protocol.ts'
import { type RunningRelay, startRelay } from '../../support/server.ts'

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

/** A header of version 2: its command, its family, and what follows. */
function v2(command: number, family: number, rest: readonly number[]): Buffer {
  return Buffer.concat([SIGNATURE, Buffer.from([0x20 | command, family, rest.length >> 8, rest.length & 255, ...rest])])
}

const PORTS = [0, 80, 0, 80]
const IPV4 = [192, 0, 2, 7, 10, 0, 0, 1, ...PORTS]
const IPV6 = [0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 5, ...Array(16).fill(1), ...PORTS]
const HEADERS: readonly (readonly [name: string, bytes: Buffer, address: string | undefined])[] = [
  ['version 1 of IPv4', Buffer.from('PROXY TCP4 192.0.2.7 10.0.0.1 5 80\r\n'), '192.0.2.7'],
  ['version 1 of IPv6', Buffer.from('PROXY TCP6 2001:db8::5 ::1 5 80\r\n'), '2001:db8::5'],
  ['version 1 of a health check', Buffer.from('PROXY UNKNOWN\r\n'), undefined],
  ['version 2 of IPv4', v2(1, 0x11, IPV4), '192.0.2.7'],
  ['version 2 of IPv6', v2(1, 0x21, IPV6), '2001:db8::5'],
  ['version 2 with an extension', v2(1, 0x11, [...IPV4, 3, 0, 4, 1, 2, 3, 4]), '192.0.2.7'],
  ['version 2 of a health check', v2(0, 0, []), undefined],
]

describe('a header of the PROXY protocol', () => {
  test.each(HEADERS)('of %s is read, however it is cut, and no byte behind it', (_name, bytes, address) => {
    for (let length = 0; length < bytes.length; length++)
      expect(readProxyHeader(bytes.subarray(0, length)), String(length)).toEqual({ kind: 'partial' })
    const more = Buffer.concat([bytes, Buffer.from('GET / HTTP/1.1\r\n')])
    expect(readProxyHeader(more)).toEqual({ kind: 'read', length: bytes.length, address })
  })

  test.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n')],
    ['an address that is none', Buffer.from('PROXY TCP4 999.0.2.7 10.0.0.1 5 80\r\n')],
    ['an address of another family', Buffer.from('PROXY TCP6 192.0.2.7 10.0.0.1 5 80\r\n')],
    ['a line without an end', Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`)],
    ['another version', Buffer.concat([SIGNATURE, Buffer.from([0x31, 0x11, 0, 12, ...IPV4])])],
    ['another command', v2(2, 0x11, IPV4)],
    ['another command, without an address', v2(5, 0, [])],
    ['fewer bytes than its addresses take', v2(1, 0x21, IPV4)],
    ['more than a header has', Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11, 0xff, 0xff])])],
  ])('of an attacker that is %s is wrong', (_name, attacker) => {
    expect(readProxyHeader(attacker)).toEqual({ kind: 'wrong' })
  })
})

describe('a relay with PROXY_PROTOCOL', () => {
  let relay: RunningRelay
  const sockets: Socket[] = []
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy()
    await relay.close()
  })

  /** Returns all that comes back on a connection that has sent these pieces. */
  async function say(...pieces: (string | Buffer)[]): Promise<string> {
    const socket = connect(relay.port, '127.0.0.1')
    sockets.push(socket)
    let answer = ''
    const over = new Promise<void>((resolve) => {
      socket.on('data', (bytes) => {
        answer += bytes
      })
      socket.on('close', () => resolve()).on('error', () => resolve())
    })
    for (const piece of pieces) {
      socket.write(piece)
      await new Promise(setImmediate)
    }
    await over
    return answer
  }

  const asking = (more = '') => `GET /v1/address HTTP/1.1\r\nHost: relay.example\r\nConnection: close\r\n${more}\r\n`

  test('counts the address that a trusted proxy tells, in one piece with the request and in many', async () => {
    relay = await startRelay({ trustProxy: ['127.0.0.1'], proxyProtocol: true, allowedHosts: [] })
    const [, line, , binary] = HEADERS.map(([, bytes]) => bytes)
    const unicast = (family: number) => `{"family":${family},"range":"reserved","warnings":[]}`
    expect(await say(Buffer.concat([binary ?? line ?? SIGNATURE, Buffer.from(asking())]))).toContain(unicast(4))
    expect(await say(Buffer.concat([line ?? SIGNATURE, Buffer.from(asking())]))).toContain(unicast(6))
    const all = Buffer.concat([binary ?? SIGNATURE, Buffer.from(asking())])
    expect(await say(...Array.from(all, (_, at) => all.subarray(at, at + 1)))).toContain(unicast(4))
  })

  test('believes no X-Forwarded-For of an attacker behind such a proxy', async () => {
    relay = await startRelay({ trustProxy: ['127.0.0.1'], proxyProtocol: true, allowedHosts: [] })
    const attacker = `PROXY TCP4 192.0.2.7 10.0.0.1 5 80\r\n${asking('X-Forwarded-For: 10.9.9.9\r\n')}`
    expect(await say(attacker)).toContain('{"family":4,"range":"reserved","warnings":["stranger"]}')
  })

  test('resets a connection of the proxy without a header, and takes none of anybody else', async () => {
    relay = await startRelay({ trustProxy: ['127.0.0.1'], proxyProtocol: true, allowedHosts: [] })
    expect([await say(asking()), await say(asking())]).toEqual(['', ''])
    const warnings = relay.log.map((line) => JSON.parse(line)).filter(({ level }) => level === 40)
    expect(warnings).toEqual([expect.objectContaining({ msg: expect.stringMatching(/^PROXY_PROTOCOL is on/) })])
    await relay.close()
    relay = await startRelay({ trustProxy: ['10.0.0.1'], proxyProtocol: true, allowedHosts: ['*'] })
    expect(await say(asking())).toContain('"range":"loopback"')
    const attacker = `PROXY TCP4 192.0.2.7 10.0.0.1 5 80\r\n${asking()}`
    expect(await say(attacker)).toMatch(/^HTTP\/1\.1 400 /)
  })
  test('stops although an attacker never sends its header, whose time is over at some time', async () => {
    // No time passes here but by hand.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    relay = await startRelay({ trustProxy: ['127.0.0.1'], proxyProtocol: true })
    const arrived = () => new Promise((resolve) => relay.server.once('connection', resolve))
    const first = arrived()
    const attacker = say('PROXY')
    await first
    vi.advanceTimersByTime(HEADERS_TIMEOUT_MS)
    expect(await attacker).toBe('')
    const second = arrived()
    const other = say('PROXY')
    await second
    await relay.close()
    expect(await other).toBe('')
    vi.useRealTimers()
  })
})

import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { afterEach, expect, test, vi } from 'vitest'
import { checkCertificate, timeOf } from '../../src/cli/doctor/certificate.ts'
import { adviceFor } from '../../src/cli/doctor/finding.ts'
import { checkBurst, checkClock, checkUpgrade, judgeAddress } from '../../src/cli/doctor/front.ts'
import { examine } from '../../src/cli/doctor.ts'
import { startRelay } from '../support/server.ts'
import { RelayProgram, run } from './support.ts'

const servers: { close: () => unknown }[] = []
afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  for (const server of servers.splice(0)) await server.close()
})

async function listening(server: TcpServer): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A server of an attacker, with what it does for an upgrade. */
async function serve(answer: RequestListener, upgrade: (socket: Duplex) => void = (socket) => socket.destroy()) {
  const server = createServer(answer).on('upgrade', (_, socket) => upgrade(socket.on('error', () => {})))
  servers.push({ close: () => [server.close(), server.closeAllConnections()] })
  return `http://${await listening(server)}`
}

const VERSION = { name: 'pairlay', version: '1', protocol: 'x' }
const error = (code: string) => ({ type: 'about:blank', code })

/** A server that answers as a relay does, but for these paths, each with a status and a body. Others are cut off. */
function serveAsRelay(answers: Readonly<Record<string, readonly [number, unknown]>>) {
  const all = { '/version': [200, VERSION], '/readyz': [200, {}], ...answers } as typeof answers
  return serve(({ url = '' }, response) => {
    const [status, body] = all[url] ?? []
    if (status === undefined) response.destroy()
    else response.writeHead(status).end(JSON.stringify(body))
  })
}

const ANSWERED = { '/healthz': [200, { status: 'alive' }], '/v1/address': [200, {}] } as const

async function findings(url: string) {
  const found = []
  for await (const finding of examine(url, {})) found.push(finding)
  return found
}

/** Faults of a relay, each with its check. */
async function faultsOf(url: string): Promise<string[]> {
  return (await findings(url)).flatMap(({ check, fault }) => (fault ? [`${check}: ${fault}`] : []))
}

/** Waits no longer for an answer than until `late` is called. */
function patience(): { late: () => void } {
  const controller = new AbortController()
  vi.spyOn(AbortSignal, 'timeout').mockReturnValue(controller.signal)
  return { late: () => controller.abort(new DOMException('', 'TimeoutError')) }
}

const seen = (range: string, ...warnings: string[]) => ({ family: 4, range, warnings })

test('an address that an attacker has made up is told where the relay believes it, and not on its own machine', () => {
  const attacker = seen('reserved')
  expect(judgeAddress(seen('private'), attacker).fault).toBe('address_forged')
  expect(judgeAddress(seen('unicast'), seen('unicast')).fault).toBeUndefined()
  expect(judgeAddress(seen('loopback'), attacker).fault).toBeUndefined()
  expect(judgeAddress(undefined, attacker)).toEqual({ says: expect.stringContaining('older') })
})

test('idle connections that a proxy keeps are a fault, but for Apache, which keeps all and uses none after its ttl', () => {
  const judged = (server: string) => judgeAddress(seen('unicast', 'kept'), undefined, server)
  for (const server of ['nginx/1.22.1', '']) expect(judged(server).fault).toBe('kept_too_long')
  expect(judged('Apache/2.4.71')).toEqual({ says: expect.stringContaining('ttl=60') })
})

test('a header that an attacker fills with commands for a terminal is not shown as it is', () => {
  const { says } = judgeAddress(seen('private', '\u001b[2Jattacker'), undefined)
  expect(says).not.toMatch(/\p{Cc}/u)
})

test('what to change is said for the proxy that names itself, and for each of them when none does', () => {
  expect(adviceFor('host_lost', 'nginx/1.22.1')).toEqual(['nginx: proxy_set_header Host $http_host;'])
  expect(adviceFor('host_lost', '')).toHaveLength(4)
})

test('`pairlay doctor` finds nothing wrong with a relay on this machine, and exits with 1 where there is none', async () => {
  const relay = await RelayProgram.start()
  const { exitCode, stdout } = await run(['doctor', relay.url])
  expect([exitCode, String(stdout)]).toEqual([0, expect.stringMatching(/^good {3}TLS: .*\nNothing is wrong\.\n$/s)])
  const none = await run(['doctor', 'http://127.0.0.1:1'])
  expect([none.exitCode, String(none.stdout)]).toEqual([1, expect.stringContaining('WRONG  health: nothing answers')])
})

test('a relay that takes no sessions, or does not answer to its name, is named as such', async () => {
  for (const path of ['/readyz', '/version'])
    expect(await faultsOf(await serveAsRelay({ [path]: [503, error('at_capacity')] }))).toEqual(['health: not_ready'])
  const relay = await startRelay({ host: '0.0.0.0', allowedHosts: ['relay.example'] })
  servers.push(relay)
  expect(await faultsOf(relay.url)).toEqual(['health: name_refused'])
})

test('an address without TLS is named as such where it leads to another machine', async () => {
  expect((await checkCertificate('http://relay.example', 0)).fault).toBe('no_tls')
  expect((await checkCertificate('http://127.0.0.1:1', 0)).fault).toBeUndefined()
})

test.each([
  ['90 days', 90 * 24, 11 * 24, '11 days', false],
  ['90 days', 90 * 24, 9 * 24, '9 days', true],
  ['6 days, which are renewed every three', 160, 48, '2 days', false],
  ['6 days, which are renewed every three', 160, 39, '39 hours', true],
  ['12 hours, as Caddy has them of its own', 12, 4, '4 hours', false],
  ['12 hours, as Caddy has them of its own', 12, 2, '2 hours', true],
  ['a year, and is over', 365 * 24, -1, '0 hours', true],
] as const)(
  'a certificate of %s has %i hours in all, and with %i of them left it has %s: %s',
  (_, all, hours, left, isSoon) => {
    const at = (hour: number) => new Date(hour * 3_600_000).toUTCString()
    expect(timeOf({ valid_from: at(0), valid_to: at(all) }, (all - hours) * 3_600_000)).toEqual({ left, isSoon })
  },
)

test('a clock is named as wrong from more than a minute on, whichever of the two is behind', async () => {
  const relay = await serve((_, response) => response.setHeader('date', 'Thu, 01 Jan 1970 01:00:00 GMT').end())
  const faultAt = async (seconds: number) => (await checkClock(relay, () => seconds * 1_000)).fault
  expect(await Promise.all([3_539, 3_540, 3_660, 3_661].map(faultAt))).toEqual(['clock', undefined, undefined, 'clock'])
})

test.each([
  [401, 'creating_refused'],
  [403, 'creating_refused'],
  [500, 'no_transfer'],
] as const)(
  'a relay that opens no session, with %s, is named as such, and no transfer is tried',
  async (status, fault) => {
    const answers = { ...ANSWERED, '/v1/sessions': [status, error('some_code')] } as const
    const found = await findings(await serveAsRelay(answers))
    expect(found.find(({ check }) => check === 'limits')).toMatchObject({
      fault,
      says: expect.stringContaining('some_code'),
    })
    expect(found.at(-1)?.check).toBe('WebSocket')
  },
)

test('a session that cannot be one is not asked for: an attacker chooses no path and no header', async () => {
  const limits = { maxFrameBytes: 1 }
  for (const attacker of [
    { sessionId: '../../healthz', token: 'x', limits },
    { sessionId: 'x', token: 'a\nb', limits },
    { sessionId: 'x', limits },
  ])
    expect(await faultsOf(await serveAsRelay({ ...ANSWERED, '/v1/sessions': [201, attacker] }))).toContain(
      'limits: no_transfer',
    )
})

test('a transfer that does not come about is named as such, each way', async () => {
  const session = { sessionId: 'x', token: 'x', limits: { maxFrameBytes: 1 } }
  const answers = { ...ANSWERED, '/v1/sessions': [201, session], '/v1/sessions/x': [204, undefined] } as const
  const faults = ['WebSocket: no_upgrade', 'frames over HTTP: no_transfer']
  expect(await faultsOf(await serveAsRelay(answers))).toEqual(faults)
})

test('errors that an attacker fills with commands for a terminal are not shown as they are', async () => {
  const attacker = error('\u001b[2Jattacker')
  for (const answers of [{ '/readyz': [503, attacker] }, { ...ANSWERED, '/v1/sessions': [500, attacker] }] as const) {
    const says = (await findings(await serveAsRelay(answers))).map((each) => each.says).join('\n')
    expect(says).toContain('attacker')
    expect(says).not.toMatch(/[^\P{Cc}\n]/u)
  }
})

test('what cuts a call off is a finding, whichever call it is', async () => {
  expect(await faultsOf('http://nowhere.invalid')).toEqual(['TLS: no_tls', 'health: no_answer'])
  expect(await faultsOf('https://nowhere.invalid')).toEqual(['TLS: no_answer'])
  expect(await faultsOf(await serveAsRelay({}))).toEqual(['calls: no_answer'])
  expect(await faultsOf(await serveAsRelay({ '/healthz': ANSWERED['/healthz'] }))).toEqual(['calls: no_answer'])
  expect(await faultsOf(await serveAsRelay(ANSWERED))).toEqual(['calls: no_answer'])
  const attacker = await serve((_, response) => response.destroy())
  expect(await checkUpgrade(attacker, 'x')).toMatchObject({
    fault: 'no_upgrade',
    says: expect.stringContaining('ECONNRESET'),
  })
  expect(await checkBurst(attacker)).toMatchObject({
    fault: 'rates',
    says: expect.stringContaining('refuses 24 (UND_ERR_SOCKET)'),
  })
})

test.each([
  ['http', 'HTTP_PROXY'],
  ['https', 'HTTPS_PROXY'],
])('where nothing answers by %s, a proxy in %s is named, which is not used', async (scheme, name) => {
  vi.stubEnv('NODE_USE_ENV_PROXY', '')
  vi.stubEnv(name, 'http://proxy.invalid')
  const found = await findings(`${scheme}://nowhere.invalid`)
  expect(found.at(-1)?.says).toContain(`${name} is set and is not used`)
})

test('a certificate behind a proxy of the environment, which calls go through, is not looked at', async () => {
  vi.stubEnv('NODE_USE_ENV_PROXY', '1')
  vi.stubEnv('HTTPS_PROXY', 'http://proxy.invalid')
  // As a Node that can.
  vi.spyOn(process, 'allowedNodeEnvironmentFlags', 'get').mockReturnValue(new Set(['--use-env-proxy']))
  const { fault, says } = await checkCertificate('https://nowhere.invalid', 0)
  expect([fault, says]).toEqual([undefined, 'not looked at, because calls go through the proxy in HTTPS_PROXY.'])
})

test('an attacker that sends without an end is not read to the end', async () => {
  const attacker = await serve((_, response) => {
    const more = () => {
      while (response.write('x'.repeat(65_536)));
    }
    response.on('drain', more)
    more()
  })
  expect(await faultsOf(attacker)).toEqual(['health: not_a_relay'])
})

test('an attacker that says nothing, or a little now and then, is not waited for', async () => {
  const { late } = patience()
  const attacker = await serve((_, response) => {
    response.write(' ')
    late()
  })
  expect((await findings(attacker)).at(-1)?.says).toBe('nothing answers: no answer in time.')
})

test('an attacker that says nothing to a WebSocket, or a little now and then, is not waited for', async () => {
  const { late } = patience()
  const attacker = await serve(
    () => {},
    (socket) => socket.write('HTTP/1.1 101 Switching\r\n', late),
  )
  expect((await checkUpgrade(attacker, 'x')).says).toContain('none passes (no answer in time)')
})

test('an attacker that begins no TLS is not waited for', async () => {
  const { late } = patience()
  const server = createTcpServer((socket) => {
    socket.on('error', () => {}).once('data', late)
  })
  servers.push({ close: () => server.close() })
  const found = await checkCertificate(`https://${await listening(server)}`, 0)
  expect(found).toMatchObject({ fault: 'no_answer', says: expect.stringContaining('no answer in time') })
})

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { call } from '../support/http.ts'
import { describeRedis, startRedis } from '../support/redis-server.ts'
import { WireSocket } from '../support/wire-socket.ts'

/** The process itself, as built. What is under test here is `main.ts`; everything else is tested without a process. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const MAIN = join(ROOT, 'dist/server/main.js')

interface Run {
  readonly child: ChildProcess
  readonly out: () => string
  readonly err: () => string
  readonly exited: Promise<number | null>
}

const runs: Run[] = []
// The tests run side by side: they wait for processes.
afterAll(() => {
  for (const { child } of runs.splice(0)) child.kill('SIGKILL')
})

function run(env: Record<string, string>): Run {
  const child = spawn(process.execPath, [MAIN], {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (data) => {
    out += data
  })
  child.stderr.setEncoding('utf8').on('data', (data) => {
    err += data
  })
  const exited = once(child, 'close').then(([code]) => code as number | null)
  const started = { child, out: () => out, err: () => err, exited }
  runs.push(started)
  return started
}

/** Starts a relay on a port the system chose and waits until it says so. */
async function start(env: Record<string, string> = {}): Promise<Run & { readonly url: string; readonly port: number }> {
  const started = run({ PORT: '0', ...env })
  for (;;) {
    const ready = /"port":(\d+),"msg":"the relay is ready"/.exec(started.out())
    if (ready) return { ...started, port: Number(ready[1]), url: `http://127.0.0.1:${ready[1]}` }
    const exited = await Promise.race([
      once(started.child.stdout ?? started.child, 'data'),
      started.exited.then(() => 'exited'),
    ])
    if (exited === 'exited') throw new Error(`the relay did not start: ${started.err()}`)
  }
}

describe('the relay process', { concurrent: true }, () => {
  for (const [name, value] of Object.entries({
    PORT: '65536',
    SESSION_TTL_SECONDS: 'soon',
    LOG_LEVEL: 'loud',
    WINDOW_BYTES: '65568',
    REDIS_URL: 'redis://:p%zz@127.0.0.1',
    REDIS_CA_FILE: '/etc/hostname',
    ACCESS_TOKENS_FILE: '/nowhere/tokens',
    DRAIN_SECONDS: '3601',
    METRICS_PORT: '65536',
  })) {
    test(`with a wrong ${name} exits with 1 and one line on stderr, which names it`, async () => {
      const { exited, out, err } = run({ [name]: value })
      expect(await exited).toBe(1)
      expect(err()).toMatch(new RegExp(`^pairlay: ${name} (\\(\\d+\\) )?is [^\\n]+\\n$`))
      expect(out()).toBe('')
    })
  }

  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['0.0.0.0', 'localhost'],
    ['::1', '[::1]'],
  ])('that listens on %s says where its page is', async (host, named) => {
    const { out, port, exited, child } = await start({ HOST: host })
    expect(out()).toContain(`"page":"http://${named}:${port}/","port":${port},"msg":"the relay is ready"`)
    child.kill()
    await exited
  })

  test('without a page names none', async () => {
    const { out, exited, child } = await start({ WEB: 'off' })
    expect(out()).not.toContain('"page":"')
    child.kill()
    await exited
  })

  for (const [what, file] of [
    ['is not there', '/nowhere/ca.pem'],
    ['is a folder', '/'],
    ['has no certificate in it', MAIN],
  ] as const) {
    test(`with a REDIS_CA_FILE that ${what} exits with 1 and one line on stderr, without what is in REDIS_URL`, async () => {
      const { exited, out, err } = run({ REDIS_URL: 'rediss://user:secret@127.0.0.1:1', REDIS_CA_FILE: file })
      expect(await exited).toBe(1)
      expect(err()).toMatch(/^pairlay: REDIS_CA_FILE is not the path of a file of certificates in PEM: [A-Z_0-9]+\n$/)
      expect(out()).toBe('')
    })
  }

  test('on a port that is taken exits with 1 and one line on stderr', async () => {
    const { port } = await start()
    const second = run({ PORT: String(port) })
    expect(await second.exited).toBe(1)
    expect(second.err()).toBe(`pairlay: cannot listen on 127.0.0.1 port ${port}: EADDRINUSE\n`)
  })

  test('with a wrong setting shows its value, with what cannot be seen', async () => {
    const { exited, err } = run({ PORT: '8080\r' })
    expect(await exited).toBe(1)
    expect(err()).toBe('pairlay: PORT is not a whole number from 0 to 65535; it is "8080\\r"; white space around it\n')
  })

  test('says at the start which settings are in force, without a secret, and what only looks like one', async () => {
    const { out } = await start({ MAX_SESION: '5', TRUST_PROXY: '192.0.2.1' })
    const lines = out()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
    expect(lines.find(({ msg }) => msg === 'started')).toMatchObject({
      settings: { TRUST_PROXY: '192.0.2.1', MAX_SESSIONS: '100000', HOST: '127.0.0.1' },
    })
    expect(lines.filter(({ variable }) => variable !== undefined)).toMatchObject([
      { variable: 'MAX_SESION', level: 40 },
    ])
  })

  test('that does not reach its Redis does not say that it is ready, and says why', async () => {
    const { child, exited, out } = run({ PORT: '0', REDIS_URL: 'redis://:secret@127.0.0.1:1' })
    while (!out().includes('Redis is away')) await once(child.stdout ?? child, 'data')
    expect(out()).toContain('"reason":"connect ECONNREFUSED 127.0.0.1:1"')
    expect(out()).toContain('"msg":"started"')
    expect(out()).not.toMatch(/the relay is ready|secret/)
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
  })

  test('without a terminal ignores SIGHUP and the signals of log rotations, and says that', async () => {
    const { url, child, out, exited } = await start()
    for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) {
      child.kill(signal)
      while (!out().includes(`${signal} is ignored`)) await once(child.stdout ?? child, 'data')
    }
    expect((await call(url, 'GET', '/healthz')).status).toBe(200)
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
  })

  test('takes Redis from a file, and not from two places', async () => {
    const { exited, err } = run({ REDIS_URL_FILE: MAIN, REDIS_URL: 'redis://127.0.0.1' })
    expect(await exited).toBe(1)
    expect(err()).toBe('pairlay: REDIS_URL and REDIS_URL_FILE are both set\n')
    const wrong = run({ REDIS_URL_FILE: MAIN })
    expect(await wrong.exited).toBe(1)
    expect(wrong.err()).toMatch(/^pairlay: the text in REDIS_URL_FILE is not a URL such as [^\n]+\n$/)
  })

  test('ticks: a socket that does not attach is closed without anybody doing anything', async () => {
    const { url } = await start()
    const attacker = new WireSocket(url, 'A'.repeat(22))
    await attacker.opened()
    expect(await attacker.closed()).toEqual({ code: 4408, reason: 'attach_timeout' })
  })

  test('says which version it is', async () => {
    const { url } = await start()
    const { version } = (await call(url, 'GET', '/version')).json()
    expect(version).toMatch(/^\d+\.\d+\.\d+/)
  })

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`on ${signal} drains and exits with 0`, async () => {
      const { url, child, exited, out, err } = await start()
      const body = { clientId: 'c', senderCode: 'a-code' }
      const created = (await call(url, 'POST', '/v1/sessions', { body })).json<{ sessionId: string; token: string }>()
      const sender = await WireSocket.attach(url, created)
      child.kill(signal)
      expect(await sender.closed()).toEqual({ code: 1001, reason: 'going_away' })
      expect(sender.view).toMatchObject({ state: 'closed', reason: 'shutting_down' })
      expect(await exited).toBe(0)
      expect(out()).toContain('"msg":"stopped"')
      expect(err()).toBe('')
    })
  }

  test('on a unix socket believes what its proxy says, and takes the place of one that crashed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pairlay-socket-'))
    const LISTEN = `unix:${folder}/relay.sock`
    const first = run({ LISTEN, CREATE_FROM: '192.0.2.7' })
    while (!first.out().includes('the relay is ready')) await once(first.child.stdout ?? first.child, 'data')
    const second = run({ LISTEN })
    expect([await second.exited, second.err()]).toEqual([
      1,
      `pairlay: cannot listen on ${folder}/relay.sock: EADDRINUSE\n`,
    ])
    const create = (address: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const headers = { 'content-type': 'application/json', 'x-forwarded-for': address }
        const options = { socketPath: `${folder}/relay.sock`, path: '/v1/sessions', method: 'POST', headers }
        const sent = request(options, ({ statusCode }) => resolve(statusCode)).on('error', reject)
        sent.end(JSON.stringify({ clientId: 'c', senderCode: 'a-code' }))
      })
    expect([await create('192.0.2.8'), await create('192.0.2.7')]).toEqual([403, 201])
    first.child.kill('SIGKILL')
    await first.exited
    const third = run({ LISTEN })
    while (!third.out().includes('the relay is ready')) await once(third.child.stdout ?? third.child, 'data')
    await rm(folder, { recursive: true })
  })

  test.each([
    ['/none/relay.sock', 'there is no folder /none'],
    ['/etc/passwd', 'there is a file that is no socket'],
  ])('that cannot make the socket %s says why: %s', async (path, reason) => {
    const { exited, err } = run({ LISTEN: `unix:${path}` })
    expect([await exited, err()]).toEqual([1, `pairlay: cannot listen on ${path}: ${reason}\n`])
  })

  test('on a unix socket outlives attackers that begin wrong, or are too many', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pairlay-socket-'))
    const path = `${folder}/relay.sock`
    const { child, out, exited } = run({ LISTEN: `unix:${path}`, PROXY_PROTOCOL: 'on', MAX_CONNECTIONS: '1' })
    while (!out().includes('the relay is ready')) await once(child.stdout ?? child, 'data')
    const attack = () =>
      new Promise((resolve) => {
        const attacker = connect(path)
          .on('error', () => {})
          .on('close', resolve)
        attacker.resume().write('GET / HTTP/1.1\r\n\r\n')
      })
    await Promise.all(Array.from({ length: 80 }, attack))
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
    await rm(folder, { recursive: true })
  })

  /** A pair that is approved, and whose sender has a socket. */
  async function pair(url: string) {
    const body = { clientId: 'c', senderCode: 'a-code' }
    const sender = (await call(url, 'POST', '/v1/sessions', { body })).json<{ sessionId: string; token: string }>()
    const join = { senderCode: 'a-code', receiverCode: 'receiver', publicKey: 'A'.repeat(43) }
    const receiver = (await call(url, 'POST', '/v1/receivers', { body: join })).json<{ token: string }>()
    const path = `/v1/sessions/${sender.sessionId}/receivers/receiver`
    await call(url, 'PUT', `${path}/decision`, { token: sender.token, body: { decision: 'approved' } })
    return {
      socket: await WireSocket.attach(url, sender),
      end: () => call(url, 'DELETE', path, { token: receiver.token }),
      close: () => call(url, 'DELETE', `/v1/sessions/${sender.sessionId}`, { token: sender.token }),
    }
  }

  test('on SIGTERM lets a transfer end within DRAIN_SECONDS, and opens no session meanwhile', async () => {
    const { url, child, exited, err } = await start({ DRAIN_SECONDS: '600' })
    const { socket, end } = await pair(url)
    child.kill('SIGTERM')
    const ready = async () => (await call(url, 'GET', '/readyz')).status
    while ((await ready()) !== 503) await new Promise(setImmediate)
    const late = await call(url, 'POST', '/v1/sessions', { body: { clientId: 'c', senderCode: 'late' } })
    expect([late.status, late.problem().code]).toEqual([503, 'going_away'])
    expect(socket.view).toMatchObject({ state: 'open' })
    expect((await end()).status).toBe(204)
    expect(await exited).toBe(0)
    expect(err()).toBe('')
  })

  test('on a second SIGTERM ends at once', async () => {
    const { url, child, exited, out } = await start({ DRAIN_SECONDS: '600' })
    await pair(url)
    child.kill('SIGTERM')
    while (!out().includes('"msg":"draining"')) await once(child.stdout ?? child, 'data')
    child.kill('SIGTERM')
    expect(await exited).toBe(1)
  })

  test('as npm start takes a Ctrl-C and the copy of it from npm for one, and the next for a second', async () => {
    const { url, child, exited, out } = await start({ DRAIN_SECONDS: '600', npm_lifecycle_event: 'start' })
    const { socket } = await pair(url)
    child.kill('SIGINT')
    while (!out().includes('"msg":"draining"')) await once(child.stdout ?? child, 'data')
    child.kill('SIGINT')
    const ready = async () => (await call(url, 'GET', '/readyz')).status
    expect([await ready(), await ready(), socket.view?.state]).toEqual([503, 503, 'open'])
    child.kill('SIGINT')
    expect(await exited).toBe(1)
  })

  test.each(['SIGTERM', 'SIGINT'] as const)('as npm start hears of a %s that npm gets', async (signal) => {
    const npm = spawn('npm', ['start', '--silent'], { cwd: ROOT, env: { ...process.env, PORT: '0' } })
    for await (const text of npm.stdout.setEncoding('utf8')) if (text.includes('the relay is ready')) break
    npm.kill(signal)
    expect(await once(npm, 'exit')).toEqual([0, null])
  })

  test('serves metrics at a port of their own, and logs one line when a session ends', async () => {
    const { url, out, child } = await start({ METRICS_PORT: '0' })
    const port = /"metricsPort":(\d+)/.exec(out())?.[1]
    const { end, close } = await pair(url)
    await end()
    await close()
    while (!out().includes('a session has ended')) await once(child.stdout ?? child, 'data')
    const body = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    expect(body).toContain('\npairlay_receivers_total{outcome="done"} 1\n')
    expect((await call(url, 'GET', '/metrics')).status).toBe(404)
    const ends = out()
      .split('\n')
      .filter((line) => line.includes('a session has ended'))
    expect(ends.map((line) => JSON.parse(line))).toMatchObject([
      { level: 30, outcome: 'completed', size: 'up to 1 MiB', joins: 1, approved: 1, done: 1 },
    ])
  })

  test('on SIGTERM exits with 0 within its time, whatever stuck peers there are', async () => {
    const seconds = 5
    const { url, port, child, exited } = await start({ SHUTDOWN_TIMEOUT_SECONDS: String(seconds) })
    const body = { clientId: 'c', senderCode: 'a-code' }
    const created = (await call(url, 'POST', '/v1/sessions', { body })).json<{ sessionId: string; token: string }>()
    const attached = await WireSocket.attach(url, created)
    const unattached = new WireSocket(url, created.sessionId)
    await unattached.opened()
    // Sockets that read nothing any more, answer nothing, and do not close.
    for (const attacker of [attached, unattached]) attacker.socket.pause()
    const silent = [
      '',
      'GET /healthz HTTP/1.1\r\nhost:',
      'POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{',
    ]
    const attackers: Socket[] = []
    for (const text of silent) {
      const attacker = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {})
      attackers.push(attacker)
      await once(attacker, 'connect')
      attacker.write(text)
    }
    await call(url, 'GET', '/healthz')
    const began = performance.now()
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
    expect(performance.now() - began).toBeLessThan(seconds * 1000)
    for (const attacker of attackers) attacker.destroy()
    for (const attacker of [attached, unattached]) attacker.cut()
  })
})

describeRedis('the relay process with a Redis', () => {
  test('says when each outage begins and ends, and why, also when it is the same as before', async () => {
    const redis = await startRedis()
    const { url, child, exited, out, err } = await start({ REDIS_URL: redis.url })
    const ready = async () => (await call(url, 'GET', '/readyz')).status
    for (let outage = 0; outage < 2; outage++) {
      await redis.command('REPLICAOF', '127.0.0.1', '1')
      await expect.poll(ready).toBe(503)
      const away = () => out().split('"msg":"Redis is away').length - 1
      await expect.poll(away).toBe(outage + 1)
      await redis.command('REPLICAOF', 'NO', 'ONE')
      const back = () => out().split('"msg":"Redis is back').length - 1
      await expect.poll(back).toBe(outage + 1)
    }
    expect(out().split(/"reason":"[^"]*READONLY|"reason":"READONLY/).length - 1).toBeGreaterThanOrEqual(2)
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
    expect(err()).toBe('')
    await redis.stop()
  })
})

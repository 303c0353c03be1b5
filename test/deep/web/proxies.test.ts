import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type IncomingHttpHeaders, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { CLI } from '../../support/build.ts'
import { startChromium, WITHOUT_CHROMIUM } from '../browser/chromium.ts'
import { JsonProcess } from '../browser/processes.ts'
import { isInstalled } from '../cluster/balancer.ts'
import { PROXIES, type RunningProxy, startProxy } from '../cluster/proxies.ts'
import { file, Person } from './person.ts'

const PAGE = new URL('../../../dist/web/', import.meta.url)
const PHOTO = file('photo.jpg', 3_000_017)
/** Headers that belong to one connection, or to one answer. */
const OF_THE_WAY = ['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'date', 'server', 'x-request-id']

for (const proxy of PROXIES) {
  const isHere = isInstalled(proxy) || process.env.REQUIRE_ALL === '1'
  const reason = isHere ? '' : ` (skipped: there is no ${proxy.name} here)`

  describe.skipIf(!isHere)(`the page behind ${proxy.name}${reason}`, () => {
    const folder = mkdtempSync(join(tmpdir(), 'pairlay-behind-'))
    let relay: JsonProcess
    let port: number
    let browser: Browser | undefined
    /** Ended after the test, the last first. */
    const ends: (() => Promise<unknown>)[] = []

    beforeAll(async () => {
      relay = JsonProcess.relay({ CORS_ORIGINS: '', TRUST_PROXY: '127.0.0.1' })
      port = Number((await relay.line('msg', 'the relay is ready')).port)
      if (!WITHOUT_CHROMIUM && proxy.name !== 'apache2') browser = await startChromium()
    })
    afterAll(async () => {
      await browser?.close()
      await relay.kill()
      rmSync(folder, { recursive: true })
    })
    afterEach(async () => {
      for (const end of ends.splice(0).toReversed()) await end()
    })

    async function start(change?: (config: string) => string): Promise<RunningProxy['urls']> {
      const running = await startProxy(proxy, port, change)
      ends.push(() => running.stop())
      return running.urls
    }

    test('comes as the relay sends it, at the root and under a path: packed, with its policy, and 304 the second time', async () => {
      const urls = await start()
      const script = readdirSync(new URL('assets', PAGE)).find((name) => /^index-.*\.js$/.test(name))
      for (const path of ['/', `/assets/${script}`, '/page.json']) {
        for (const coding of ['br', 'gzip', 'identity']) {
          const direct = await get(`http://127.0.0.1:${port}${path}`, { 'accept-encoding': coding })
          for (const url of Object.values(urls)) {
            const answer = await get(url + path, { 'accept-encoding': coding })
            expect([answer.status, answer.headers]).toEqual([200, direct.headers])
            expect(answer.body.equals(direct.body)).toBe(true)
            const { etag } = direct.headers
            if (!etag) continue
            const again = await get(url + path, { 'accept-encoding': coding, 'if-none-match': etag })
            expect([again.status, again.headers.etag, again.body.length]).toEqual([304, etag, 0])
          }
        }
      }
    })

    test('under a path, the address without its slash leads to the one with it', async () => {
      const { path } = await start()
      const { status, headers } = await get(path)
      expect(status).toBe(301)
      expect(new URL(String(headers.location), path).href).toBe(`${path}/`)
    })

    test('pairlay verify finds nothing, and then the byte that the proxy has changed', async () => {
      for (const url of Object.values(await start()))
        expect(verify(url)).toEqual([0, expect.stringMatching(/unchanged/)])
      const bytes = readFileSync(new URL('index.html', PAGE))
      bytes[bytes.length >> 1] ^= 1
      const own = join(folder, 'index.html')
      writeFileSync(own, bytes)
      const urls = await start((config) => proxy.withOwnIndex(config, own))
      for (const url of Object.values(urls)) expect(verify(url)).toEqual([1, '/index.html has other bytes.\n'])
    })

    // Apache passes the same bytes; a browser behind a fourth proxy tells nothing new.
    describe.skipIf(WITHOUT_CHROMIUM || proxy.name === 'apache2')('in Chromium', () => {
      test.each([
        ['over WebSockets', (config: string) => config, []],
        ['over HTTP where it lets no upgrade pass', proxy.withoutUpgrades, ['No WebSocket passes here']],
      ] as const)('a file goes to the command line, and one comes from it, %s', async (way, change, notices) => {
        const { root, path } = await start(change)
        // nginx under a path, and the others at the root of a name: the page and the command line find their way from there.
        const url = proxy.name === 'nginx' ? path : root
        const into = join(folder, way)
        mkdirSync(into)

        const sender = await person(`${url}/`)
        await sender.choose(PHOTO)
        const receiving = cli(url, 'receive', await sender.getCode(), '--into', into)
        await sender.pick(String((await receiving.event('number')).matchNumber).replace(/\D/g, ''))
        await sender.reads('Delivered: it has everything')
        for (const notice of notices) await sender.reads(notice)
        expect(readFileSync(join(into, PHOTO.name)).equals(PHOTO.buffer)).toBe(true)

        const receiver = await person(`${url}/`)
        const sending = cli(url, 'send', join(into, PHOTO.name))
        await receiver.join(String((await sending.event('code')).code))
        expect((await receiver.save(1)).get(PHOTO.name)?.equals(PHOTO.buffer)).toBe(true)
        expect(await sending.ended).toBe(0)

        const problems = [...sender.problems, ...receiver.problems]
        const sockets = problems.filter((problem) => problem.startsWith('WebSocket connection to'))
        expect(sockets.length > 0).toBe(notices.length > 0)
        expect(problems.filter((problem) => !sockets.includes(problem))).toEqual([])
      })

      async function person(url: string): Promise<Person> {
        if (!browser) throw new Error('there is no browser')
        const opened = await Person.at(browser, url)
        ends.push(() => opened.close())
        return opened
      }

      function cli(url: string, ...args: string[]): JsonProcess {
        const started = JsonProcess.cli(url, args)
        ends.push(() => started.kill())
        return started
      }
    })
  })
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** Asks without unpacking, remembering or following anything. */
function get(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers, agent: false }, async (response) => {
      const kept = Object.entries(response.headers).filter(([name]) => !OF_THE_WAY.includes(name))
      const body = Buffer.concat(await response.toArray())
      resolve({ status: response.statusCode ?? 0, headers: Object.fromEntries(kept), body })
    })
    asked.on('error', reject)
    asked.end()
  })
}

/** `pairlay verify`: its exit code, and what it says. */
function verify(url: string): [code: number | null, said: string] {
  const { status, stdout } = spawnSync(process.execPath, [CLI, 'verify', url], { encoding: 'utf8' })
  return [status, stdout]
}

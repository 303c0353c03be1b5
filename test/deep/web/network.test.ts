import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CuttingProxy } from '../../support/cutting-proxy.ts'
import { hasRedis, startRedis } from '../../support/redis-server.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'
import { EXECUTABLE, startChromium, WITHOUT_CHROMIUM } from '../browser/chromium.ts'
import { JsonProcess } from '../browser/processes.ts'
import { file, Person, pair } from './person.ts'

const LARGE = file('large.bin', 40_000_000)
const FOLDER = mkdtempSync(join(tmpdir(), 'pairlay-network-'))
const PATH = join(FOLDER, LARGE.name)
/** Has a relay whose clock runs ten times as fast: it takes a minute and a quarter to know that a client is gone. */
const HASTY = {
  NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(
    'const real = performance.now.bind(performance); performance.now = () => 10 * real()',
  )}`,
}

describe.skipIf(WITHOUT_CHROMIUM)('a page on a network that is not as it should be', () => {
  let browser: Browser
  /** Ended after the test, the last first. */
  let ends: (() => Promise<unknown>)[]

  beforeAll(async () => {
    writeFileSync(PATH, LARGE.buffer)
    browser = await startChromium()
  })
  afterAll(async () => {
    await browser?.close()
    rmSync(FOLDER, { recursive: true, force: true, maxRetries: 5 })
  })

  beforeEach(() => {
    ends = []
  })

  afterEach(async () => {
    for (const end of ends.reverse()) await end()
    for (const context of browser.contexts()) await context.close()
  })

  async function relay(env: Readonly<Record<string, string>> = {}): Promise<{ port: number; relay: JsonProcess }> {
    const started = JsonProcess.relay({ ALLOWED_HOSTS: '*', ...env })
    ends.push(() => started.kill())
    const { port } = await started.line('msg', 'the relay is ready')
    return { port: Number(port), relay: started }
  }

  async function throughProxy(): Promise<CuttingProxy> {
    const proxy = await CuttingProxy.start((await relay()).port)
    ends.push(() => proxy.close())
    return proxy
  }

  const two = (url: string) => Promise.all([Person.at(browser, url), Person.at(browser, url)])

  async function arrivesWhole(sender: Person, receiver: Person): Promise<void> {
    const saved = await receiver.save(1)
    expect(saved.get(LARGE.name)?.equals(LARGE.buffer)).toBe(true)
    await sender.reads('Delivered: it has everything')
  }

  test('cut again and again: everything arrives', async () => {
    const proxy = await throughProxy()
    const [sender, receiver] = await two(`${proxy.url}/`)
    await sender.choosePath(PATH)
    await pair(sender, receiver)
    proxy.cutEvery(9_000_000)
    await arrivesWhole(sender, receiver)
    expect(proxy.cuts).toBeGreaterThan(3)
  })

  test('without a WebSocket: it says so, and goes on over HTTP', async () => {
    const proxy = await throughProxy()
    proxy.refusesSockets = true
    const [sender, receiver] = await two(`${proxy.url}/`)
    await sender.choose(file('notes.txt', 'hello'))
    await pair(sender, receiver)
    for (const person of [sender, receiver]) await person.reads('No WebSocket passes here, so it goes on more slowly.')
    expect((await receiver.save(1)).get('notes.txt')?.toString()).toBe('hello')
    await sender.reads('Delivered: it has everything')
  })

  test.skipIf(!hasRedis && process.env.REQUIRE_ALL !== '1')(
    'a relay that is killed, with Redis behind it',
    async () => {
      const redis = await startRedis()
      ends.push(() => redis.stop())
      const first = await relay({ REDIS_URL: redis.url })
      let { port } = first
      const proxy = await TcpProxy.start({ ports: () => [port] })
      ends.push(() => proxy.close())
      const [sender, receiver] = await two(`${proxy.url}/`)
      await sender.choosePath(PATH)
      await pair(sender, receiver)
      const saved = arrivesWhole(sender, receiver)
      await hasBegun(sender)
      await first.relay.kill()
      for (const person of [sender, receiver]) await person.reads('Connection lost. Trying again …')
      port = (await relay({ REDIS_URL: redis.url })).port
      await saved
    },
  )

  test('a relay that has forgotten the session: both sides say it', async () => {
    const first = await relay()
    let { port } = first
    const proxy = await TcpProxy.start({ ports: () => [port] })
    ends.push(() => proxy.close())
    const [sender, receiver] = await two(`${proxy.url}/`)
    await sender.choosePath(PATH)
    await pair(sender, receiver)
    await first.relay.kill()
    port = (await relay()).port
    for (const person of [sender, receiver]) await person.sees('The relay forgot this session')
  })

  test('a tab that the system has stopped: the other waits, and it goes on', async () => {
    const url = `http://127.0.0.1:${(await relay(HASTY)).port}/`
    const profile = join(FOLDER, 'profile')
    const args = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run']
    const options = { executablePath: EXECUTABLE, args, acceptDownloads: true, locale: 'en-US' }
    const context = await chromium.launchPersistentContext(profile, options)
    ends.push(() => context.close())
    const [sender, receiver] = [await Person.at(browser, url), await Person.in(context, url)]
    await sender.choosePath(PATH)
    await pair(sender, receiver)
    await receiver.page.locator('.transfer.asked button.main').click()
    await hasBegun(sender)
    const tabs = renderersOf(profile)
    for (const pid of tabs) process.kill(pid, 'SIGSTOP')
    try {
      await sender.reads('The other device is not connected.')
    } finally {
      for (const pid of tabs) process.kill(pid, 'SIGCONT')
    }
    await sender.reads('Delivered: it has everything')
  })

  test('Stop while the other device is away: said at once, over when that is back', async () => {
    const url = `http://127.0.0.1:${(await relay()).port}/`
    const into = join(FOLDER, 'into')
    mkdirSync(into)
    const sender = await Person.at(browser, url)
    await sender.choosePath(PATH)
    const receiving = JsonProcess.cli(url, ['receive', await sender.getCode(), '--into', into])
    ends.push(() => receiving.kill())
    const { matchNumber } = await receiving.event('number')
    await sender.pick(String(matchNumber).replace(/\D/g, ''))
    await hasBegun(sender)
    receiving.signal('SIGSTOP')
    await sender.press('Stop')
    await sender.page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click()
    await sender.reads('Stopping. It is over when the other device has heard of it …')
    receiving.signal('SIGCONT')
    await sender.reads('Stopped here.')
  })
})

/** Waits until some bytes have arrived at the other device. */
async function hasBegun({ page }: Person): Promise<void> {
  await page.waitForFunction(() => Number(document.querySelector('progress')?.value) > 0)
}

/** Processes that run the tabs of the browser that has this profile. */
function renderersOf(profile: string): number[] {
  const parents = new Map<number, number>()
  const commands = new Map<number, string>()
  for (const name of readdirSync('/proc').filter((each) => /^\d+$/.test(each))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]))
      commands.set(Number(name), readFileSync(`/proc/${name}/cmdline`, 'utf8'))
    } catch {
      // A process that has ended.
    }
  }
  const isOfProfile = (pid: number | undefined): boolean =>
    pid !== undefined && (commands.get(pid)?.includes(profile) === true || isOfProfile(parents.get(pid)))
  return [...commands].flatMap(([pid, line]) => (line.includes('--type=renderer') && isOfProfile(pid) ? [pid] : []))
}

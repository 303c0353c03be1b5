import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { build, type PreviewServer, preview } from 'vite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { bytesSource, PairingError, Receiver, Sender, save, type Transfers } from '../../../src/client/index.ts'
import { PartialFolder } from '../../../src/node/index.ts'
import { type RunningRelay, startRelay } from '../../support/server.ts'
import { startChromium, WITHOUT_CHROMIUM } from './chromium.ts'
import { blocksOf, type Content } from './content.ts'

const APP = fileURLToPath(new URL('keeping-app.ts', import.meta.url))
const MIB = 1024 * 1024
const FILM: Content = { bytes: 12 * MIB + 5, seed: 9 }
const bytes = Buffer.concat([...blocksOf(FILM)])
const digest = createHash('sha256').update(bytes).digest('hex')

if (WITHOUT_CHROMIUM) process.stderr.write(`\nAn app that keeps files is not tried: ${WITHOUT_CHROMIUM}\n`)

describe.skipIf(WITHOUT_CHROMIUM)('an app with pairlay/browser', () => {
  let directory: string
  let site: PreviewServer
  let browser: Browser
  let relay: RunningRelay
  let context: BrowserContext
  let page: Page
  const problems: string[] = []

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pairlay-keeping-'))
    await writeFile(join(directory, 'index.html'), '<!doctype html><script type="module" src="./app.ts"></script>')
    // As the app of somebody who has installed the package.
    await symlink(APP, join(directory, 'app.ts'))
    const options = { root: directory, configFile: false, logLevel: 'error' } as const
    await build({ ...options, build: { target: 'es2023' } })
    site = await preview({ ...options, preview: { host: '127.0.0.1', port: 0 } })
    relay = await startRelay({ corsOrigins: ['*'] })
    browser = await startChromium()
  })

  afterAll(async () => {
    await browser?.close()
    await site?.close()
    await relay?.close()
    await rm(directory, { recursive: true, force: true })
  })

  beforeEach(async () => {
    context = await browser.newContext()
    page = await open()
  })

  afterEach(async () => {
    await context.close()
    expect(problems).toEqual([])
  })

  async function open(): Promise<Page> {
    const opened = await context.newPage()
    opened.on('pageerror', (error) => problems.push(String(error)))
    await opened.goto(site.resolvedUrls?.local[0] ?? '')
    await opened.waitForFunction(() => globalThis.app !== undefined)
    return opened
  }

  /** Sends to the page, which leaves after so many bytes. Resolves with what it took, and what it had before. */
  async function sendTo(content: Uint8Array, transfers: Transfers, leavesAfter: number) {
    const sender = await Sender.open({ relay: relay.url })
    const plan = { relay: relay.url, code: sender.code, leavesAfter }
    const taking = page.evaluate(({ relay, code, leavesAfter }) => app.take(relay, code, leavesAfter), plan)
    for await (const request of sender.requests()) await request.approve()
    const source = { ...bytesSource(content, 'film.mkv'), key: 'film' }
    const [receipt] = await sender.send([source], { transfers })
    await sender.close()
    return { delivered: receipt?.delivered, took: await taking }
  }

  test('receives a file that was cut, goes on with it after a reload, and has it until it is removed', async () => {
    const transfers = inMemory()
    expect(await sendTo(bytes, transfers, 5 * MIB)).toMatchObject({ delivered: false })
    const [half] = await page.evaluate(() => app.kept())
    expect(half).toMatchObject({ isComplete: false, entries: [{ path: 'film.mkv', size: FILM.bytes }] })
    expect(half?.bytes).toBeGreaterThan(MIB)

    await page.reload()
    const { delivered, took } = await sendTo(bytes, transfers, Number.MAX_SAFE_INTEGER)
    expect({ delivered, took }).toEqual({ delivered: true, took: { had: half?.bytes, files: { 'film.mkv': digest } } })
    await page.reload()
    const [whole] = await page.evaluate(() => app.kept())
    expect(whole).toMatchObject({ isComplete: true, bytes: FILM.bytes, token: half?.token })
    expect(await page.evaluate(() => app.tokens())).toEqual([])
    await page.evaluate((token) => app.remove(token), whole?.token ?? '')
    expect(await page.evaluate(() => app.kept())).toEqual([])
  })

  test('sends a file that was cut, and goes on where the other device is after a reload', async () => {
    const folder = await mkdtemp(join(directory, 'files-'))
    const partials = new PartialFolder({ directory: folder })
    /** Takes what the page sends, and leaves after so many bytes. */
    async function take(leavesAfter: number): Promise<unknown> {
      const code = await page.evaluate((plan) => app.send(plan.relay, plan.content), {
        relay: relay.url,
        content: FILM,
      })
      const receiver = await Receiver.join({ relay: relay.url, code })
      const onProgress = ({ bytes: taken }: { bytes: number }) => void (taken > leavesAfter && receiver.close())
      try {
        for await (const offer of receiver.offers()) await save(offer, partials, { onProgress })
      } catch (error) {
        if (!(error instanceof PairingError)) throw error
      }
      return page.evaluate(() => app.sent())
    }
    expect(await take(5 * MIB)).toBe('not_delivered')
    await page.reload()
    expect(await take(Number.POSITIVE_INFINITY)).toBeGreaterThan(MIB)
    expect(await readdir(folder)).toEqual(['film.mkv'])
    expect((await readFile(join(folder, 'film.mkv'))).equals(bytes)).toBe(true)
  })

  test('in two pages has a transfer in one of them, and the other is told', async () => {
    const transfers = inMemory()
    await sendTo(bytes, transfers, 5 * MIB)
    const [token = ''] = await page.evaluate(() => app.tokens())
    expect(await page.evaluate((each) => app.open(each), token)).toBe('opened')
    const other = await open()
    expect(await other.evaluate(() => app.tokens())).toEqual([])
    const refused = await other.evaluate((each) => app.open(each), token)
    expect(refused).toBe('InvalidStateError: Another page has this transfer.')
    await page.close()
    expect(await other.evaluate((each) => app.open(each), token)).toBe('opened')
  })

  test('keeps nothing of less than 1 MiB that was cut', async () => {
    const small = bytes.subarray(0, MIB - 1)
    expect(await sendTo(small, inMemory(), MIB / 2)).toMatchObject({ delivered: false })
    expect(await page.evaluate(() => app.tokens())).toEqual([])
  })

  test('knows how much room there is, and that there is none where the worker cannot be loaded', async () => {
    expect(await page.evaluate(() => app.room())).toBeGreaterThan(MIB)
    expect(await page.evaluate(() => app.roomWithoutWorker())).toBeUndefined()
  })
})

/** A sender's tokens, for as long as the test runs. */
function inMemory(): Transfers {
  const tokens = new Set<string>()
  return {
    tokensOf: async () => [...tokens],
    put: async (token) => void tokens.add(token),
    remove: async (token) => void tokens.delete(token),
  }
}

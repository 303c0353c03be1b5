import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, chromium } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { FACTOR, Random } from '../../support/random.ts'
import { EXECUTABLE, WITHOUT_CHROMIUM } from '../browser/chromium.ts'
import { JsonProcess } from '../browser/processes.ts'
import { Person } from './person.ts'

const MB = 1_000_000
/** Above 64 MB the page keeps what comes in its storage. */
const TO_PAGE_BYTES = 70 * MB
const TO_CLI_BYTES = 40 * MB
/** Bytes that may have been taken and were not written yet when it was cut. */
const SLACK_BYTES = 8 * MB

/** Cut points, in percent of the whole. ABUSE_SEED has others, ABUSE_RUNS more. */
const random = new Random('web resume')
const points = () => Array.from({ length: FACTOR }, () => 25 + random.below(40))

describe.skipIf(WITHOUT_CHROMIUM)('a transfer that is cut goes on', () => {
  let relay: JsonProcess
  let url: string
  let folder: string
  let context: BrowserContext
  let page: Person
  let clis: JsonProcess[] = []

  beforeAll(async () => {
    relay = JsonProcess.relay()
    const { port } = await relay.line('msg', 'the relay is ready')
    url = `http://127.0.0.1:${port}/`
  })

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'pairlay-web-resume-'))
    const args = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run']
    context = await chromium.launchPersistentContext(join(folder, 'profile'), {
      executablePath: EXECUTABLE,
      args,
      locale: 'en-US',
    })
    page = await Person.in(context, url)
    // Leaving in the middle is what is meant.
    page.page.on('dialog', (dialog) => void dialog.accept())
  })

  afterEach(async () => {
    await context?.close()
    for (const cli of clis) await cli.kill()
    clis = []
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    expect(page.problems).toEqual([])
  })

  afterAll(() => relay?.kill())

  function cli(...args: string[]): JsonProcess {
    const started = JsonProcess.cli(url, args, { env: { XDG_STATE_HOME: join(folder, 'state') } })
    clis.push(started)
    return started
  }

  /** A file of pseudo-random bytes, and its digest. */
  function film(bytes: number): { path: string; sha256: string } {
    const block = createHash('shake256', { outputLength: 1_048_573 }).update('film').digest()
    const content = Buffer.alloc(bytes, block)
    const path = join(folder, 'film.mkv')
    writeFileSync(path, content)
    return { path, sha256: digestOf(content) }
  }

  /** Waits until a part of what runs is done, as the page shows it. */
  async function reached(bytes: number): Promise<void> {
    await page.page.waitForFunction((least) => Number(document.querySelector('progress')?.value) >= least, bytes)
  }

  async function takeFromCli(path: string): Promise<JsonProcess> {
    const sending = cli('send', path)
    const { code } = await sending.event('code')
    await page.join(String(code))
    await page.page.locator('.transfer.asked button.main').click()
    return sending
  }

  async function leave(): Promise<void> {
    await page.press('Leave')
    await page.page.getByRole('dialog').getByRole('button', { name: 'Leave' }).click()
    await page.sees('Hand something')
  }

  test.each([
    ...points().map((percent) => ['the command line is killed', percent] as const),
    ...points().map((percent) => ['the page is reloaded', percent] as const),
  ])('command line to page: %s, at %i %', async (how, percent) => {
    const { path, sha256 } = film(TO_PAGE_BYTES)
    const cut = (percent * TO_PAGE_BYTES) / 100
    const first = await takeFromCli(path)
    await reached(cut)
    if (how === 'the page is reloaded') await page.page.reload()
    await first.kill()
    if (how === 'the command line is killed') await leave()
    await page.reads('Send it again and it goes on from there.')
    const second = await takeFromCli(path)
    const { hasBytes } = await second.event('answer')
    expect(hasBytes).toBeGreaterThan(cut - SLACK_BYTES)
    expect(await second.ended).toBe(0)
    await page.reads('Your browser is putting it into its downloads.')
    await expect.poll(() => page.downloads.length).toBe(1)
    const [download] = page.downloads
    expect(digestOf(readFileSync((await download?.path()) ?? ''))).toBe(sha256)
  })

  /** The page sends to the command line, which takes it. */
  async function giveToCli(path: string, into: string): Promise<JsonProcess> {
    await page.choosePath(path)
    const receiving = cli('receive', await page.getCode(), '--into', into)
    const { matchNumber } = await receiving.event('number')
    await page.pick(String(matchNumber).replace(/\D/g, ''))
    return receiving
  }

  test.each([
    ...points().map((percent) => ['the command line is killed', percent] as const),
    ...points().map((percent) => ['the page is reloaded', percent] as const),
  ])('page to command line: %s, at %i %, and the same file is chosen again', async (how, percent) => {
    const { path, sha256 } = film(TO_CLI_BYTES)
    const into = join(folder, 'into')
    mkdirSync(into)
    const cut = (percent * TO_CLI_BYTES) / 100
    const first = await giveToCli(path, into)
    await reached(cut)
    if (how === 'the page is reloaded') await page.page.reload()
    await first.kill()
    if (how === 'the command line is killed') await leave()
    const second = await giveToCli(path, into)
    const { totalBytes } = await second.event('checking')
    expect(totalBytes).toBeGreaterThan(cut - SLACK_BYTES)
    await page.reads('Delivered: it has everything')
    expect(digestOf(readFileSync(join(into, 'film.mkv')))).toBe(sha256)
    // Nothing that was confirmed is remembered.
    const sent = () =>
      page.page.evaluate(async () => {
        const root = await (await navigator.storage.getDirectory()).getDirectoryHandle('pairlay')
        const names: string[] = []
        for await (const name of (await root.getDirectoryHandle('sent')).keys()) names.push(name)
        return names
      })
    await expect.poll(sent).toEqual([])
  })
})

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

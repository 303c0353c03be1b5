import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { build, type PreviewServer, preview } from 'vite'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Random } from '../../support/random.ts'
import { example } from '../examples/programs.ts'
import { startChromium, WITHOUT_CHROMIUM } from './chromium.ts'
import { JsonProcess } from './processes.ts'

const EXAMPLES = fileURLToPath(new URL('../../../examples', import.meta.url))
const FILE = new Random('the page of the examples').bytes(1_500_000)

if (WITHOUT_CHROMIUM) process.stderr.write(`\nThe page of the examples is not tried: ${WITHOUT_CHROMIUM}\n`)

describe.skipIf(WITHOUT_CHROMIUM)('the page of the examples in Chromium', () => {
  let directory: string
  let site: PreviewServer
  let app: PreviewServer
  let browser: Browser
  let relay: JsonProcess
  let relayUrl: string
  const problems: string[] = []
  /** Every address that a page asked for, but for the relay's. */
  const asked: string[] = []

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pairlay-page-'))
    relay = JsonProcess.relay()
    site = await served('page')
    app = await served('app')
    browser = await startChromium()
    relayUrl = `http://127.0.0.1:${(await relay.line('msg', 'the relay is ready')).port}`
  })

  afterAll(async () => {
    await browser?.close()
    await site?.close()
    await app?.close()
    await relay?.kill()
    await rm(directory, { recursive: true, force: true })
  })

  afterEach(() => {
    expect(problems).toEqual([])
    const origins = [site, app].flatMap(({ resolvedUrls }) => resolvedUrls?.local ?? [])
    expect(asked.filter((url) => !origins.some((origin) => url.startsWith(origin)))).toEqual([])
  })

  /** Serves a page as the README of the examples builds it, but from another folder. */
  async function served(name: string): Promise<PreviewServer> {
    const options = {
      root: join(EXAMPLES, name),
      configFile: false,
      logLevel: 'error',
      build: { outDir: join(directory, name) },
    } as const
    await build({ ...options, build: { ...options.build, emptyOutDir: true } })
    return preview({ ...options, preview: { host: '127.0.0.1', port: 0 } })
  }

  async function open(from = site): Promise<Page> {
    const page = await (await browser.newContext()).newPage()
    page.on('pageerror', (error) => problems.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text())
    })
    page.on('request', (request) => {
      if (!request.url().startsWith(relayUrl)) asked.push(request.url())
    })
    await page.goto(from.resolvedUrls?.local[0] ?? '')
    await page.getByLabel('Relay').fill(relayUrl)
    return page
  }

  /** Words that the status of a page begins with, and what follows them. */
  async function said(page: Page, words: string): Promise<string> {
    const status = page.locator('#status', { hasText: words })
    await status.waitFor()
    return (await status.textContent())?.slice(words.length).trim() ?? ''
  }

  async function approve(page: Page, number: string): Promise<void> {
    await page.getByLabel('Number that').fill(number)
    await page.getByRole('button', { name: 'Approve' }).click()
  }

  async function enter(page: Page, code: string): Promise<string> {
    await page.getByLabel('Code').fill(code)
    await page.getByRole('button', { name: 'Receive' }).click()
    return said(page, 'Number:')
  }

  test('hands a text and then a file to another page, once the number was typed', async () => {
    const [from, to] = [await open(), await open()]
    const text = '<b>not markup</b> & ümlaut'
    await from.getByLabel('Or a text').fill(text)
    await from.getByRole('button', { name: 'Send' }).click()
    await approve(from, await enter(to, await said(from, 'Code:')))
    await to.getByRole('button', { name: 'Take' }).click()
    await said(from, 'Delivered.')
    expect(await to.locator('#received pre').textContent()).toBe(text)
    await said(to, 'The sender said goodbye.')

    await from.getByLabel('File').setInputFiles({ name: 'photo.jpg', mimeType: 'image/jpeg', buffer: FILE })
    await from.getByRole('button', { name: 'Send' }).click()
    await approve(from, await enter(to, await said(from, 'Code:')))
    await to.getByRole('button', { name: 'Take' }).click()
    await said(from, 'Delivered.')
    const downloading = to.waitForEvent('download')
    await to.getByRole('link', { name: 'photo.jpg' }).click()
    const download = await downloading
    expect(download.suggestedFilename()).toBe('photo.jpg')
    expect((await readFile(await download.path())).equals(FILE)).toBe(true)
  })

  test('hands a file to the CLI, and takes one from it', async () => {
    const page = await open()
    await page.getByLabel('File').setInputFiles({ name: 'photo.jpg', mimeType: 'image/jpeg', buffer: FILE })
    await page.getByRole('button', { name: 'Send' }).click()
    const output = await mkdtemp(join(directory, 'files-'))
    const receiving = JsonProcess.cli(relayUrl, ['receive', await said(page, 'Code:'), '-o', output])
    await approve(page, String((await receiving.event('number')).matchNumber))
    await said(page, 'Delivered.')
    expect(await receiving.ended).toBe(0)
    expect(await readdir(output)).toEqual(['photo.jpg'])
    expect((await readFile(join(output, 'photo.jpg'))).equals(FILE)).toBe(true)

    await writeFile(join(output, 'letter'), 'Dear page')
    const sending = JsonProcess.cli(relayUrl, ['send', join(output, 'letter')])
    await enter(page, String((await sending.event('code')).code))
    await page.getByRole('button', { name: 'Take' }).click()
    await said(page, 'The sender said goodbye.')
    expect(await page.getByRole('link', { name: 'letter' }).count()).toBe(1)
    expect(await sending.ended).toBe(0)
  })

  test('of docs/integrate.md pairs with the program of it, and texts go both ways', async () => {
    const page = await open(app)
    const says = async (words: RegExp) => {
      const said = page.locator('#said')
      await expect.poll(() => said.textContent()).toMatch(words)
      return words.exec((await said.textContent()) ?? '')?.[1] ?? ''
    }
    const types = async (text: string) => {
      await page.getByLabel('Text').fill(text)
      await page.getByRole('button', { name: 'OK' }).click()
    }
    await page.getByRole('button', { name: 'Pair' }).click()
    const terminal = example('app/terminal.mjs', [relayUrl, await says(/Code: (\S+)/)])
    const [, number = ''] = await terminal.says(/Number: (.+)/)
    await says(/(Number that the other device shows)/)
    await types(number)
    await terminal.says('Paired.')
    await says(/(Paired)/)
    await types('<b>from the page</b>')
    await terminal.says('It says: <b>from the page</b>')
    await terminal.write('<b>from the terminal</b>\n')
    await says(/It says: (<b>from the terminal<\/b>)/)
    terminal.endStdin()
    expect((await terminal.ended()).exitCode).toBe(0)
  })

  test('hands nothing over to a device that is refused, and none takes what it declines', async () => {
    const [from, to] = [await open(), await open()]
    await from.getByLabel('Or a text').fill('secret')
    await from.getByRole('button', { name: 'Send' }).click()
    await enter(to, await said(from, 'Code:'))
    await from.getByRole('button', { name: 'Not my device' }).click()
    await said(from, 'No device was approved.')
    await said(to, 'The relay says that the sender denied this device.')

    await from.getByRole('button', { name: 'Send' }).click()
    await approve(from, await enter(to, await said(from, 'Code:')))
    await to.getByRole('button', { name: 'Decline' }).click()
    await said(from, 'The other side declined.')
    expect(await to.locator('#received li').count()).toBe(0)
  })
})

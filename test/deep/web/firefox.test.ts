import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startChromium, WITHOUT_CHROMIUM } from '../browser/chromium.ts'
import { startFirefox, WITHOUT_FIREFOX } from '../browser/firefox.ts'
import { JsonProcess } from '../browser/processes.ts'
import { Company } from './company.ts'
import { type Chosen, file, type Person, pair } from './person.ts'

const PHOTO = file('photo.jpg', 3_000_017)
/** More than the page holds in memory. */
const LARGE = file('large.bin', 70_000_000)
const WITHOUT = WITHOUT_FIREFOX ?? WITHOUT_CHROMIUM

if (WITHOUT) process.stderr.write(`\nThe page is not tried in Firefox: ${WITHOUT}\n`)

describe.skipIf(WITHOUT)('the page in Firefox', () => {
  let firefox: Browser
  let chromium: Browser
  let relay: JsonProcess
  let url: string
  const folder = mkdtempSync(join(tmpdir(), 'pairlay-firefox-'))
  const downloads = join(folder, 'downloads')
  const company = new Company()

  beforeAll(async () => {
    relay = JsonProcess.relay({ CORS_ORIGINS: '' })
    ;[firefox, chromium] = await Promise.all([startFirefox(downloads), startChromium()])
    url = `http://127.0.0.1:${(await relay.line('msg', 'the relay is ready')).port}/`
  })

  afterAll(async () => {
    await Promise.all([firefox?.close(), chromium?.close(), relay?.kill()])
    rmSync(folder, { recursive: true })
  })

  afterEach(() => company.leave())

  // Firefox has no permission to ask for.
  const at = (browser: Browser) => company.person(browser, url, browser === firefox ? { permissions: [] } : {})
  const cli = (...args: string[]) => company.command(url, ...args)

  /** Takes what is offered, and looks at what comes. Playwright does not hear of a download of Firefox that a script began. */
  async function takes(person: Person, { name, buffer }: Chosen): Promise<void> {
    if (person.page.context().browser() === chromium) {
      expect((await person.save(1)).get(name)?.equals(buffer)).toBe(true)
      return
    }
    await person.page.locator('.transfer.asked button.main').click()
    const path = join(downloads, name)
    await expect.poll(() => existsSync(path) && readFileSync(path).equals(buffer)).toBe(true)
  }

  test('a file goes to the command line', async () => {
    const page = await at(firefox)
    await page.choose(PHOTO)
    const receiving = cli('receive', await page.getCode(), '--into', folder)
    const { matchNumber } = await receiving.event('number')
    await page.pick(String(matchNumber).replace(/\D/g, ''))
    await page.reads('Delivered: it has everything')
    expect(readFileSync(join(folder, PHOTO.name)).equals(PHOTO.buffer)).toBe(true)
  })

  test('a file that memory would not hold comes from the command line by way of the storage of the browser', async () => {
    const path = join(folder, LARGE.name)
    writeFileSync(path, LARGE.buffer)
    const sending = cli('send', path)
    const page = await at(firefox)
    await page.join(String((await sending.event('code')).code))
    await page.reads('It is kept in this browser until it is complete')
    await takes(page, LARGE)
    expect(await kept(page)).toHaveLength(1)
    await page.press('Done')
    await expect.poll(() => kept(page)).toEqual([])
    expect(await sending.ended).toBe(0)
  })

  test('one code pairs it with Chromium, each once the sender: its number is chosen, files and texts go both ways', async () => {
    for (const [from, to] of [
      [firefox, chromium],
      [chromium, firefox],
    ] as const) {
      const [sender, receiver] = await Promise.all([at(from), at(to)])
      const there = file(`there-${from.browserType().name()}.bin`, 3_000_017)
      const back = file(`back-${from.browserType().name()}.txt`, 'and back')
      await sender.choose(there)
      await pair(sender, receiver)
      await takes(receiver, there)
      await sender.reads('Delivered: it has everything')
      await receiver.choose(back)
      await takes(sender, back)
      await sender.press('Write a text')
      await sender.page.getByLabel('Text to send').fill('Grüße aus der 名 🏞️')
      await sender.press('Send')
      await receiver.press('Show it')
      await receiver.reads('Grüße aus der 名 🏞️')
      await receiver.press('Leave')
      await sender.sees('The other device has left')
    }
  })
})

/** Names in the page's storage on the disk. */
function kept({ page }: Person): Promise<string[]> {
  return page.evaluate(async () => {
    const root = await navigator.storage.getDirectory()
    const folder = await root.getDirectoryHandle('pairlay', { create: true })
    const names: string[] = []
    for await (const name of (folder as unknown as { keys(): AsyncIterable<string> }).keys()) names.push(name)
    return names
  })
}

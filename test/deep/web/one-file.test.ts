import { hash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Browser } from 'playwright-core'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startChromium, WITHOUT_CHROMIUM } from '../browser/chromium.ts'
import { JsonProcess } from '../browser/processes.ts'
import { file, Person, pair } from './person.ts'

const PAGE = new URL('../../../dist/pairlay.html', import.meta.url)
const PHOTO = file('photo.jpg', 3_000_017)

describe.skipIf(WITHOUT_CHROMIUM)('the page that is one file, opened from the disk', () => {
  let browser: Browser
  let relay: JsonProcess
  let address: string

  beforeAll(async () => {
    relay = JsonProcess.relay({ CORS_ORIGINS: 'null' })
    const { port } = await relay.line('msg', 'the relay is ready')
    address = `http://127.0.0.1:${port}`
    browser = await startChromium()
  })

  afterAll(async () => {
    await browser?.close()
    await relay?.kill()
  })

  test('sends a file to another, over a relay whose CORS_ORIGINS names null', async () => {
    const people = await Promise.all([Person.at(browser, PAGE.href), Person.at(browser, PAGE.href)])
    const [sender, receiver] = people
    for (const { page } of people) await page.getByLabel('Relay').fill(address)
    await sender.choose(PHOTO)
    await pair(sender, receiver)
    const saved = await receiver.save(1)
    expect(saved.get('photo.jpg')?.equals(PHOTO.buffer)).toBe(true)
    await sender.reads('Delivered: it has everything')
    const problems = people.flatMap((person) => person.problems)
    for (const person of people) await person.close()
    expect(problems.filter((each) => each !== `a request to ${address}`)).toEqual([])
  })

  test('begins with the relay that a meta element in it names', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'pairlay-handed-on-'))
    const path = join(folder, 'pairlay.html')
    const own = `<meta name="relay" content="${address}" /></head>`
    writeFileSync(path, readFileSync(PAGE, 'utf8').replace('</head>', own))
    const person = await Person.at(browser, pathToFileURL(path).href)
    expect(await person.page.getByLabel('Relay').inputValue()).toBe(address)
    expect(person.problems).toEqual([])
    await person.close()
    rmSync(folder, { recursive: true })
  })

  test('allows its own script and style by their digests, and is all that it takes', () => {
    const html = readFileSync(fileURLToPath(PAGE), 'utf8')
    const [policy = ''] = /default-src[^"]*/.exec(html) ?? []
    for (const tag of ['script', 'style']) {
      const [, inside = ''] = new RegExp(`<${tag}[^>]*>(.*?)</${tag}>`, 's').exec(html) ?? []
      expect(policy).toContain(`${tag}-src 'sha256-${hash('sha256', inside, 'base64')}'`)
    }
    expect(html).not.toMatch(/(?:src|href)="(?!data:)/)
  })

  test('has the same bytes from build to build', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'pairlay-one-file-'))
    const configFile = fileURLToPath(new URL('../../../src/web/one-file.config.ts', import.meta.url))
    await build({ configFile, logLevel: 'error', build: { outDir: folder } })
    expect(readFileSync(join(folder, 'pairlay.html')).equals(readFileSync(fileURLToPath(PAGE)))).toBe(true)
    rmSync(folder, { recursive: true })
  })
})

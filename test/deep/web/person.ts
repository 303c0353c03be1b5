import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, BrowserContextOptions, Download, Page } from 'playwright-core'

const AXE = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8')

/** Longer than a browser takes for anything on a busy machine. */
const PATIENCE_MS = 240_000

/** More than anything on a screen that takes the focus. */
const TABS_MAX = 40

export interface Chosen {
  readonly name: string
  readonly mimeType: string
  readonly buffer: Buffer
}

export function file(name: string, bytes: number | string): Chosen {
  const buffer = typeof bytes === 'string' ? Buffer.from(bytes) : Buffer.alloc(bytes, name)
  return { name, mimeType: 'application/octet-stream', buffer }
}

/** Somebody before the page, in a browser context of their own. What they see and press goes by the words of the page. */
export class Person {
  readonly page: Page
  /** Uncaught errors, violations of the policy, errors on the console, requests to another origin. */
  readonly problems: string[] = []
  readonly downloads: Download[] = []

  private constructor(page: Page, origin: string) {
    this.page = page
    page.setDefaultTimeout(PATIENCE_MS)
    page.on('pageerror', (error) => this.problems.push(String(error)))
    page.on('console', (message) => {
      // A browser reports each answer that is an error, also those that the page waits for.
      const isAnswer = new URL(message.location().url || origin).pathname.includes('/v1/')
      if (['error', 'warning'].includes(message.type()) && !isAnswer) this.problems.push(message.text())
    })
    page.on('request', (request) => {
      const { origin: asked, protocol } = new URL(request.url())
      if (asked !== origin && !['blob:', 'data:'].includes(protocol)) this.problems.push(`a request to ${asked}`)
    })
    page.on('download', (download) => this.downloads.push(download))
  }

  /** Opens the page. Anything that goes wrong in it is kept in `problems`. */
  static async at(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Person> {
    const permissions = ['clipboard-read', 'clipboard-write']
    const context = await browser.newContext({ acceptDownloads: true, permissions, locale: 'en-US', ...options })
    return Person.in(context, url)
  }

  /** The same in a context that is there, such as that of a profile on the disk. */
  static async in(context: BrowserContext, url: string): Promise<Person> {
    const page = context.pages()[0] ?? (await context.newPage())
    const person = new Person(page, new URL(url).origin)
    await page.addInitScript(() => {
      addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
        reportError(new Error(`${violatedDirective} forbids ${blockedURI}`)),
      )
    })
    await page.goto(url, { waitUntil: 'load' })
    await page.waitForSelector('h1')
    return person
  }

  close(): Promise<void> {
    return this.page.context().close()
  }

  /** Waits until the heading is this. */
  async sees(heading: string): Promise<void> {
    await this.page.locator('h1', { hasText: heading }).waitFor()
  }

  /** Waits until this is somewhere. */
  async reads(text: string): Promise<void> {
    await this.page.getByText(text).first().waitFor()
  }

  async press(name: string): Promise<void> {
    await this.page.getByRole('button', { name, exact: true }).first().click()
  }

  async choose(...files: readonly Chosen[]): Promise<void> {
    await this.page
      .locator('input[type=file]')
      .first()
      .setInputFiles([...files])
  }

  /** Chooses a file on the disk: a large one comes sooner than its bytes would. */
  async choosePath(path: string): Promise<void> {
    await this.page.locator('input[type=file]').first().setInputFiles(path)
  }

  async chooseFolder(path: string): Promise<void> {
    await this.page.locator('input[type=file]').nth(1).setInputFiles(path)
  }

  /** Asks for a code, and reads it. */
  async getCode(devices = 1): Promise<string> {
    await this.sees('Ready to send')
    if (devices > 1) {
      await this.page.getByText('More options').click()
      await this.page.getByLabel('Devices that may receive it').selectOption(String(devices))
    }
    await this.press('Get a code')
    return this.code()
  }

  async code(): Promise<string> {
    await this.sees('Enter this code on the other device')
    return (await this.page.locator('.tiles').textContent()) ?? ''
  }

  async join(code: string): Promise<void> {
    await this.page.getByLabel('Code', { exact: true }).fill(code)
    await this.press('Connect')
  }

  /** The number that this device shows. */
  async number(): Promise<string> {
    await this.sees('Your number')
    return (await this.page.locator('.tiles').textContent()) ?? ''
  }

  async pick(number: string): Promise<void> {
    await this.sees('Which number does the other device show?')
    await this.page.locator('.choice', { hasText: number }).click()
  }

  /** Picks a number that is not this one. */
  async pickWrong(number: string): Promise<void> {
    await this.sees('Which number does the other device show?')
    await this.page.locator('.choice').filter({ hasNotText: number }).first().click()
  }

  async type(number: string): Promise<void> {
    await this.page.getByLabel('Number on the other device').fill(number)
    await this.press('Let it in')
  }

  /** Moves the focus on with the tabulator until it is on what is called so, and presses Enter there. */
  async tabTo(name: string, key = 'Enter'): Promise<void> {
    for (let step = 0; step < TABS_MAX; step++) {
      await this.page.keyboard.press('Tab')
      const focused = await this.page.evaluate(() => document.activeElement?.textContent?.replaceAll(/\s/g, ''))
      if (focused === name.replaceAll(/\s/g, '')) return this.page.keyboard.press(key)
    }
    throw new Error(`no tabulator leads to ${name}`)
  }

  /** Takes what is offered, and resolves with the bytes of each file by its name. */
  async save(files: number): Promise<Map<string, Buffer>> {
    const before = this.downloads.length
    await this.page.locator('.transfer.asked button.main').first().click()
    while (this.downloads.length < before + files) await this.page.waitForEvent('download')
    const saved = new Map<string, Buffer>()
    for (const download of this.downloads.slice(before))
      saved.set(download.suggestedFilename(), readFileSync(await download.path()))
    return saved
  }

  /** Findings of axe, a line for each kind. The debugger brings it in: the policy of the page stays as it is. */
  async axe(): Promise<string[]> {
    const session = await this.page.context().newCDPSession(this.page)
    if (!(await this.page.evaluate(() => 'axe' in globalThis)))
      await session.send('Runtime.evaluate', { expression: AXE })
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
    const expression = `axe.run(document, { runOnly: ${JSON.stringify(tags)} }).then(({ violations }) =>
      violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ target }) => target).join(' ')))`
    const { result } = await session.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
    await session.detach()
    return result.value
  }

  /** How far the page can be moved sideways, in pixels. */
  overflow(): Promise<number> {
    return this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  }

  /** Puts other words in the page: half as long again, and from right to left. Words that are so already stay. */
  async speakOtherwise(): Promise<void> {
    await this.page.evaluate(() => {
      document.documentElement.dir = 'rtl'
      const scope = globalThis as { spoken?: WeakMap<Node, string> }
      scope.spoken ??= new WeakMap()
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const text = node.nodeValue ?? ''
        if (text.length <= 3 || scope.spoken.get(node) === text) continue
        node.nodeValue = `${text}${text.slice(0, text.length / 2)}`
        scope.spoken.set(node, node.nodeValue)
      }
    })
  }
}

/** Pairs two: one has chosen something, the other has opened the page. */
export async function pair(sender: Person, receiver: Person): Promise<string> {
  await receiver.join(await sender.getCode())
  const number = await receiver.number()
  await sender.pick(number)
  await sender.sees('Connected')
  await receiver.sees('Connected')
  return number
}

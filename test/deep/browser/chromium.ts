import { existsSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright-core'

export const EXECUTABLE = process.env.CHROMIUM || '/usr/bin/chromium'

/** Why the tests that need a browser are skipped. Undefined when they run: with REQUIRE_ALL=1 they do, and fail. */
export const WITHOUT_CHROMIUM =
  existsSync(EXECUTABLE) || process.env.REQUIRE_ALL === '1'
    ? undefined
    : `there is no ${EXECUTABLE}; set CHROMIUM to the path of a Chromium`

/** Starts a headless Chromium with a fresh profile, which Playwright removes when it is closed. */
export function startChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: EXECUTABLE,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

export interface DevicePage {
  readonly page: Page
  /** Events that a page should never have: uncaught errors, unhandled rejections, violations of its policy. */
  readonly problems: readonly string[]
}

/** Opens the page at this address, in a context of its own, and waits until it has its device. */
export async function openPage(browser: Browser, url: string): Promise<DevicePage> {
  const page = await (await browser.newContext()).newPage()
  const problems: string[] = []
  page.on('pageerror', (error) => problems.push(String(error)))
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
      reportError(new Error(`${violatedDirective} forbids ${blockedURI}`)),
    )
  })
  await page.goto(url, { waitUntil: 'load' })
  const ready = await page.evaluate(() => globalThis.device !== undefined)
  if (!ready) throw new Error(`the page has no device: ${problems.join(', ')}`)
  return { page, problems }
}

import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { startChromium } from '../test/deep/browser/chromium.ts'
import { type Gallery, openGallery } from '../test/deep/web/gallery-site.ts'
import { STATES } from '../test/deep/web/states.ts'

/**
 * `npm run web:screens`: pictures of every screen of the page, a phone beside a desktop, into docs/screens.
 * With a folder as argument, each size and theme as a picture of its own there, from top to bottom.
 */

const DOCS = fileURLToPath(new URL('../docs/screens', import.meta.url))
const PHONE = { width: 360, height: 740, isTouched: true }
const TABLET = { width: 768, height: 1024, isTouched: true }
const DESKTOP = { width: 1280, height: 800, isTouched: false }
/** Screens that docs/page.md shows in the dark theme too. */
const DARK = ['start', 'chosen', 'code', 'question', 'number', 'offer', 'sending, stop', 'eight devices', 'end']
/** Size of a picture in docs/screens, as a part of the screen's own. */
const SCALE = 2 / 3
const QUALITY = 0.7

type Size = typeof PHONE
type Theme = 'light' | 'dark'
type Pictures = ReadonlyMap<string, Buffer>

const [folder] = process.argv.slice(2)
const gallery = await openGallery()
const browser = await startChromium()
try {
  if (folder === undefined) await drawDocs()
  else
    for (const size of [PHONE, TABLET, DESKTOP])
      for (const theme of ['light', 'dark'] as const)
        for (const [name, png] of await picturesOf(browser, gallery, size, theme))
          put(folder, `${fileOf(name)}-${size.width}-${theme}.png`, png)
} finally {
  await browser.close()
  gallery.close()
}

async function picturesOf(browser: Browser, { url }: Gallery, size: Size, colorScheme: Theme): Promise<Pictures> {
  const { isTouched, ...viewport } = size
  const options = { viewport, colorScheme, reducedMotion: 'reduce', hasTouch: isTouched, isMobile: isTouched } as const
  const context = await browser.newContext(options)
  const page = await context.newPage()
  await page.goto(url)
  // A page knows that it is touched from its second loading on.
  await page.reload()
  const pictures = new Map<string, Buffer>()
  for (const name of Object.keys(STATES)) {
    await page.setViewportSize(viewport)
    await page.evaluate((state) => {
      showState(state)
      const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
      for (let text = texts.nextNode(); text; text = texts.nextNode())
        text.nodeValue = (text.nodeValue ?? '').replaceAll(location.host, 'relay.example')
    }, name)
    await page.waitForFunction(() => [...document.querySelectorAll('.picture')].every((each) => each.firstChild))
    const height = await page.evaluate(() => document.documentElement.scrollHeight)
    if (folder !== undefined) await page.setViewportSize({ ...viewport, height: Math.max(height, viewport.height) })
    pictures.set(name, await page.screenshot())
  }
  await context.close()
  return pictures
}

async function drawDocs(): Promise<void> {
  const page = await browser.newPage()
  for (const theme of ['light', 'dark'] as const) {
    const desktop = await picturesOf(browser, gallery, DESKTOP, theme)
    const phone = await picturesOf(browser, gallery, PHONE, theme)
    for (const name of theme === 'light' ? desktop.keys() : DARK) {
      const file = theme === 'light' ? fileOf(name) : `${fileOf(name)}-${theme}`
      put(DOCS, `${file}.webp`, await beside(page, desktop.get(name), phone.get(name)))
    }
    // Two sides of a pairing, for the README.
    if (theme === 'light') put(DOCS, 'pairing.webp', await beside(page, desktop.get('code'), phone.get('number')))
  }
}

/** Draws two pictures beside each other, as WebP. */
async function beside(page: Page, ...pngs: (Buffer | undefined)[]): Promise<Buffer> {
  const sources = pngs.map((png) => `data:image/png;base64,${png?.toString('base64')}`)
  const url = await page.evaluate(
    async ({ sources, scale, quality }) => {
      const images = await Promise.all(
        sources.map(async (src) => {
          const image = new Image()
          image.src = src
          await image.decode()
          return { image, width: image.width * scale, height: image.height * scale }
        }),
      )
      const margin = 16
      const canvas = document.createElement('canvas')
      canvas.width = images.reduce((sum, { width }) => sum + width + margin, margin)
      canvas.height = Math.max(...images.map(({ height }) => height)) + 2 * margin
      const context = canvas.getContext('2d')
      if (!context) throw new Error('a canvas has no context')
      context.fillStyle = '#b9c4bd'
      context.fillRect(0, 0, canvas.width, canvas.height)
      context.imageSmoothingQuality = 'high'
      let x = margin
      for (const { image, width, height } of images) {
        context.drawImage(image, x, margin, width, height)
        x += width + margin
      }
      return canvas.toDataURL('image/webp', quality)
    },
    { sources, scale: SCALE, quality: QUALITY },
  )
  return Buffer.from(url.slice(url.indexOf(',') + 1), 'base64')
}

function fileOf(name: string): string {
  return name.replaceAll(/\W+/g, '-')
}

function put(into: string, name: string, bytes: Buffer): void {
  mkdirSync(into, { recursive: true })
  writeFileSync(`${into}/${name}`, bytes)
}

import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Browser } from 'playwright-core'
import { startChromium } from '../test/deep/browser/chromium.ts'
import { type Gallery, openGallery } from '../test/deep/web/gallery-site.ts'
import { STATES } from '../test/deep/web/states.ts'

/**
 * `npm run web:screens`: pictures of every screen of the page, one sheet for each size and theme, into docs/screens.
 * With a folder as argument, each screen as a picture of its own there.
 */

const DOCS = fileURLToPath(new URL('../docs/screens', import.meta.url))
const SIZES = [
  { width: 360, height: 740, columns: 8, isTouched: true },
  { width: 768, height: 1024, columns: 4, isTouched: true },
  { width: 1280, height: 800, columns: 3, isTouched: false },
]
const THEMES = ['light', 'dark'] as const
const QUALITY = 60

interface Picture {
  readonly name: string
  readonly png: Buffer
}

const [folder] = process.argv.slice(2)
/** Pictures in the light theme, by their width. */
const shown = new Map<number, readonly Picture[]>()
const gallery = await openGallery()
const browser = await startChromium()
try {
  for (const size of SIZES) {
    for (const theme of THEMES) {
      const pictures = await picturesOf(browser, gallery, size, theme)
      if (theme === 'light') shown.set(size.width, pictures)
      if (folder === undefined) await drawSheet(browser, pictures, size, theme)
      else
        for (const { name, png } of pictures)
          put(folder, `${name.replaceAll(/\W+/g, '-')}-${size.width}-${theme}.png`, png)
    }
  }
  if (folder === undefined) await drawPair(browser)
} finally {
  await browser.close()
  gallery.close()
}

async function picturesOf(
  browser: Browser,
  { url }: Gallery,
  { width, height, isTouched }: { width: number; height: number; isTouched: boolean },
  colorScheme: 'light' | 'dark',
): Promise<Picture[]> {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme,
    reducedMotion: 'reduce',
    hasTouch: isTouched,
    isMobile: isTouched,
  })
  const page = await context.newPage()
  await page.goto(url)
  const pictures: Picture[] = []
  for (const name of Object.keys(STATES)) {
    await page.evaluate((state) => showState(state), name)
    await page.waitForFunction(() => [...document.querySelectorAll('.picture')].every((each) => each.firstChild))
    pictures.push({ name, png: await page.screenshot({ fullPage: folder !== undefined }) })
  }
  await context.close()
  return pictures
}

async function drawSheet(
  browser: Browser,
  pictures: readonly Picture[],
  { width, columns }: { width: number; columns: number },
  theme: string,
): Promise<void> {
  const page = await browser.newPage({ viewport: { width: 1_920, height: 1_080 } })
  const figures = pictures.map(({ name, png }) => {
    return `<figure><img src="data:image/png;base64,${png.toString('base64')}"><figcaption>${name}</figcaption></figure>`
  })
  const style = `body { display: grid; grid-template-columns: repeat(${columns}, 1fr); gap: 16px; margin: 16px; background: #888;
    font: 16px sans-serif } figure { margin: 0 } img { width: 100% }`
  await page.setContent(`<style>${style}</style>${figures.join('')}`)
  put(DOCS, `${width}-${theme}.jpg`, await page.screenshot({ fullPage: true, type: 'jpeg', quality: QUALITY }))
  await page.close()
}

/** Draws the two sides of a pairing beside each other, for the README. */
async function drawPair(browser: Browser): Promise<void> {
  const page = await browser.newPage({ viewport: { width: 1_480, height: 720 } })
  const image = (width: number, name: string) => {
    const png = shown.get(width)?.find((picture) => picture.name === name)?.png
    return `<img width="${width === 360 ? 316 : 1_040}" src="data:image/png;base64,${png?.toString('base64')}">`
  }
  const style = `body { display: flex; gap: 32px; align-items: center; justify-content: center; height: 100vh; margin: 0;
    background: #cfd8d2 } img { border-radius: 12px; box-shadow: 0 8px 40px rgb(0 0 0 / 25%) }`
  await page.setContent(`<style>${style}</style>${image(1_280, 'code')}${image(360, 'number')}`)
  put(DOCS, 'pairing.jpg', await page.screenshot({ type: 'jpeg', quality: 80 }))
  await page.close()
}

function put(into: string, name: string, bytes: Buffer): void {
  mkdirSync(into, { recursive: true })
  writeFileSync(`${into}/${name}`, bytes)
}

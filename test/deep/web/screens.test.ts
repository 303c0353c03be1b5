import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startChromium, WITHOUT_CHROMIUM } from '../browser/chromium.ts'
import { type Gallery, openGallery } from './gallery-site.ts'
import { Person } from './person.ts'
import { STATES } from './states.ts'

const SCREENS = Object.keys(STATES)
const PHONE = { width: 360, height: 740 }
const NARROW = { width: 320, height: 640 }
const DESKTOP = { width: 1280, height: 800 }

describe.skipIf(WITHOUT_CHROMIUM)('every screen', () => {
  let browser: Browser
  let gallery: Gallery

  beforeAll(async () => {
    gallery = await openGallery()
    browser = await startChromium()
  })

  afterAll(async () => {
    await browser?.close()
    gallery?.close()
  })

  describe.each(['light', 'dark'] as const)('in a %s theme', (colorScheme) => {
    test.each([PHONE, DESKTOP])('has nothing that axe objects to, at $width px', async (viewport) => {
      const person = await Person.at(browser, gallery.url, { viewport, colorScheme })
      const found: string[] = []
      for (const name of SCREENS) {
        await person.page.evaluate((state) => showState(state), name)
        // A bar that stays in sight covers whatever is below it, until one scrolls: all of the screen is looked at.
        const height = await person.page.evaluate(() => document.documentElement.scrollHeight)
        await person.page.setViewportSize({ ...viewport, height: Math.max(height, viewport.height) })
        found.push(...(await person.axe()).map((problem) => `${name}: ${problem}`))
      }
      await person.close()
      expect(found).toEqual([])
      expect(person.problems).toEqual([])
    })
  })

  test.each([
    ['at 320 px', { viewport: NARROW }, 1],
    ['with text twice as large', { viewport: { width: 640, height: 800 } }, 2],
    ['with text twice as large on a phone', { viewport: PHONE }, 2],
    ['in forced colours', { viewport: PHONE, forcedColors: 'active' as const }, 1],
  ])('needs no moving sideways %s, in a longer language from right to left too', async (_, options, scale) => {
    const person = await Person.at(browser, gallery.url, options)
    await person.page.evaluate((size) => {
      document.documentElement.style.fontSize = `${size * 100}%`
    }, scale)
    const wide: string[] = []
    for (const name of SCREENS) {
      await person.page.evaluate((state) => showState(state), name)
      if ((await person.overflow()) > 0) wide.push(name)
      await person.speakOtherwise()
      if ((await person.overflow()) > 0) wide.push(`${name}, from right to left`)
      await person.page.evaluate(() => document.documentElement.removeAttribute('dir'))
    }
    await person.close()
    expect(wide).toEqual([])
  })

  test('takes the focus to its heading, or to what is to be done first, and is the title', async () => {
    const person = await Person.at(browser, gallery.url)
    for (const name of SCREENS) {
      await person.page.evaluate((state) => showState(state), name)
      const [tag = '', title = ''] = await person.page.evaluate(() => [document.activeElement?.tagName, document.title])
      expect([name, ['H1', 'BUTTON', 'TEXTAREA'].includes(tag)]).toEqual([name, true])
      expect(title).toMatch(/^.+ – Pairlay$/)
    }
    await person.close()
  })

  test('moves nothing where motion is not wanted', async () => {
    const person = await Person.at(browser, gallery.url, { reducedMotion: 'reduce' })
    for (const name of SCREENS) {
      await person.page.evaluate((state) => showState(state), name)
      expect(await person.page.evaluate(() => document.getAnimations().length)).toBe(0)
    }
    await person.close()
  })
})

import { readFile, writeFile } from 'node:fs/promises'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { relayOfFile, temporaryDirectory } from '../../cli/support.ts'
import { startChromium, WITHOUT_CHROMIUM } from '../browser/chromium.ts'
import { file, Person } from '../web/person.ts'
import { describePython, SIDES } from './programs.ts'

describePython('the client in Python, and the page in Chromium', () => {
  const relay = relayOfFile()

  describe.skipIf(WITHOUT_CHROMIUM)('hand over', () => {
    let browser: Browser
    beforeAll(async () => {
      browser = await startChromium()
    })
    afterAll(() => browser?.close())

    async function person(): Promise<Person> {
      return Person.at(browser, `${relay.url}/`)
    }

    test('two files from the page to Python', async () => {
      const { at } = await temporaryDirectory()
      const files = [file('photo.jpg', 3_000_017), file('notes.txt', 'hello')]
      const page = await person()
      await page.choose(...files)
      const receiver = SIDES.Python(['receive', await page.getCode(), '--yes', '--json', '--into', at('in')], relay)
      await page.pick(String((await receiver.event('number')).matchNumber).replace(' ', ''))
      await page.reads('Delivered: it has everything')
      expect((await receiver.ended()).exitCode).toBe(0)
      for (const { name, buffer } of files) expect((await readFile(at(`in/${name}`))).equals(buffer)).toBe(true)
      expect(page.problems).toEqual([])
      await page.close()
    })

    test('a file from Python to the page', async () => {
      const { at } = await temporaryDirectory()
      const { buffer } = file('photo.jpg', 3_000_017)
      await writeFile(at('photo.jpg'), buffer)
      const sender = SIDES.Python(['send', at('photo.jpg'), '--yes', '--json'], relay)
      const page = await person()
      await page.join(String((await sender.event('code')).code))
      expect((await page.save(1)).get('photo.jpg')?.equals(buffer)).toBe(true)
      expect((await sender.ended()).exitCode).toBe(0)
      expect(page.problems).toEqual([])
      await page.close()
    })
  })
})

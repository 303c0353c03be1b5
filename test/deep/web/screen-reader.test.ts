import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startChromium, WITHOUT_CHROMIUM } from '../browser/chromium.ts'
import { JsonProcess } from '../browser/processes.ts'
import { file, Person } from './person.ts'
import { Listener } from './spoken.ts'

const HEAD = `# The page as a screen reader has it

Words of both roles in the order of Chromium's accessibility tree, from the start to what was delivered. Written by
\`npx vitest run --project deep test/deep/web/screen-reader.test.ts -u\`, which fails without \`-u\` when they change. \`said\` is what a live region
says by itself. Codes, numbers and times are always the same here. The screen while bytes flow is too short-lived to be in it.
`

describe.skipIf(WITHOUT_CHROMIUM)('a screen reader', () => {
  let browser: Browser
  let relay: JsonProcess
  let url: string

  beforeAll(async () => {
    relay = JsonProcess.relay({ CORS_ORIGINS: '' })
    url = `http://127.0.0.1:${(await relay.line('msg', 'the relay is ready')).port}/`
    browser = await startChromium()
  })
  afterAll(async () => {
    await browser?.close()
    await relay?.kill()
  })

  test('has the words of both roles, from the start to delivered', async () => {
    const [sender, receiver] = await Promise.all([Person.at(browser, url), Person.at(browser, url)])
    const listeners = { Sender: await Listener.at(sender.page), Receiver: await Listener.at(receiver.page) }
    const changing: [string | RegExp, string][] = [
      [/\b\d{1,2}:\d\d\b/g, '0:00'],
      // In an order that nobody knows, two of them by chance.
      [/button: (\d ){5}\d/g, 'button: 0 0 0 0 0 0'],
      [url.slice('http://'.length), 'relay.example/'],
      [new URL(url).host, 'relay.example'],
    ]
    let walk = HEAD
    async function hear(role: keyof typeof listeners, after: string): Promise<void> {
      const lines = await listeners[role].hears()
      const shown = changing.reduce((text, [from, to]) => text.replaceAll(from, to), lines.join('\n'))
      walk += `\n## ${role}: ${after}\n\n\`\`\`\n${shown}\n\`\`\`\n`
    }

    await hear('Sender', 'the page opens')
    await sender.choose(file('notes.txt', 'hello'))
    await sender.sees('Ready to send')
    await hear('Sender', 'a file is chosen')
    const code = await sender.getCode()
    const spelt = (text: string) => [...text].join(' ')
    changing.push([code, 'K7QM3-XPDT28'], [spelt(code), spelt('K7QM3-XPDT28')])
    await hear('Sender', '“Get a code” is pressed')
    await receiver.join(code)
    const number = await receiver.number()
    changing.push([number, '482913'], [spelt(number), spelt('482913')])
    await hear('Receiver', 'the code is entered')
    await sender.sees('Which number')
    await hear('Sender', 'the other device has entered the code')
    await sender.pick(number)
    await receiver.reads('Take this?')
    await hear('Receiver', 'its number was chosen')
    await sender.reads('Waiting until it is accepted there')
    await hear('Sender', 'the number is chosen')
    await receiver.save(1)
    await receiver.reads('Complete and checked')
    await hear('Receiver', '“Save” is pressed')
    await sender.reads('Delivered: it has everything')
    await hear('Sender', 'everything has arrived')
    await receiver.press('Leave')
    await sender.sees('The other device has left')
    await hear('Sender', 'the other device has left')
    await expect(walk).toMatchFileSnapshot('screen-reader.md')
  })
})

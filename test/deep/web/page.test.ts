import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContextOptions } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startChromium, WITHOUT_CHROMIUM } from '../browser/chromium.ts'
import { JsonProcess } from '../browser/processes.ts'
import { Company } from './company.ts'
import { file, Person, pair } from './person.ts'

const PHOTO = file('photo.jpg', 3_000_017)
const NOTE = file('notes.txt', 'hello')
const LARGE = file('large.bin', 40_000_000)

describe.skipIf(WITHOUT_CHROMIUM)('the page in Chromium', () => {
  let browser: Browser
  let relay: JsonProcess
  let url: string
  const folder = mkdtempSync(join(tmpdir(), 'pairlay-page-'))
  const company = new Company()

  beforeAll(async () => {
    relay = JsonProcess.relay({
      CORS_ORIGINS: '',
      WEB_NAME: 'The Lake Club',
      WEB_LINKS: 'Imprint=https://lake.example/',
    })
    const { port } = await relay.line('msg', 'the relay is ready')
    url = `http://127.0.0.1:${port}/`
    browser = await startChromium()
  })

  afterAll(async () => {
    await browser?.close()
    await relay?.kill()
    rmSync(folder, { recursive: true })
  })

  afterEach(() => company.leave())

  const person = (address = url, options: BrowserContextOptions = {}) => company.person(browser, address, options)
  const two = () => Promise.all([person(), person()])

  const cli = (...args: string[]) => company.command(url, ...args)

  test('two files arrive as they were sent, and the sender is told', async () => {
    const [sender, receiver] = await two()
    await sender.choose(PHOTO, NOTE)
    await pair(sender, receiver)
    const saved = await receiver.save(2)
    expect(saved.get('photo.jpg')?.equals(PHOTO.buffer)).toBe(true)
    expect(saved.get('notes.txt')?.toString()).toBe('hello')
    await sender.reads('Delivered: it has everything')
  })

  test('either side sends more, texts and files, until one leaves', async () => {
    const [sender, receiver] = await two()
    await sender.choose(NOTE)
    await pair(sender, receiver)
    await receiver.save(1)
    await receiver.press('Write a text')
    await receiver.page.getByLabel('Text to send').fill('https://example.org/a?b=c')
    await receiver.press('Send')
    await sender.press('Show it')
    await sender.reads('https://example.org/a?b=c')
    expect(await sender.page.getByRole('link', { name: 'Open example.org' }).getAttribute('rel')).toContain(
      'noreferrer',
    )
    await receiver.choose(file('back.txt', 'and back'))
    const saved = await sender.save(1)
    expect(saved.get('back.txt')?.toString()).toBe('and back')
    await receiver.press('Leave')
    await receiver.sees('Hand something')
    await sender.sees('The other device has left')
    await sender.reads('https://example.org/a?b=c')
  })

  test('what is pasted or dropped at either side goes out at once', async () => {
    const [sender, receiver] = await two()
    await sender.choose(NOTE)
    await pair(sender, receiver)
    await receiver.save(1)
    const put = (name: string, type: 'paste' | 'drop') => {
      const data = new DataTransfer()
      data.items.add(new File([type], name))
      const Kind = { paste: ClipboardEvent, drop: DragEvent }[type]
      document.body.dispatchEvent(
        new Kind(type, { clipboardData: data, dataTransfer: data, bubbles: true, cancelable: true }),
      )
    }
    for (const [from, to] of [
      [receiver, sender],
      [sender, receiver],
    ] as const) {
      await from.page.evaluate(`(${put})('image.png', 'paste')`)
      const [[name = '', bytes] = []] = [...(await to.save(1))]
      expect([name.replaceAll(/\d/g, '0'), bytes?.toString()]).toEqual(['Pasted 0000-00-00 00-00.png', 'paste'])
      await from.page.evaluate(`(${put})('dropped.txt', 'drop')`)
      expect((await to.save(1)).get('dropped.txt')?.toString()).toBe('drop')
    }
    for (const person of [sender, receiver]) expect(await person.page.locator('.transfer').count()).toBe(5)
  })

  test('a device that is let in sends something while others are waited for: it is there afterwards', async () => {
    const [sender, receiver] = await two()
    await sender.choose(NOTE)
    await receiver.join(await sender.getCode(3))
    await sender.pick(await receiver.number())
    await receiver.sees('Connected')
    await receiver.press('Write a text')
    await receiver.page.getByLabel('Text to send').fill('early')
    await receiver.press('Send')
    await receiver.reads('Waiting until it is accepted there')
    await sender.press('Send now to 1 device')
    await sender.press('Show it')
    await sender.reads('early')
    await receiver.save(1)
    await sender.reads('Delivered: it has everything')
  })

  test("the browser's own cipher seals and opens what is large, where there is one", async () => {
    const sealed: string[] = []
    const [sender, receiver] = await two()
    for (const { page } of [sender, receiver]) {
      await page.exposeFunction('sealedBy', (name: string) => sealed.push(name))
      await page.evaluate(() => {
        const { subtle } = crypto
        for (const method of ['encrypt', 'decrypt'] as const) {
          const real = subtle[method].bind(subtle)
          subtle[method] = (algorithm: { name: string }, ...rest: [CryptoKey, BufferSource]) => {
            void (globalThis as unknown as { sealedBy: (name: string) => void }).sealedBy(`${method} ${algorithm.name}`)
            return real(algorithm as AesGcmParams, ...rest)
          }
        }
      })
    }
    const has = await sender.page.evaluate(() =>
      crypto.subtle.importKey('raw-secret' as 'raw', new Uint8Array(32), 'ChaCha20-Poly1305', false, ['encrypt']).then(
        () => true,
        () => false,
      ),
    )
    await sender.choose(PHOTO)
    await pair(sender, receiver)
    await receiver.save(1)
    const chunks = Math.ceil(PHOTO.buffer.length / 65_536)
    for (const method of ['encrypt', 'decrypt']) {
      const count = sealed.filter((each) => each === `${method} ChaCha20-Poly1305`).length
      if (has) expect(count).toBeGreaterThan(chunks)
      else expect(count).toBe(0)
    }
  })

  test('a text that is written before there is a code', async () => {
    const [sender, receiver] = await two()
    await sender.press('Write a text')
    await sender.page.getByLabel('Text to send').fill('Grüße aus der 名 🏞️')
    await sender.press('Get a code')
    await receiver.join(await sender.code())
    await sender.pick(await receiver.number())
    await receiver.press('Show it')
    await receiver.reads('Grüße aus der 名 🏞️')
  })

  test('a folder of a thousand files is one archive with all of them', async () => {
    const [sent, got] = [join(folder, 'sent'), join(folder, 'got')]
    for (let deep = 0; deep < 10; deep++) {
      mkdirSync(join(sent, 'holiday', `${deep}`), { recursive: true })
      for (let n = 0; n < 100; n++) writeFileSync(join(sent, 'holiday', `${deep}`, `${n} ü.txt`), `${deep} ${n}`)
    }
    const [sender, receiver] = await two()
    await sender.chooseFolder(join(sent, 'holiday'))
    await sender.reads('1,000 files')
    await pair(sender, receiver)
    await receiver.page.getByRole('button', { name: /^Save/ }).click()
    await sender.reads('Delivered: it has everything')
    await expect.poll(() => receiver.downloads.length).toBe(1)
    execFileSync('unzip', ['-q', (await receiver.downloads[0]?.path()) ?? '', '-d', got])
    expect(execFileSync('diff', ['-r', sent, got], { encoding: 'utf8' })).toBe('')
  })

  test('three receivers on one code: each typed from the second on', async () => {
    const sender = await person()
    await sender.choose(NOTE)
    const code = await sender.getCode(3)
    const receivers = await Promise.all([person(), person(), person()])
    for (const [index, receiver] of receivers.entries()) {
      await receiver.join(code)
      const number = await receiver.number()
      if (index === 0) await sender.pick(number)
      else await sender.type(number)
      if (index < 2) await sender.reads(`${index + 1} of 3 devices`)
    }
    for (const receiver of receivers) expect((await receiver.save(1)).get('notes.txt')?.toString()).toBe('hello')
    await sender.reads('Delivered to 3 of 3.')
  })

  test('a wrong pick lets nobody in: the number has to be typed then', async () => {
    const [sender, receiver] = await two()
    await sender.choose(NOTE)
    await receiver.join(await sender.getCode())
    const number = await receiver.number()
    await sender.pickWrong(number)
    await sender.reads('That is not its number.')
    await sender.type('000000' === number ? '000001' : '000000')
    await sender.reads('No waiting device shows this number.')
    expect(await receiver.page.locator('h1').textContent()).toBe('Your number')
    await sender.type(number)
    await receiver.sees('Connected')
  })

  test('none of these: nobody gets anything, after a second question', async () => {
    const [sender, receiver] = await two()
    await sender.choose(NOTE)
    await receiver.join(await sender.getCode())
    await receiver.number()
    await sender.press('None of these')
    await sender.page.keyboard.press('Escape')
    await sender.press('None of these')
    await sender.press('Nobody gets it')
    await sender.sees('Nobody was let in')
    await receiver.sees('The sender said no')
  })

  test('a link joins nothing without the click, and leaves the address', async () => {
    const sender = await person()
    await sender.choose(NOTE)
    const code = await sender.getCode()
    const receiver = await person(`${url}#${code}`)
    await receiver.sees('Receive')
    expect(receiver.page.url()).toBe(url)
    expect(await receiver.page.getByLabel('Code', { exact: true }).inputValue()).toBe(code)
    expect(await receiver.page.evaluate(() => document.activeElement?.textContent)).toBe('Connect')
    await receiver.page.waitForLoadState('networkidle')
    expect(await sender.page.locator('h1').textContent()).toBe('Enter this code on the other device')
    await receiver.page.keyboard.press('Enter')
    await sender.pick(await receiver.number())
    await receiver.sees('Connected')
  })

  test('an intruder who is first waits beside the right device, and the typed number is let in alone', async () => {
    const [sender, intruder, receiver] = await Promise.all([person(), person(), person()])
    await sender.choose(NOTE)
    const code = await sender.getCode()
    await intruder.join(code)
    await intruder.number()
    await sender.sees('Which number')
    await receiver.join(code)
    const number = await receiver.number()
    await sender.reads('More than one device knows this code.')
    await sender.type(number)
    await receiver.sees('Connected')
    await sender.sees('Connected')
    expect(await intruder.page.locator('h1').textContent()).not.toBe('Connected')
  })

  test('Stop at the sender, and at the receiver: the devices stay paired', async () => {
    const [sender, receiver] = await two()
    const path = join(folder, LARGE.name)
    writeFileSync(path, LARGE.buffer)
    await sender.choosePath(path)
    await pair(sender, receiver)
    await sender.press('Stop')
    await sender.page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click()
    await receiver.reads('The other device took it back.')
    await sender.choose(NOTE)
    await receiver.save(1)
    await sender.choose(file('no.txt', 'x'))
    await receiver.press('No, thanks')
    await sender.reads('It was declined there')
  })

  test('a code nobody has, and a code with a mistake in it', async () => {
    const receiver = await person()
    await receiver.join('K7QM3-XPDT27')
    await receiver.reads('one symbol is wrong, or two are swapped.')
    const sender = await person()
    await sender.choose(NOTE)
    const code = await sender.getCode()
    await sender.press('Cancel')
    await sender.sees('Hand something')
    await receiver.join(code)
    await receiver.sees('No sender has this code')
    await receiver.press('Enter a code')
    expect(await receiver.page.getByLabel('Code', { exact: true }).inputValue()).toBe(code)
  })

  test('page to command line, and back', async () => {
    const page = await person()
    await page.choose(PHOTO)
    const receiving = cli('receive', await page.getCode(), '--into', folder)
    const { matchNumber } = await receiving.event('number')
    await page.pick(String(matchNumber).replace(/\D/g, ''))
    await page.reads('Delivered: it has everything')
    expect(readFileSync(join(folder, 'photo.jpg')).equals(PHOTO.buffer)).toBe(true)

    const other = await person()
    const path = join(folder, 'from-cli.txt')
    writeFileSync(path, 'from the command line')
    const sending = cli('send', path)
    const { code } = await sending.event('code')
    await other.join(String(code))
    expect((await other.save(1)).get('from-cli.txt')?.toString()).toBe('from the command line')
    expect(await sending.ended).toBe(0)
  })

  test('with the keyboard alone a text goes from one to the other', async () => {
    const [sender, receiver] = await two()
    await sender.tabTo('Write a text')
    await sender.sees('Write a text')
    await sender.page.keyboard.type('typed')
    await sender.tabTo('Get a code')
    const code = await sender.code()
    for (let step = 0; step < 40 && (await receiver.page.evaluate(() => document.activeElement?.id)) !== 'code'; step++)
      await receiver.page.keyboard.press('Tab')
    await receiver.page.keyboard.type(`${code.toLowerCase().replace('-', ' ')}\n`)
    const number = await receiver.number()
    await sender.sees('Which number')
    await sender.tabTo(number)
    await receiver.reads('Take this?')
    await receiver.tabTo('Show it')
    await receiver.reads('typed')
    await receiver.tabTo('Leave')
    await sender.sees('The other device has left')
  })

  test('the focus stays in a list whose rows go', async () => {
    const someone = await person()
    await someone.choose(file('a.txt', 1), file('b.txt', 1), file('c.txt', 1))
    const focused = () =>
      someone.page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.tagName)
    await someone.press('Remove b.txt')
    expect(await focused()).toBe('Remove c.txt')
    await someone.press('Remove c.txt')
    expect(await focused()).toBe('H1')
  })

  test('the focus stays in the row of what is saved, while that has no button', async () => {
    const [sender, receiver] = await two()
    await sender.choose(NOTE)
    await pair(sender, receiver)
    await receiver.page.evaluate(() => {
      addEventListener('focusin', ({ target }) => {
        if (target instanceof HTMLHeadingElement) document.body.dataset.jumped = 'yes'
      })
    })
    await receiver.reads('Take this?')
    await receiver.tabTo('Save 5 bytes')
    await receiver.reads('Complete and checked')
    expect(
      await receiver.page.evaluate(() => [
        document.activeElement?.closest('.transfer') !== null,
        document.body.dataset.jumped,
      ]),
    ).toEqual([true, undefined])
  })

  test.each([
    ['the camera', 'scan', 'Scan the QR code'],
    ['pairing', 'sides', 'Write a text'],
  ])('says above the screen that the page was replaced, when its part for %s is gone', async (_, part, name) => {
    const someone = await person()
    await someone.page.route(`**/assets/${part}-*.js`, (route) => route.fulfill({ status: 404 }))
    await someone.press(name)
    await someone.page.locator('#banner', { hasText: 'This page has been updated. Reload it.' }).waitFor()
    expect(someone.problems.splice(0).filter((problem) => !problem.includes('404'))).toEqual([])
  })

  test("the operator's name, notice and links are text", async () => {
    const someone = await person()
    await someone.reads('The Lake Club')
    const link = someone.page.getByRole('link', { name: 'Imprint' })
    expect(await link.getAttribute('rel')).toBe('noreferrer')
  })
})

describe.skipIf(WITHOUT_CHROMIUM)('a relay that opens sessions for those alone who have a token', () => {
  test('asks whoever sends for it once, says when it is another, and asks no receiver', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'pairlay-tokens-'))
    const tokens = join(folder, 'tokens')
    writeFileSync(tokens, `ada sha256:${hash('sha256', 'right', 'base64url')}\n`)
    const relay = JsonProcess.relay({ CORS_ORIGINS: '', ACCESS_TOKENS_FILE: tokens })
    const { port } = await relay.line('msg', 'the relay is ready')
    const url = `http://127.0.0.1:${port}/`
    const browser = await startChromium()
    try {
      const [sender, receiver] = await Promise.all([Person.at(browser, url), Person.at(browser, url)])
      const give = async (password: string, then: string) => {
        await sender.page.getByLabel('Password').fill(password)
        await sender.press(then)
      }
      await sender.choose(NOTE)
      await sender.press('Get a code')
      await sender.sees('This relay asks for a password to send')
      await give('wrong', 'Get a code')
      await sender.reads('This password is not known.')
      await give('right', 'Try again')
      await receiver.join(await sender.code())
      await sender.pick(await receiver.number())
      expect((await receiver.save(1)).get('notes.txt')?.toString()).toBe('hello')
      await sender.press('Leave')
      await sender.choose(NOTE)
      expect(await sender.getCode()).not.toBe('')
      expect([...sender.problems, ...receiver.problems]).toEqual([])
    } finally {
      await browser.close()
      await relay.kill()
      rmSync(folder, { recursive: true })
    }
  })
})

describe.skipIf(WITHOUT_CHROMIUM)('a code whose time is over', () => {
  test('is followed by another, and works for a minute more', async () => {
    // The shortest that there is: the code is shown for half of it.
    const relay = JsonProcess.relay({ MAX_SESSION_TTL_SECONDS: '30', SESSION_TTL_SECONDS: '30' })
    const { port } = await relay.line('msg', 'the relay is ready')
    const url = `http://127.0.0.1:${port}/`
    const browser = await startChromium()
    try {
      const [sender, receiver] = await Promise.all([Person.at(browser, url), Person.at(browser, url)])
      await sender.choose(NOTE)
      const code = await sender.getCode()
      await sender.reads('New code. The one before works for a minute more.')
      expect(await sender.code()).not.toBe(code)
      await receiver.join(code)
      await sender.pick(await receiver.number())
      expect((await receiver.save(1)).get('notes.txt')?.toString()).toBe('hello')
      expect([...sender.problems, ...receiver.problems]).toEqual([])
    } finally {
      await browser.close()
      await relay.kill()
    }
  })
})

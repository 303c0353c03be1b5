import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, chromium, type Download, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  bytesSource,
  type PairedDevice,
  PairingError,
  Sender,
  type Source,
  streamSource,
  type Transfers,
} from '../../../src/client/index.ts'
import { type RelayProcess, startRelayProcess } from '../../support/relay-process.ts'
import { WITHOUT_CHROMIUM } from '../browser/chromium.ts'

const EXECUTABLE = process.env.CHROMIUM || '/usr/bin/chromium'
const MB = 1_000_000
/** Above this nothing is held in memory where there is storage. */
const KEPT_BYTES = 70 * MB

/** Bytes that are not all alike, and differ by seed. */
function content(bytes: number, seed: number): Uint8Array {
  const block = createHash('shake256', { outputLength: 65_537 }).update(String(seed)).digest()
  const made = new Uint8Array(bytes)
  for (let at = 0; at < bytes; at += block.length) made.set(block.subarray(0, bytes - at), at)
  return made
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** Sessions of a test, to be ended after it. */
const senders: Sender[] = []

/** A page in a browser that has a profile of its own on the disk. */
class Receiving {
  readonly downloads: Download[] = []
  readonly problems: string[] = []

  readonly context: BrowserContext
  readonly page: Page

  private constructor(context: BrowserContext, page: Page) {
    this.context = context
    this.page = page
  }

  /** Without a profile the window is a private one. `prepare` runs in the page before its own script. */
  static async open(url: string, profile: string, prepare?: () => void): Promise<Receiving> {
    const args = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run']
    const executablePath = EXECUTABLE
    const context =
      profile === ''
        ? await (await chromium.launch({ executablePath, args })).newContext()
        : await chromium.launchPersistentContext(profile, { executablePath, args })
    const page = context.pages()[0] ?? (await context.newPage())
    const opened = new Receiving(context, page)
    page.on('pageerror', (error) => opened.problems.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error') opened.problems.push(`${message.text()} ${message.location().url}`)
    })
    page.on('download', (download) => opened.downloads.push(download))
    page.setDefaultTimeout(20_000)
    if (prepare) await page.addInitScript(prepare)
    await page.goto(url)
    return opened
  }

  /** Enters a sender's code, and is let in. */
  async pair(relay: string): Promise<PairedDevice> {
    const sender = await Sender.open({ relay, takes: { offers: true } })
    senders.push(sender)
    await this.page.fill('#code', sender.code)
    await this.press('Connect')
    const { value: request } = await sender.requests()[Symbol.asyncIterator]().next()
    if (!request) throw new Error('nobody came')
    const device: PairedDevice = await request.approve()
    await this.page.getByText('Both devices show').waitFor()
    return device
  }

  press(name: string): Promise<void> {
    return this.page.getByRole('button', { name }).last().click()
  }

  async says(text: string): Promise<void> {
    try {
      await this.page.getByText(text).last().waitFor()
    } catch {
      throw new Error(`not ${JSON.stringify(text)}, but: ${await this.page.textContent('main')}`)
    }
  }

  /** The files that the browser's own storage has for the page. */
  stored(): Promise<string[]> {
    return this.page.evaluate(async () => {
      const found: string[] = []
      const walk = async (folder: FileSystemDirectoryHandle, path: string): Promise<void> => {
        const all = folder as unknown as { values(): AsyncIterable<FileSystemDirectoryHandle | FileSystemFileHandle> }
        for await (const each of all.values())
          if (each.kind === 'file') found.push(`${path}${each.name}`)
          else await walk(each, `${path}${each.name}/`)
      }
      await walk(await navigator.storage.getDirectory(), '')
      return found
    })
  }

  /** Names and digests of what was downloaded, once it is so many files. */
  async downloaded(count: number): Promise<Record<string, string>> {
    await expect.poll(() => this.downloads.length).toBe(count)
    const all = this.downloads.map(async (download) => {
      const path = await download.path()
      return [download.suggestedFilename(), sha256(await readFile(path))] as const
    })
    return Object.fromEntries(await Promise.all(all))
  }

  async close(): Promise<void> {
    await this.context.close()
    await this.context.browser()?.close()
  }
}

/** The first process of the browser that has this profile. */
function processOf(profile: string): number {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    let command = ''
    try {
      command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    } catch {
      // Already ended.
    }
    if (command.includes(profile) && !command.includes('--type=')) return Number(pid)
  }
  throw new Error('no such browser')
}

/** Memory of a sender, so that a later offer of the same goes on. */
function remembering(): Transfers {
  const tokens = new Map<string, string>()
  return {
    tokensOf: async (keys) => [...tokens].flatMap(([token, its]) => (its === keys.join() ? [token] : [])),
    put: async (token, keys) => void tokens.set(token, keys.join()),
    remove: async (token) => void tokens.delete(token),
  }
}

if (WITHOUT_CHROMIUM) process.stderr.write(`\nThe tests of saving are skipped: ${WITHOUT_CHROMIUM}\n`)

describe.skipIf(WITHOUT_CHROMIUM)('saving', () => {
  let relay: RelayProcess
  let url: string
  let directory: string
  let profile: string
  let receiving: Receiving

  beforeAll(async () => {
    relay = await startRelayProcess()
    url = `http://localhost:${relay.port}/`
  })

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pairlay-saving-'))
    profile = join(directory, 'profile')
  })

  afterEach(async () => {
    await Promise.all(senders.splice(0).map((sender) => sender.cancel()))
    await receiving?.close().catch(() => {})
    expect(receiving?.problems).toEqual([])
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  })

  afterAll(async () => {
    await relay?.stop()
    expect(relay?.failures).toEqual([])
  })

  async function paired(prepare?: () => void, where = profile): Promise<PairedDevice> {
    receiving = await Receiving.open(url, where, prepare)
    return receiving.pair(relay.url)
  }

  test('kept in the browser until it is complete, saved, and gone after Done', async () => {
    const bytes = content(KEPT_BYTES, 1)
    const sent = (await paired()).send([bytesSource(bytes, 'film.mkv')])
    await receiving.says('It is kept in this browser until it is complete and checked')
    await receiving.press('Save 70 MB')
    await expect(sent).resolves.toMatchObject({ bytes: KEPT_BYTES, skipped: 0 })
    await receiving.says('Your browser is putting it into its downloads.')
    expect(await receiving.downloaded(1)).toEqual({ 'film.mkv': sha256(bytes) })
    expect(await receiving.stored()).toHaveLength(3)
    await receiving.press('Save again')
    await expect.poll(() => receiving.downloads.length).toBe(2)
    await receiving.press('Done')
    await expect.poll(() => receiving.stored()).toEqual([])
  })

  test('what the sender was told is delivered survives the end of the browser', async () => {
    const bytes = content(KEPT_BYTES, 2)
    const sent = (await paired()).send([bytesSource(bytes, 'film.mkv')])
    await receiving.press('Save 70 MB')
    await sent
    const gone = receiving.context.waitForEvent('close')
    process.kill(processOf(profile), 'SIGKILL')
    await gone
    receiving = await Receiving.open(url, profile)
    await receiving.says('Received earlier, not saved yet')
    await receiving.press('Save')
    expect(await receiving.downloaded(1)).toEqual({ 'film.mkv': sha256(bytes) })
    await receiving.press('Delete')
    await expect.poll(() => receiving.stored()).toEqual([])
    expect(await receiving.page.getByText('Received earlier').count()).toBe(0)
  })

  test('what is cut goes on in a later session, from where it was', async () => {
    const bytes = content(KEPT_BYTES, 3)
    const transfers = remembering()
    const stops = new AbortController()
    const source = (stopAt: number): Source => ({
      name: 'film.mkv',
      size: bytes.length,
      key: '/home/me/film.mkv',
      open: async function* (offset = 0) {
        for (let at = offset; at < bytes.length; at += MB) {
          if (at >= stopAt) await new Promise((resolve) => stops.signal.addEventListener('abort', resolve))
          yield bytes.subarray(at, Math.min(bytes.length, at + MB))
        }
      },
    })
    const first = (await paired()).send([source(40 * MB)], { transfers })
    await receiving.press('Save 70 MB')
    await receiving.says('40 MB of 70 MB')
    const cut = expect(first).rejects.toBeInstanceOf(PairingError)
    receiving.page.once('dialog', (dialog) => void dialog.accept())
    await receiving.page.reload()
    await senders.pop()?.cancel()
    await cut
    stops.abort()
    await receiving.says('Send it again and it goes on from there.')
    let has = 0
    const device = await receiving.pair(relay.url)
    const second = device.send([source(Infinity)], { transfers, onAnswer: (bytes) => (has = bytes) })
    await receiving.press('Save 70 MB')
    await second
    expect(has).toBeGreaterThan(35 * MB)
    expect(await receiving.downloaded(1)).toEqual({ 'film.mkv': sha256(bytes) })
  })

  test('a private window keeps it too', async () => {
    const bytes = content(100 * MB, 4)
    const sent = (await paired(undefined, '')).send([bytesSource(bytes, 'film.mkv')])
    await receiving.press('Save 100 MB')
    await expect(sent).resolves.toMatchObject({ bytes: bytes.length })
    expect(await receiving.downloaded(1)).toEqual({ 'film.mkv': sha256(bytes) })
  })

  test('no room: no receipt, both sides say it, and nothing stays', async () => {
    const to = await paired()
    const sent = expect(to.send([bytesSource(content(KEPT_BYTES, 5), 'film.mkv')])).rejects.toMatchObject({
      code: 'no_space',
    })
    await receiving.says('Take this?')
    const session = await receiving.context.newCDPSession(receiving.page)
    await session.send('Storage.overrideQuotaForOrigin', { origin: new URL(url).origin, quotaSize: 20 * MB })
    await receiving.press('Save 70 MB')
    await sent
    await receiving.says('There is no room for it here. Free some space and let it be sent again.')
    await expect.poll(() => receiving.stored()).toEqual([])
  })

  test('too large for a window without storage: no Save, and the sender hears why', async () => {
    const to = await paired(withoutStorage)
    const sent = expect(to.send([{ ...bytesSource(new Uint8Array(), 'a'), size: 300 * MB }])).rejects.toMatchObject({
      code: 'no_space',
    })
    await receiving.says('This browser window can take 256 MB, and this is 300 MB.')
    expect(await receiving.page.getByRole('button', { name: 'Save 300 MB' }).count()).toBe(0)
    await receiving.press('No, thanks')
    await sent
  })

  test('of unknown size in memory: ends at its bound, and says which', async () => {
    const to = await paired(withoutStorage)
    const endless = new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array(MB)) })
    const sent = expect(to.send([streamSource(endless, 'pipe')])).rejects.toMatchObject({ code: 'no_space' })
    await receiving.says('Its size is not known.')
    await receiving.press('Save')
    await sent
    await receiving.says('This browser window can take 256 MB, and this is more.')
  })

  test('at a place that is picked: there with its name when the sender hears of it', async () => {
    const bytes = content(3 * MB, 6)
    const to = await paired(withPicker)
    const pipe = new Blob([bytes as BlobPart]).stream() as ReadableStream<Uint8Array>
    const sent = to.send([streamSource(pipe, 'pipe.bin')])
    await receiving.says('You choose where it is saved.')
    // The first time the person changes their mind.
    await receiving.press('Choose where to save')
    await receiving.press('Choose where to save')
    await expect(sent).resolves.toMatchObject({ bytes: bytes.length })
    expect(await readStored('pipe.bin')).toBe(sha256(bytes))
    await receiving.says('Saved as pipe.bin')
    expect(receiving.downloads).toEqual([])
  })

  test('a folder at a place that is picked is an archive there', async () => {
    const to = await paired(withPicker)
    await receiving.page.evaluate(() => {
      navigator.storage.estimate = async () => ({ quota: 0, usage: 0 })
    })
    const parts = [content(60 * MB, 7), content(5 * MB, 8)]
    const sent = to.send(parts.map((bytes, n) => bytesSource(bytes, `folder/${n}/a.bin`)))
    await receiving.press('Choose where to save')
    await receiving.press('Choose where to save')
    await sent
    const zip = await receiving.page.evaluate(async () => {
      const file = await (await (await navigator.storage.getDirectory()).getFileHandle('folder.zip')).getFile()
      const link = document.createElement('a')
      link.href = URL.createObjectURL(file)
      link.download = 'folder.zip'
      link.click()
      return file.size
    })
    expect(zip).toBeGreaterThan(65 * MB)
    await expect.poll(() => receiving.downloads.length).toBe(1)
    expectFolder(await (receiving.downloads[0] as Download).path(), parts)
  })

  test.each([
    ['in memory', MB],
    ['kept', 34 * MB],
  ])('a folder %s is one archive', async (_, each) => {
    const to = await paired()
    const parts = [content(each, 9), content(each + 1, 10)]
    const sent = to.send(parts.map((bytes, n) => bytesSource(bytes, `folder/${n}/a.bin`)))
    await receiving.press('Save')
    await sent
    await expect.poll(() => receiving.downloads.length).toBe(1)
    const [download] = receiving.downloads as [Download]
    expect(download.suggestedFilename()).toBe('folder.zip')
    expectFolder(await download.path(), parts)
  })

  test('thirty files are thirty downloads, and equal names differ', async () => {
    const to = await paired()
    const names = Array.from({ length: 30 }, (_, n) => (n < 28 ? `${n}.txt` : n === 28 ? 'a?.txt' : 'a:.txt'))
    const sent = to.send(names.map((name, n) => bytesSource(content(1_000 + n, n), name)))
    await receiving.press('Save')
    await sent
    const expected = names.map((name, n) => {
      const saved = n < 28 ? name : n === 28 ? 'a_.txt' : 'a_ (2).txt'
      return [saved, sha256(content(1_000 + n, n))]
    })
    expect(await receiving.downloaded(30)).toEqual(Object.fromEntries(expected))
  })

  test('on a phone nothing is saved by itself: the share sheet or the downloads, as the person likes', async () => {
    const bytes = content(MB, 11)
    const sent = (await paired(withShareSheet)).send([bytesSource(bytes, 'photo.jpg', 'image/jpeg')])
    await receiving.press('Save 1 MB')
    await sent
    await receiving.press('Save to Photos or share')
    const shared = () => receiving.page.evaluate(() => (globalThis as unknown as { shared: string[] }).shared)
    await expect.poll(shared).toEqual([`photo.jpg image/jpeg ${MB}`])
    expect(receiving.downloads).toEqual([])
    await receiving.press('Save to Downloads')
    expect(await receiving.downloaded(1)).toEqual({ 'photo.jpg': sha256(bytes) })
  })

  test('a browser that drops downloads says it before anything is received', async () => {
    receiving = await Receiving.open(url, profile, () => {
      Object.defineProperty(navigator, 'userAgent', { value: `${navigator.userAgent} Instagram 300.0` })
    })
    await receiving.says('This app’s browser cannot save files. Open this page in your browser.')
  })

  test('the policy gives out no address but the worker’s', async () => {
    await paired()
    const outcome = await receiving.page.evaluate(() => {
      const { trustedTypes } = globalThis as unknown as {
        trustedTypes: { createPolicy(name: string, rules: object): object }
      }
      const tries = [
        () => trustedTypes.createPolicy('pairlay', {}),
        () => trustedTypes.createPolicy('other', {}),
        () => new Worker('/assets/anything.js'),
      ]
      return tries.map((attempt) => {
        try {
          attempt()
          return 'allowed'
        } catch (error) {
          return (error as Error).name
        }
      })
    })
    expect(outcome).toEqual(['TypeError', 'TypeError', 'TypeError'])
    // The browser reports what it has refused.
    receiving.problems.length = 0
  })

  function expectFolder(path: string, parts: readonly Uint8Array[]): void {
    expect(execFileSync('unzip', ['-Z1', path], { encoding: 'utf8' })).toBe('folder/0/a.bin\nfolder/1/a.bin\n')
    for (const [n, bytes] of parts.entries()) {
      const options = { maxBuffer: 200 * MB }
      expect(sha256(execFileSync('unzip', ['-p', path, `folder/${n}/a.bin`], options))).toBe(sha256(bytes))
    }
  }

  function readStored(name: string): Promise<string> {
    return receiving.page.evaluate(async (wanted) => {
      const file = await (await (await navigator.storage.getDirectory()).getFileHandle(wanted)).getFile()
      const digest = await crypto.subtle.digest('SHA-256', await file.arrayBuffer())
      return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
    }, name)
  }
})

/** Runs in the page: neither storage nor a picker. */
function withoutStorage(): void {
  navigator.storage.getDirectory = () => Promise.reject(new DOMException('', 'SecurityError'))
  Reflect.deleteProperty(globalThis, 'showSaveFilePicker')
}

/** Runs in the page: a picker that is closed the first time, and then gives a file in the browser's storage. */
function withPicker(): void {
  let asked = 0
  Object.assign(globalThis, {
    showSaveFilePicker: async ({ suggestedName }: { suggestedName: string }) => {
      if (asked++ === 0) throw new DOMException('', 'AbortError')
      return (await navigator.storage.getDirectory()).getFileHandle(suggestedName, { create: true })
    },
  })
}

/** Runs in the page: a finger, and a share sheet that takes files. */
function withShareSheet(): void {
  const shared: string[] = []
  const real = globalThis.matchMedia.bind(globalThis)
  Object.assign(globalThis, {
    shared,
    matchMedia: (query: string) => (query === '(pointer: coarse)' ? { matches: true } : real(query)),
  })
  Object.assign(navigator, {
    canShare: () => true,
    share: async ({ files }: { files: File[] }) => {
      shared.push(...files.map(({ name, type, size }) => `${name} ${type} ${size}`))
    },
  })
}

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { PAIRING_ERRORS } from '../../../src/client/index.ts'
import { checkSymbol } from '../../../src/crypto/pairing-code.ts'
import { CuttingProxy } from '../../support/cutting-proxy.ts'
import { type Bundle, bundle, SDK } from './bundle.ts'
import { type DevicePage, openPage, startChromium, WITHOUT_CHROMIUM } from './chromium.ts'
import { blocksOf, type Content } from './content.ts'
import type { ItemPlan } from './device.ts'
import { JsonProcess, pipeOut } from './processes.ts'
import { Site } from './site.ts'

const DEVICE = fileURLToPath(new URL('device.ts', import.meta.url))
const MIB = 1024 * 1024

/** Bytes that may be under way before it is said that they were read, and a frame and a block in the making. */
const HELD_MAX_BYTES = 6 * MIB

const FILES: readonly (Content & { readonly name: string })[] = [
  { name: 'photo.jpg', bytes: 3 * MIB + 17, seed: 1 },
  { name: 'empty.txt', bytes: 0, seed: 2 },
  { name: 'näme 名.bin', bytes: 2 * MIB, seed: 3 },
  { name: 'one byte', bytes: 1, seed: 4 },
]
const FILES_BYTES = FILES.reduce((sum, { bytes }) => sum + bytes, 0)
const LONG: Content = { bytes: 8 * MIB, seed: 5 }

if (WITHOUT_CHROMIUM) process.stderr.write(`\nThe browser tests are skipped: ${WITHOUT_CHROMIUM}\n`)

describe.skipIf(WITHOUT_CHROMIUM)('the SDK in Chromium', () => {
  let directory: string
  let sdk: Bundle
  let site: Site
  let browser: Browser
  let relay: JsonProcess
  let relayUrl: string
  let pages: DevicePage[] = []
  /** Processes that a test started, to be ended after it. */
  let cleanups: (() => Promise<void>)[] = []

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pairlay-browser-'))
    relay = JsonProcess.relay()
    sdk = await bundle(SDK, 'pairlay', directory)
    const device = await bundle(DEVICE, 'device', directory)
    site = await Site.start(directory, sdk, device)
    browser = await startChromium()
    relayUrl = await urlOf(relay)
  })

  afterAll(async () => {
    await browser?.close()
    await site?.close()
    await relay?.kill()
    await rm(directory, { recursive: true, force: true })
  })

  afterEach(async () => {
    const problems = pages.flatMap((each) => each.problems)
    for (const { page } of pages) await page.context().close()
    for (const cleanup of cleanups.reverse()) await cleanup()
    pages = []
    cleanups = []
    // No test of this file may leave an uncaught error in a page.
    expect(problems).toEqual([])
  })

  async function open(url = site.origin) {
    const opened = await openPage(browser, url)
    pages.push(opened)
    return opened.page
  }

  function cli(args: readonly string[], input?: Iterable<Uint8Array>) {
    const started = JsonProcess.cli(relayUrl, args, { input })
    cleanups.push(() => started.kill())
    return started
  }

  async function emptyDirectory() {
    const made = await mkdtemp(join(directory, 'files-'))
    cleanups.push(() => rm(made, { recursive: true }))
    return made
  }

  async function proxy(cutsAfter: readonly number[]) {
    const started = await CuttingProxy.start(Number(new URL(relayUrl).port))
    started.cutAt(cutsAfter)
    cleanups.push(() => started.close())
    return started
  }

  /** Starts `pairlay send` of a pipe and resolves with its code. */
  async function cliSends(content: Content) {
    const sending = cli(['send', '-'], blocksOf(content))
    const { code } = await sending.event('code')
    return { sending, code: String(code) }
  }

  /** A page sends through a proxy that cuts it off twice, and the CLI receives. */
  async function sendCutTwice(between: CuttingProxy) {
    const page = await open()
    const items: ItemPlan[] = [{ ...LONG, name: 'cut twice', as: 'blob' }]
    const code = await page.evaluate((plan) => device.send(plan), { relay: between.url, items })
    const output = await emptyDirectory()
    const receiving = cli(['receive', code, '-o', output])
    const outcome = await page.evaluate(() => device.sent())
    expect(between.cuts).toBe(2)
    expect(outcome).toMatchObject({ failure: undefined, receipts: [LONG.bytes] })
    expect(await receiving.ended).toBe(0)
    expect(await digestsIn(output)).toEqual({ 'cut twice': sha256Of(LONG) })
    return outcome.statuses
  }

  test('Blobs from a page arrive at the CLI, and both show the same number', async () => {
    const page = await open()
    const items: ItemPlan[] = FILES.map((file) => ({ ...file, as: 'blob' }))
    const code = await page.evaluate((plan) => device.send(plan), { relay: relayUrl, items })
    const output = await emptyDirectory()
    const receiving = cli(['receive', code, '-o', output])
    const outcome = await page.evaluate(() => device.sent())
    expect(outcome).toMatchObject({ failure: undefined, receipts: [FILES_BYTES], statuses: ['connected'] })
    expect(await receiving.ended).toBe(0)
    expect(await digestsIn(output)).toEqual(digestsOf(FILES))
    expect((await receiving.event('number')).matchNumber).toBe(outcome.matchNumber)
  })

  test('a page loads no chunk that only Node needs', async () => {
    const before = site.asked.length
    const page = await open()
    await page.evaluate((plan) => device.send(plan), { relay: relayUrl, items: [] })
    const asked = site.asked.slice(before).sort()
    expect(asked).toEqual(['/', '/device.js', '/page.js', ...sdk.loaded.map((file) => `/${file}`)].sort())
  })

  test('files from the CLI arrive at a page', async () => {
    const source = await emptyDirectory()
    for (const file of FILES) await writeFile(join(source, file.name), Buffer.concat([...blocksOf(file)]))
    const sending = cli(['send', ...FILES.map(({ name }) => join(source, name))])
    const { code } = await sending.event('code')
    const page = await open()
    await page.evaluate((plan) => device.receive(plan), { relay: relayUrl, code: String(code) })
    const outcome = await page.evaluate(() => device.received())
    expect(outcome).toMatchObject({ failure: undefined, statuses: ['connected'] })
    expect(outcome.items).toEqual(
      FILES.map((file) => ({ name: file.name, size: file.bytes, bytes: file.bytes, sha256: sha256Of(file) })),
    )
    expect(await sending.ended).toBe(0)
    expect((await sending.event('request')).matchNumber).toBe(outcome.matchNumber)
    expect((await sending.event('request')).name).toBe('a page')
  })

  test('what one page sends arrives at another', async () => {
    const [from, to] = [await open(), await open()]
    const items: ItemPlan[] = FILES.map((file, index) => ({ ...file, as: index % 2 ? 'bytes' : 'blob' }))
    const code = await from.evaluate((plan) => device.send(plan), { relay: relayUrl, items })
    await to.evaluate((plan) => device.receive(plan), { relay: relayUrl, code })
    const received = await to.evaluate(() => device.received())
    const sent = await from.evaluate(() => device.sent())
    expect(sent).toMatchObject({ failure: undefined, receipts: [FILES_BYTES] })
    expect(received.failure).toBeUndefined()
    expect(received.items.map(({ sha256 }) => sha256)).toEqual(FILES.map(sha256Of))
    expect(received.matchNumber).toBe(sent.matchNumber)
  })

  test('a page whose connection is cut while it sends continues where it was', async () => {
    const statuses = await sendCutTwice(await proxy([2 * MIB, 5 * MIB]))
    expect(statuses).toEqual(['connected', 'reconnecting', 'connected', 'reconnecting', 'connected'])
  })

  test('a page whose connection is cut while it receives continues where it was', async () => {
    const between = await proxy([2 * MIB, 5 * MIB])
    const { sending, code } = await cliSends(LONG)
    const page = await open()
    await page.evaluate((plan) => device.receive(plan), { relay: between.url, code })
    const outcome = await page.evaluate(() => device.received())
    expect(between.cuts).toBe(2)
    expect(outcome).toMatchObject({
      failure: undefined,
      statuses: ['connected', 'reconnecting', 'connected', 'reconnecting', 'connected'],
    })
    expect(outcome.items.map(({ sha256 }) => sha256)).toEqual([sha256Of(LONG)])
    expect(await sending.ended).toBe(0)
  })

  test('a page for which no WebSocket passes sends over HTTP, and another receives over it, as strict as its policy is', async () => {
    const between = await proxy([])
    between.refusesSockets = true
    const [from, to] = [await open(), await open()]
    const items: ItemPlan[] = FILES.map((file) => ({ ...file, as: 'blob' }))
    const code = await from.evaluate((plan) => device.send(plan), { relay: between.url, items })
    await to.evaluate((plan) => device.receive(plan), { relay: between.url, code })
    const received = await to.evaluate(() => device.received())
    const sent = await from.evaluate(() => device.sent())
    const told = ['reconnecting', 'over HTTP', 'connected']
    expect(sent).toMatchObject({ failure: undefined, receipts: [FILES_BYTES], statuses: told })
    expect(received).toMatchObject({ failure: undefined, statuses: told })
    expect(received.items.map(({ sha256 }) => sha256)).toEqual(FILES.map(sha256Of))
    expect(between.refused).toBe(4)
  })

  test('a page over HTTP whose connections are cut while it sends continues where it was', async () => {
    const between = await proxy([2 * MIB, 5 * MIB])
    between.refusesSockets = true
    const statuses = await sendCutTwice(between)
    // How often it had to attach again is up to the browser, which may repeat a lost request itself.
    expect(statuses.slice(0, 3)).toEqual(['reconnecting', 'over HTTP', 'connected'])
    expect(statuses.filter((each) => each === 'over HTTP')).toHaveLength(1)
  })

  test('a page with a wrong code is told so and gets nothing; the CLI counts it and serves the right one', async () => {
    const { sending, code } = await cliSends(LONG)
    const [wrong, right] = [await open(), await open()]
    await wrong.evaluate((plan) => device.receive(plan), { relay: relayUrl, code: wrongSecretOf(code) })
    const refused = await wrong.evaluate(() => device.received())
    expect(refused.failure).toEqual({ name: 'PairingError', code: 'wrong_code', message: PAIRING_ERRORS.wrong_code })
    expect(refused).toMatchObject({ matchNumber: undefined, items: [] })
    expect(await sending.event('failed_attempt')).toMatchObject({ wrongCode: 1, timedOut: 0 })
    await right.evaluate((plan) => device.receive(plan), { relay: relayUrl, code })
    const outcome = await right.evaluate(() => device.received())
    expect(outcome.failure).toBeUndefined()
    expect(outcome.items).toEqual([{ name: 'stdin', size: undefined, bytes: LONG.bytes, sha256: sha256Of(LONG) }])
    expect(await sending.ended).toBe(0)
    expect((await sending.event('request')).verified).toBe(1)
  })

  test('a wrong code at the CLI is counted in the page', async () => {
    const page = await open()
    const items: ItemPlan[] = [{ ...LONG, name: 'kept', as: 'blob' }]
    const code = await page.evaluate((plan) => device.send(plan), { relay: relayUrl, items })
    const output = await emptyDirectory()
    expect(await cli(['receive', wrongSecretOf(code), '-o', output]).ended).toBe(3)
    expect(await cli(['receive', code, '-o', output]).ended).toBe(0)
    const outcome = await page.evaluate(() => device.sent())
    expect(outcome).toMatchObject({
      failure: undefined,
      receipts: [LONG.bytes],
      failedAttempts: { wrongCode: 1, timedOut: 0 },
    })
  })

  test('a page that receives leaves by its AbortSignal, and the CLI says that nothing was confirmed', async () => {
    const { sending, code } = await cliSends(LONG)
    const page = await open()
    await page.evaluate((plan) => device.receive(plan), { relay: relayUrl, code, leaveAfterBytes: MIB })
    const outcome = await page.evaluate(() => device.received())
    expect(outcome.failure).toMatchObject({ name: 'PairingError', code: 'aborted' })
    expect(outcome.items).toEqual([])
    expect((await sending.event('not_delivered')).code).toBe('not_delivered')
    expect(await sending.ended).toBe(5)
  })

  test('a page that sends leaves by its AbortSignal, and the CLI keeps no more than a partial', async () => {
    const page = await open()
    const items: ItemPlan[] = [{ ...LONG, name: 'left', as: 'blob' }]
    const plan = { relay: relayUrl, items, leaveAfterBytes: MIB }
    const code = await page.evaluate((each) => device.send(each), plan)
    const output = await emptyDirectory()
    const receiving = cli(['receive', code, '-o', output])
    const outcome = await page.evaluate(() => device.sent())
    expect(outcome).toMatchObject({ failure: undefined, receipts: ['aborted'] })
    expect(await receiving.ended).toBe(5)
    expect((await readdir(output)).filter((name) => !name.endsWith('.part'))).toEqual([])
  })

  test('a relay takes pages of the origins it lists, and no others', async () => {
    const strict = JsonProcess.relay({ CORS_ORIGINS: `https://app.example,${site.origin}` })
    cleanups.push(() => strict.kill())
    const plan = { relay: await urlOf(strict), items: [] }
    const [listed, other] = [await open(), await open(`http://localhost:${site.port}`)]
    await expect(listed.evaluate((each) => device.send(each), plan)).resolves.toMatch(/^\w{5}-\w{6}$/)
    await expect(other.evaluate((each) => device.send(each), plan)).rejects.toThrow(PAIRING_ERRORS.relay_unreachable)
  })

  test('200 MiB stream from a page to a pipe, and the page holds no more of them than a window', async () => {
    const content: Content = { bytes: 200 * MIB, seed: 6 }
    const page = await open()
    const items: ItemPlan[] = [{ ...content, name: 'long', as: 'stream' }]
    const code = await page.evaluate((plan) => device.send(plan), { relay: relayUrl, items })
    const piping = pipeOut(relayUrl, code)
    cleanups.push(piping.kill)
    const outcome = await page.evaluate(() => device.sent())
    expect(outcome).toMatchObject({ failure: undefined, receipts: [content.bytes] })
    expect(outcome.heldBytes).toBeLessThan(HELD_MAX_BYTES)
    expect(await piping.ended).toEqual({ exitCode: 0, bytes: content.bytes, sha256: sha256Of(content) })
    const seconds = outcome.ms / 1000
    const result = `200 MiB in ${seconds.toFixed(1)} s, ${(content.bytes / 1e6 / seconds).toFixed(0)} MB/s`
    process.stdout.write(`\nFrom a page to the CLI: ${result}, at most ${outcome.heldBytes} bytes held in the page\n`)
  })
})

async function urlOf(relay: JsonProcess): Promise<string> {
  const { port } = await relay.line('msg', 'the relay is ready')
  return `http://127.0.0.1:${port}`
}

/** The code with another secret that is as well-formed. */
function wrongSecretOf(code: string): string {
  const [locator = '', rest = ''] = code.split('-')
  const secret = `${rest.slice(0, 4)}${rest[4] === '7' ? '8' : '7'}`
  return `${locator}-${secret}${checkSymbol(locator + secret)}`
}

function sha256Of(content: Content): string {
  const hash = createHash('sha256')
  for (const block of blocksOf(content)) hash.update(block)
  return hash.digest('hex')
}

function digestsOf(files: readonly (Content & { readonly name: string })[]): Record<string, string> {
  return Object.fromEntries(files.map((file) => [file.name, sha256Of(file)]))
}

async function digestsIn(directory: string): Promise<Record<string, string>> {
  const digests: Record<string, string> = {}
  for (const name of await readdir(directory)) {
    const hash = createHash('sha256')
    for await (const piece of createReadStream(join(directory, name))) hash.update(piece)
    digests[name] = hash.digest('hex')
  }
  return digests
}

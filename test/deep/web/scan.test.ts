import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import encodeQR from 'qr'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { generatePairingCode } from '../../../src/crypto/pairing-code.ts'
import { WITHOUT_CHROMIUM } from '../browser/chromium.ts'
import { JsonProcess } from '../browser/processes.ts'
import { Person } from './person.ts'

const WIDTH = 640
const HEIGHT = 480
const PAPER = 235
const INK = 20
const CODE = generatePairingCode((bytes) => new Uint8Array(bytes).fill(9)).text

/** How a code lies before a camera: its side in pixels, and by how many degrees it is turned. */
interface Pose {
  readonly side: number
  readonly degrees: number
}

/** A film of one picture, as Chromium's camera that is none plays it (YUV4MPEG2, 4:2:0, grey). */
function film(text: string, { side, degrees }: Pose): Buffer {
  const modules = encodeQR(text, 'raw', { ecc: 'medium', border: 4 })
  const luma = Buffer.alloc(WIDTH * HEIGHT, 128)
  const [sin, cos] = [Math.sin((degrees * Math.PI) / 180), Math.cos((degrees * Math.PI) / 180)]
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const [dx, dy] = [x - WIDTH / 2, y - HEIGHT / 2]
      const column = Math.floor(((dx * cos + dy * sin) / side + 0.5) * modules.length)
      const row = Math.floor(((dy * cos - dx * sin) / side + 0.5) * modules.length)
      const module = modules[row]?.[column]
      if (module !== undefined) luma[y * WIDTH + x] = module ? INK : PAPER
    }
  }
  const chroma = Buffer.alloc((WIDTH * HEIGHT) / 2, 128)
  const frame = Buffer.concat([Buffer.from('FRAME\n'), luma, chroma])
  return Buffer.concat([Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F10:1 Ip A1:1 C420jpeg\n`), frame, frame])
}

describe.skipIf(WITHOUT_CHROMIUM)('the scanner', () => {
  let relay: JsonProcess
  let url: string
  let browser: Browser
  const folder = mkdtempSync(join(tmpdir(), 'pairlay-scan-'))

  beforeAll(async () => {
    relay = JsonProcess.relay({ CORS_ORIGINS: '' })
    const { port } = await relay.line('msg', 'the relay is ready')
    url = `http://127.0.0.1:${port}/`
  })

  afterEach(() => browser?.close())

  afterAll(async () => {
    await relay?.kill()
    rmSync(folder, { recursive: true })
  })

  async function scanning(...args: string[]): Promise<Person> {
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
      args: ['--headless', '--no-sandbox', '--disable-gpu', ...args],
    })
    const person = await Person.at(browser, url)
    await person.press('Scan the QR code')
    return person
  }

  function filmed(text: string, pose: Pose): Promise<Person> {
    const path = join(folder, 'film.y4m')
    writeFileSync(path, film(text, pose))
    return scanning(
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
      `--use-file-for-fake-video-capture=${path}`,
    )
  }

  test.each([
    ['near', { side: 420, degrees: 0 }],
    ['small and tilted', { side: 190, degrees: 17 }],
  ])('finds a code that is %s, fills the field, and joins nothing', async (_, pose) => {
    const person = await filmed(`${url}#${CODE}`, pose)
    await person.sees('Receive')
    expect(await person.page.getByLabel('Code', { exact: true }).inputValue()).toBe(CODE)
    expect(await person.page.evaluate(() => document.activeElement?.textContent)).toBe('Connect')
    expect(person.problems).toEqual([])
  })

  test("names the place that another relay's code is from, and goes on looking", async () => {
    const person = await filmed(`https://other.example/#${CODE}`, { side: 420, degrees: 0 })
    await person.reads('This code is from another place: https://other.example.')
    await person.press('Back')
    await person.sees('Hand something')
    expect(person.problems).toEqual([])
  })

  test('says what a code is not', async () => {
    const person = await filmed('WIFI:S:home;;', { side: 420, degrees: 0 })
    await person.reads('That is not a Pairlay code.')
  })

  test('says that the camera was not allowed, or that there is none', async () => {
    const denied = await scanning('--deny-permission-prompts', '--use-fake-device-for-media-stream')
    await denied.reads('The camera was not allowed. Type the code instead.')
    await browser.close()
    const none = await scanning('--use-fake-ui-for-media-stream')
    await none.reads('There is no camera here. Type the code instead.')
  })
})

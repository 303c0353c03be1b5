import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { stripVTControlCharacters } from 'node:util'
import decodeQR from 'qr/decode.js'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { hasPage, qrCode } from '../../src/cli/qr.ts'
import { withLastTest } from '../support/leftovers.ts'

const LINK = 'https://relay.example/#K7QM3-XPDT28'
const SIZE = { columns: 33, rows: 24 }

/** A server at an address of another machine. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  withLastTest(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://0.0.0.0:${(server.address() as AddressInfo).port}`
}

describe('a relay that answers /version', () => {
  const answers: readonly (readonly [string, RequestListener, boolean])[] = [
    ['with a page has one', (_, response) => response.end('{"name":"pairlay","page":true}'), true],
    ['with none has none', (_, response) => response.end('{"page":false}'), false],
    ['with null has none', (_, response) => response.end('null'), false],
    ['as a relay without the field has none', (_, response) => response.end('{"name":"pairlay"}'), false],
    ['with HTML has none', (_, response) => response.end('<!doctype html>'), false],
    ['with an error has none', (_, response) => response.writeHead(404).end('{"page":true}'), false],
    ['with a redirect has none', (_, response) => response.writeHead(302, { location: '/elsewhere' }).end(), false],
    ['with too much has none', (_, response) => response.end(`{"page":true,"x":"${'x'.repeat(5_000)}"}`), false],
    ['by hanging up has none', (_, response) => response.destroy(), false],
  ]

  test.each(answers)('%s', async (_, listener, expected) => {
    expect(await hasPage(await serve(listener))).toBe(expected)
  })

  test('at an address that no other machine reaches is not asked', async () => {
    const asked = vi.fn<RequestListener>((_, response) => response.end('{"page":true}'))
    const here = (await serve(asked)).replace('0.0.0.0', '127.0.0.1')
    expect([await hasPage(here), asked.mock.calls]).toEqual([false, []])
  })
})

describe('a QR code', () => {
  afterEach(() => {
    vi.unstubAllEnvs()
  })

  /** Reads what a terminal shows, with blocks of this brightness. */
  function decoded(drawn: string, block: number, ground: number): string {
    const rows = stripVTControlCharacters(drawn)
      .split('\n')
      .flatMap((line) => ['█▀', '█▄'].map((full) => [...line].map((cell) => (full.includes(cell) ? block : ground))))
    const scale = 4
    const width = (rows[0]?.length ?? 0) * scale
    const height = rows.length * scale
    const data = new Uint8Array(width * height * 4).fill(255)
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const light = rows[Math.floor(y / scale)]?.[Math.floor(x / scale)] ?? 0
        data.fill(light, (y * width + x) * 4, (y * width + x) * 4 + 3)
      }
    }
    return decodeQR({ width, height, data })
  }

  test('is dark on light in colours of its own, and light on the ground of a dark terminal with NO_COLOR', () => {
    vi.stubEnv('NO_COLOR', '')
    const coloured = qrCode(LINK, SIZE) ?? ''
    expect(coloured.startsWith('\u001b[30;107m')).toBe(true)
    expect(decoded(coloured, 0, 255)).toBe(LINK)
    vi.stubEnv('NO_COLOR', '1')
    const plain = qrCode(LINK, SIZE) ?? ''
    expect(stripVTControlCharacters(plain)).toBe(plain)
    expect(decoded(plain, 255, 0)).toBe(LINK)
  })

  test('is left out where it, or the lines below it, do not fit', () => {
    const lines = (qrCode(LINK, SIZE) ?? '').split('\n').length
    expect(qrCode(LINK, { columns: 33, rows: lines + 7 })).toBeDefined()
    expect(qrCode(LINK, { columns: 32, rows: 24 })).toBeUndefined()
    expect(qrCode(LINK, { columns: 33, rows: lines + 6 })).toBeUndefined()
  })
})

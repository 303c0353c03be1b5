import { hash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib'
import { type FastifyInstance, fastify } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PAGE_POLICY } from '../../src/protocol/page-policy.ts'
import { page } from '../../src/server/page.ts'

const INDEX = '<!doctype html><title>Pairlay</title>'
const SCRIPT = 'export const answer = 42\n'.repeat(50)

describe('the page', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pairlay-page-'))
  let app: FastifyInstance

  beforeAll(async () => {
    mkdirSync(join(folder, 'assets'))
    writeFileSync(join(folder, 'index.html'), INDEX)
    writeFileSync(join(folder, 'robots.txt'), 'User-agent: *\nDisallow: /v1/\n')
    writeFileSync(join(folder, 'assets/main-abc.js'), SCRIPT)
    writeFileSync(join(folder, 'assets/main-abc.js.br'), brotliCompressSync(SCRIPT))
    writeFileSync(join(folder, 'assets/main-abc.js.gz'), gzipSync(SCRIPT))
    app = fastify()
    const words = { name: 'The Lake Club', links: [{ text: 'Imprint', url: 'https://lake.example/' }] }
    await app.register(page, { folder: pathToFileURL(`${folder}/`), version: '1.2.3', words })
  })

  afterAll(async () => {
    await app.close()
    rmSync(folder, { recursive: true })
  })

  const get = (url: string, headers: Record<string, string> = {}) => app.inject({ url, headers })

  test.each(['/', '/index.html'])('is at %s, under its policy, and asked for again', async (path) => {
    const { statusCode, body, headers } = await get(path)
    expect([statusCode, body]).toEqual([200, INDEX])
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': PAGE_POLICY,
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'cache-control': 'no-cache',
      'x-robots-tag': 'noindex',
      etag: `"${hash('sha256', INDEX, 'base64url')}"`,
    })
  })

  test('has a policy that lets nothing in from elsewhere, nor a string become a script', () => {
    expect(PAGE_POLICY).toContain("default-src 'none'")
    expect(PAGE_POLICY).toContain("require-trusted-types-for 'script'")
    expect(PAGE_POLICY).not.toMatch(/unsafe|\*|https?:/)
  })

  test.each([
    ['br, gzip', 'br', brotliDecompressSync],
    ['gzip, deflate', 'gzip', gunzipSync],
    ['br;q=0, gzip;q=0.5', 'gzip', gunzipSync],
    ['GZIP', 'gzip', gunzipSync],
    ['identity', undefined, (body: Buffer) => body],
    ['', undefined, (body: Buffer) => body],
  ])('sends to who takes %j a body in %s', async (accepted, coding, unpack) => {
    const { rawPayload, headers } = await get('/assets/main-abc.js', { 'accept-encoding': accepted })
    expect(headers['content-encoding']).toBe(coding)
    expect(unpack(rawPayload).toString()).toBe(SCRIPT)
    expect(headers).toMatchObject({ vary: 'accept-encoding', 'cache-control': 'public, max-age=31536000, immutable' })
  })

  test('sends no body for what a browser has, and none for HEAD', async () => {
    const { headers } = await get('/')
    const again = await get('/', { 'if-none-match': String(headers.etag) })
    expect([again.statusCode, again.body, again.headers.etag]).toEqual([304, '', headers.etag])
    const head = await app.inject({ method: 'HEAD', url: '/' })
    expect([head.statusCode, head.body]).toEqual([200, ''])
  })

  test("tells the operator's words", async () => {
    const { headers, body } = await get('/page.json')
    expect(JSON.parse(body)).toEqual({
      version: '1.2.3',
      name: 'The Lake Club',
      links: [{ text: 'Imprint', url: 'https://lake.example/' }],
    })
    expect(headers['cache-control']).toBe('no-cache')
  })

  test.each(['/assets/main-abc.js.br', '/assets/', '/../package.json', '/%2e%2e/package.json', '/nothing'])(
    'has nothing at %s',
    async (path) => {
      expect((await get(path)).statusCode).toBe(404)
    },
  )
})

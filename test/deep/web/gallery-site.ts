import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { PAGE_POLICY } from '../../../src/protocol/page-policy.ts'
import { ALIASES } from '../../../src/web/vite.config.ts'

const WEB = fileURLToPath(new URL('../../../src/web', import.meta.url))
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
}

export interface Gallery {
  readonly url: string
  close(): void
}

/** Builds the page with states to look at in place of a controller, and serves it under the page's policy. */
export async function openGallery(): Promise<Gallery> {
  const folder = mkdtempSync(join(tmpdir(), 'pairlay-gallery-'))
  await build({
    root: WEB,
    base: './',
    configFile: false,
    logLevel: 'error',
    resolve: { alias: ALIASES },
    plugins: [
      {
        name: 'gallery',
        transformIndexHtml: {
          order: 'pre',
          handler: (html) => html.replace('./main.ts', '../../test/deep/web/gallery.ts'),
        },
      },
    ],
    build: { outDir: folder, emptyOutDir: true, assetsInlineLimit: 0, modulePreload: false, target: 'es2023' },
  })
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname
    const name = path === '/' ? '/index.html' : path
    try {
      const body = readFileSync(join(folder, name))
      response.setHeader('content-type', TYPES[extname(name)] ?? 'application/octet-stream')
      response.setHeader('content-security-policy', PAGE_POLICY)
      response.end(body)
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    close() {
      server.closeAllConnections()
      server.close()
      rmSync(folder, { recursive: true })
    },
  }
}

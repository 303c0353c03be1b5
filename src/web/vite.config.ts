import { hash } from 'node:crypto'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { defineConfig, type Plugin, type ProxyOptions } from 'vite'
import { leftOut } from './build/left-out.ts'
import { shorter } from './build/shorter.ts'

const OUT = fileURLToPath(new URL('../../dist/web', import.meta.url))
/** The relay behind `npm run web:dev`. */
const RELAY = process.env.RELAY || 'http://localhost:8080'

/** Writes the hashes of script and style into index.html, and beside each file what a browser that takes it is sent. */
function finish(): Plugin {
  let out = OUT
  return {
    name: 'finish',
    apply: 'build',
    configResolved: ({ build }) => {
      out = build.outDir
    },
    closeBundle() {
      const index = join(out, 'index.html')
      const named = /(?:src|href)="\.\/(assets\/[^"]+\.(?:js|css))"/g
      const hashed = readFileSync(index, 'utf8').replaceAll(named, (all, path) => {
        return `${all} integrity="sha256-${hash('sha256', readFileSync(join(out, path)), 'base64')}"`
      })
      writeFileSync(index, hashed)
      for (const name of readdirSync(out, { recursive: true, encoding: 'utf8' })) {
        const path = join(out, name)
        if (!statSync(path).isFile() || /\.(png|br|gz)$/.test(name)) continue
        const body = readFileSync(path)
        writeFileSync(`${path}.br`, brotliCompressSync(body))
        writeFileSync(`${path}.gz`, gzipSync(body, { level: 9 }))
      }
    },
  }
}

/** Parts of the SDK that a page has no use for, and what stands in for them. */
export const ALIASES = [
  { find: './web-socket.ts', replacement: fileURLToPath(new URL('browser-socket.ts', import.meta.url)) },
  { find: './error-messages.ts', replacement: fileURLToPath(new URL('no-messages.ts', import.meta.url)) },
  { find: './connection-failure.ts', replacement: fileURLToPath(new URL('no-failures.ts', import.meta.url)) },
  { find: /^\.\.?\/refusal\.ts$/, replacement: fileURLToPath(new URL('no-refusals.ts', import.meta.url)) },
  { find: './transfer/posts.ts', replacement: fileURLToPath(new URL('no-posts.ts', import.meta.url)) },
]

/** Known of every browser: what the SDK has for Node goes. */
export const DEFINES = { 'globalThis.process': 'undefined' }

/** Imports late chunks without Vite's helper, which preloads the styles that this page's chunks do not have. */
const lateChunks: Plugin = {
  name: 'late-chunks',
  enforce: 'pre',
  load: (id) => (id === '\0vite/preload-helper.js' ? 'export const __vitePreload = (load) => load()' : undefined),
}

/** Passes calls on as those of the relay's own page. */
const passed: ProxyOptions = {
  target: RELAY,
  ws: true,
  changeOrigin: true,
  configure: (proxy) => {
    proxy.on('proxyReq', (request) => request.removeHeader('origin'))
    proxy.on('proxyReqWs', (request) => request.removeHeader('origin'))
  },
}

/** The page, as static files below any path. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  plugins: [lateChunks, leftOut(), shorter(), finish()],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: false,
    target: 'es2023',
    cssTarget: ['chrome123', 'firefox121', 'safari16.4'],
    rolldownOptions: {
      checks: { pluginTimings: false },
      // Nothing of the SDK runs when it is loaded: each late part takes its own share of it along.
      treeshake: { moduleSideEffects: [{ test: /\/src\/(browser|client|crypto|protocol)\//, sideEffects: false }] },
    },
  },
  server: { proxy: { '/v1': passed, '/page.json': passed, '/version': passed } },
  resolve: { alias: ALIASES },
  define: DEFINES,
})

import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

/** The page, as static files below any path. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  build: {
    outDir: fileURLToPath(new URL('../../dist/web', import.meta.url)),
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: false,
    target: 'es2023',
  },
  resolve: { alias: { ws: fileURLToPath(new URL('no-ws.ts', import.meta.url)) } },
})

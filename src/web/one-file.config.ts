import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'
import { leftOut } from './build/left-out.ts'
import { oneFile } from './build/one-file.ts'
import page, { ALIASES, DEFINES } from './vite.config.ts'

/** The page as one file for the disk. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  plugins: [oneFile('pairlay.html'), leftOut()],
  build: {
    outDir: fileURLToPath(new URL('../../dist', import.meta.url)),
    emptyOutDir: false,
    copyPublicDir: false,
    assetsInlineLimit: Number.MAX_SAFE_INTEGER,
    modulePreload: false,
    target: 'es2023',
    rolldownOptions: { ...page.build?.rolldownOptions, output: { codeSplitting: false } },
  },
  resolve: { alias: ALIASES },
  define: DEFINES,
})

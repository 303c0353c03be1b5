import { minify } from 'terser'
import type { Plugin } from 'vite'

/** Has terser shorten each chunk before Vite's own minifier gives out the names, those of private members too. */
export function shorter(): Plugin {
  return {
    name: 'shorter',
    apply: 'build',
    async renderChunk(chunk) {
      // No getter of the page does anything.
      const compress = { passes: 3, keep_fargs: false, pure_getters: true }
      const { code = chunk } = await minify(chunk, { module: true, ecma: 2020, compress, mangle: false })
      return { code, map: null }
    },
  }
}

import { hash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'vite'

/** Modules of the page, and what stands in for them in the page that is one file. */
const INSTEAD = new Map(
  [
    ['relay.ts', 'one-file/relay.ts'],
    ['page-words.ts', 'one-file/page-words.ts'],
    ['save/disk.ts', 'one-file/disk.ts'],
  ].map(([from = '', to = '']) => [pathOf(from), pathOf(to)]),
)
/** Tags whose files a page from the disk has no use for. */
const OUTSIDE = /\s*<link rel="(apple-touch-icon|manifest|stylesheet)"[^>]*>|\s*<script type="module"[^>]*><\/script>/g

/** Stands before the policy in the page. */
const CHARSET = '<meta charset="utf-8" />'

/** Makes one HTML file of the page: script and style are in it, and its policy takes no others. */
export function oneFile(name: string): Plugin {
  const unseen = new Set(INSTEAD.keys())
  return {
    name: 'one-file',
    enforce: 'pre',
    async resolveId(source, importer, options) {
      const found = await this.resolve(source, importer, { ...options, skipSelf: true })
      if (!found) return undefined
      unseen.delete(found.id)
      return INSTEAD.get(found.id) ?? found
    },
    buildEnd(error) {
      if (!error && unseen.size > 0) throw new Error(`the page has no ${[...unseen].join(', ')}`)
    },
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        let [html, script, style] = ['', '', '']
        const pictures: [name: string, data: string][] = []
        for (const [path, file] of Object.entries(bundle)) {
          if (file.type === 'chunk') script += file.code
          else if (path.endsWith('.html')) html += file.source
          else if (path.endsWith('.css')) style += file.source
          else if (path.endsWith('.svg'))
            pictures.push([path.replace(/^.*\//, ''), `data:image/svg+xml;base64,${btoa(String(file.source))}`])
          delete bundle[path]
        }
        const inside = (text: string) =>
          pictures.reduce((all, [file, data]) => all.replaceAll(new RegExp(`[./\\w]*${file}`, 'g'), data), text)
        this.emitFile({ type: 'asset', fileName: name, source: page(inside(html), script, inside(style)) })
      },
    },
  }
}

function page(html: string, script: string, style: string): string {
  if (/<\/script|<!--/i.test(script)) throw new Error('the script cannot stand in a page')
  if (!html.includes(CHARSET)) throw new Error(`the page has no ${CHARSET} to put its policy behind`)
  const digest = (text: string) => `'sha256-${hash('sha256', text, 'base64')}'`
  const policy =
    `default-src 'none'; script-src ${digest(script)}; style-src ${digest(style)}; img-src data:; ` +
    "connect-src http: https: ws: wss:; base-uri 'none'; form-action 'none'; " +
    "require-trusted-types-for 'script'; trusted-types 'none'"
  return html
    .replaceAll(OUTSIDE, '')
    .replace(CHARSET, (all) => `${all}\n    <meta http-equiv="content-security-policy" content="${policy}" />`)
    .replace('</head>', () => `<style>${style}</style></head>`)
    .replace('</body>', () => `<script type="module">${script}</script></body>`)
}

function pathOf(name: string): string {
  return fileURLToPath(new URL(`../${name}`, import.meta.url))
}

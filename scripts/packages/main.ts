import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundle } from './bundle.ts'

/** Fills packages/ from dist/, which `tsc` and Vite wrote. Bundles only where a file there, or here, is newer than the last bundle. */

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const DIST = join(ROOT, 'dist')
const HERE = join(ROOT, 'scripts/packages')
const [SDK, CLI, RELAY] = ['sdk', 'cli', 'relay'].map((name) => join(ROOT, 'packages', name)) as [
  string,
  string,
  string,
]
const SDK_ENTRIES = {
  index: 'client/index.js',
  browser: 'browser/index.js',
  worker: 'browser/worker.js',
  testing: 'testing/index.js',
}
const STAMP = join(CLI, 'dist/LICENSES')

if (Math.max(...[DIST, HERE].map(newestIn)) > (statSync(STAMP, { throwIfNoEntry: false })?.mtimeMs ?? 0)) {
  // An older build may have left other files. In the CLI's folder is the man page, which is not made here.
  for (const path of [join(SDK, 'dist'), join(RELAY, 'dist'), join(CLI, 'dist/cli')])
    rmSync(path, { recursive: true, force: true })
  await bundle({
    input: { main: at('server/main.js') },
    into: join(RELAY, 'dist/server'),
    notices: join(RELAY, 'dist/LICENSES'),
    packagesApart: true,
  })
  await fillSdk()
  await bundle({ input: { main: at('cli/main.js') }, into: join(CLI, 'dist/cli'), notices: STAMP, minify: true })
  utimesSync(STAMP, new Date(), new Date())
}
for (const each of [SDK, CLI, RELAY]) cpSync(join(ROOT, 'LICENSE'), join(each, 'LICENSE'))
for (const path of ['docs/sdk.md', 'docs/integrate.md']) copy(path, join(SDK, path))
copy('examples', join(SDK, 'examples'), (path) => !/\/(dist|tsconfig\.json)$/.test(path))
copy('dist/web', join(RELAY, 'dist/web'))
// To compare with the page of a relay, which is done unpacked.
copy('dist/web', join(CLI, 'dist/web'), (path) => !/\.(br|gz)$/.test(path))

async function fillSdk(): Promise<void> {
  const into = (folder: string) => join(SDK, 'dist', folder)
  const node = { ...SDK_ENTRIES, node: 'node/index.js' }
  const entries = (of: Record<string, string>) =>
    Object.fromEntries(Object.entries(of).map(([name, path]) => [name, at(path)]))
  const external = [/^@noble\//]
  await bundle({ input: entries(node), into: into('import'), external })
  await bundle({ input: entries(SDK_ENTRIES), into: into('browser'), external, forBrowsers: true })
  await bundle({ input: entries(node), into: into('require'), format: 'cjs', notices: join(SDK, 'dist/LICENSES') })
  writeFileSync(join(into('require'), 'package.json'), '{ "type": "commonjs" }\n')
  const types = typesFrom(Object.values(node).map((path) => at(path.replace(/js$/, 'd.ts'))))
  for (const to of [into('types'), into('require/types')]) {
    rmSync(to, { recursive: true, force: true })
    for (const path of types) {
      const file = join(to, relative(DIST, path))
      mkdirSync(join(file, '..'), { recursive: true })
      // TypeScript before 5.7 knows one kind of Uint8Array, later ones what a slice of one is.
      const text = readFileSync(path, 'utf8').replaceAll('Uint8Array<ArrayBuffer>', "ReturnType<Uint8Array['slice']>")
      writeFileSync(file, text.replaceAll('Uint8Array<ArrayBufferLike>', 'Uint8Array'))
    }
  }
}

/** Declarations that these ones import, themselves or through one another, and they themselves. */
function typesFrom(entries: readonly string[]): Set<string> {
  const found = new Set(entries)
  for (const path of found) {
    for (const [, specifier = ''] of readFileSync(path, 'utf8').matchAll(/(?:from |import\()'(\.[^']+)'/g)) {
      found.add(join(path, '..', specifier.replace(/(\.d)?\.ts$/, '.d.ts')))
    }
  }
  return found
}

function at(path: string): string {
  return join(DIST, path)
}

/** Puts a file or folder of this repository in the place of what is there. */
function copy(from: string, to: string, filter: (path: string) => boolean = () => true): void {
  rmSync(to, { recursive: true, force: true })
  mkdirSync(join(to, '..'), { recursive: true })
  cpSync(join(ROOT, from), to, { recursive: true, filter })
}

/** When one of the modules in a directory changed last, as `mtimeMs`. */
function newestIn(directory: string): number {
  const modules = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /^(?!web\/).*(?<!\.d)\.[jt]s$/.test(name),
  )
  return Math.max(0, ...modules.map((name) => statSync(join(directory, name)).mtimeMs))
}

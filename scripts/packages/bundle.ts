import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Plugin, rolldown } from 'rolldown'
import { UNUSED, without } from '../../src/web/build/left-out.ts'

export interface Bundled {
  /** Entries by the names of their files. */
  readonly input: Readonly<Record<string, string>>
  /** Folder of the bundle alone: what was there goes. */
  readonly into: string
  readonly format?: 'es' | 'cjs'
  /** Modules that stay imports, beside those of Node and the optional ones of `ws`. */
  readonly external?: readonly RegExp[]
  readonly forBrowsers?: boolean
  readonly minify?: boolean
  /** Gives the code of other packages a file of its own, so that ours can be read. */
  readonly packagesApart?: boolean
  /** File for the licences of what went into the bundle. */
  readonly notices?: string
}

/** Bundles modules with the packages that they import. What is imported late gets a file of its own. */
export async function bundle({
  input,
  into,
  format = 'es',
  external = [],
  forBrowsers = false,
  minify = false,
  packagesApart = false,
  notices,
}: Bundled): Promise<void> {
  const build = await rolldown({
    input: { ...input },
    platform: forBrowsers ? 'browser' : 'node',
    // JavaScript needs none, and not all that ours refers to is there when the image is built.
    tsconfig: false,
    external: [/^node:/, 'bufferutil', 'utf-8-validate', ...external],
    resolve: forBrowsers ? { alias: { tweetnacl: 'tweetnacl/nacl.js' } } : {},
    plugins: [withoutNodeCrypto, ...(forBrowsers ? [withoutWs, withoutUnused] : [])],
    treeshake: { moduleSideEffects: [{ test: /\/dist\/(browser|client|crypto|node|protocol)\//, sideEffects: false }] },
    checks: { pluginTimings: false },
    // Comments with paths, which are others in another place.
    experimental: { attachDebugInfo: 'none' },
  })
  rmSync(into, { recursive: true, force: true })
  const { output } = await build.write({
    dir: into,
    format,
    minify,
    ...(packagesApart && { codeSplitting: { groups: [{ name: 'packages', test: /\/node_modules\// }] } }),
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
  })
  await build.close()
  if (notices === undefined) return
  const modules = output.flatMap((each) => (each.type === 'chunk' ? each.moduleIds : []))
  writeFileSync(notices, noticesOf(modules))
}

/** tweetnacl without its random numbers, which nobody asks for: bundled again, its `require` would find nothing. */
const withoutNodeCrypto: Plugin = {
  name: 'without-node-crypto',
  transform(code, id) {
    if (!/\/tweetnacl\/nacl(-fast)?\.js$/.test(id)) return undefined
    const without = code.replace("typeof require !== 'undefined'", 'false')
    if (without === code) throw new Error('tweetnacl asks for random numbers in another way')
    return without
  },
}

/** tweetnacl without what the SDK never calls: no bundler can tell, and it is half of it. */
export const withoutUnused: Plugin = {
  name: 'without-unused',
  transform(code, id) {
    const [, members] = UNUSED.find(([module]) => /tweetnacl/.test(module) && id.endsWith(module)) ?? []
    return members && { code: without(code, members), map: null }
  },
}

/** Browsers have a WebSocket of their own. */
const withoutWs: Plugin = {
  name: 'without-ws',
  resolveId: (id) => (id === 'ws' ? '\0ws' : undefined),
  load: (id) => (id === '\0ws' ? 'export {}' : undefined),
}

/** Licences of the packages that modules come from, in the order of their names. */
function noticesOf(modules: readonly string[]): string {
  const folders = modules.flatMap(
    (id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(id.replaceAll('\\', '/')) ?? [],
  )
  const notices = [...new Set(folders)].toSorted().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each))
    const text = file && existsSync(join(folder, file)) ? readFileSync(join(folder, file), 'utf8').trim() : ''
    return `${name} ${version}, ${license}\n\n${text}\n`
  })
  return `Packages whose code is in this one:\n\n${notices.join('\n')}`
}

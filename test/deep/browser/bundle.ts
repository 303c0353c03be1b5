import { isBuiltin } from 'node:module'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin, type Rolldown } from 'vite'
import { withoutUnused } from '../../../scripts/packages/bundle.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

/** The module that an app with the SDK has its browsers load. */
export const SDK = fileURLToPath(new URL('../../../src/client/index.ts', import.meta.url))

export interface Bundle {
  /** The file that a page imports. It exports what the entry exports. */
  readonly main: string
  readonly chunks: readonly Rolldown.OutputChunk[]
  /** The files that a browser loads when a page imports `main`: it, and what it imports statically. */
  readonly loaded: readonly string[]
  /** Every import of a Node module that was found, as `importer → module`. Vite puts an empty module in its place. */
  readonly nodeImports: readonly string[]
}

/**
 * Bundles a module for browsers into a directory, as an app with a bundler would: minified, dynamic imports in chunks of
 * their own. No configuration file is read, and nothing is fetched.
 */
export async function bundle(entry: string, name: string, directory: string): Promise<Bundle> {
  const nodeImports: string[] = []
  const findNodeImports: Plugin = {
    name: 'find-node-imports',
    enforce: 'pre',
    resolveId(id, importer) {
      if (isBuiltin(id)) nodeImports.push(`${pathOf(importer ?? '')} → ${id}`)
    },
  }
  const output = await build({
    root: ROOT,
    configFile: false,
    envDir: false,
    publicDir: false,
    mode: 'production',
    logLevel: 'error',
    // As the package for browsers is made.
    plugins: [findNodeImports, withoutUnused],
    build: {
      outDir: directory,
      emptyOutDir: false,
      lib: { entry, formats: ['es'], fileName: name },
      // Left to itself Vite keeps the white space of a library.
      rolldownOptions: { output: { minify: true } },
    },
  })
  if (!Array.isArray(output)) throw new Error('Vite watches instead of building')
  const chunks = output.flatMap((each) => each.output).filter((each) => each.type === 'chunk')
  const main = chunks.find((chunk) => chunk.isEntry)
  if (!main) throw new Error('Vite built no entry')
  return { main: main.fileName, chunks, loaded: loadedBy(main.fileName, chunks), nodeImports }
}

/** A module as people name it: by its package, or by its path in this repository. */
export function pathOf(module: string): string {
  const [path = module] = module.split('node_modules/').slice(-1)
  return path === module ? relative(ROOT, module) : path
}

function loadedBy(main: string, chunks: readonly Rolldown.OutputChunk[]): string[] {
  const loaded = new Set([main])
  for (const file of loaded) {
    for (const other of chunks.find(({ fileName }) => fileName === file)?.imports ?? []) loaded.add(other)
  }
  return [...loaded]
}

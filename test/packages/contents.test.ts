import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ESTree, parseAst, Visitor } from 'vite'
import { describe, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

interface Manifest {
  readonly version: string
  readonly engines: { readonly node: string }
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** The packages as they are, by their paths in node_modules and packages/. */
const { packages }: { packages: Readonly<Record<string, Manifest>> } = JSON.parse(text('package-lock.json'))

/** Names of packages that can decrypt, or compute what decrypts. */
const DECRYPTING =
  /^node_modules\/(?:.*\/)?(pairlay|tweetnacl|@noble\/.*|@stablelib\/.*|libsodium.*|node-forge|crypto-js|jose|sjcl)$/
/** Words of code that decrypts, or computes what decrypts: those of Node, of WebCrypto, and of what the SDK uses. */
const DECRYPTS =
  /createDecipher|createCipher|[dD]ecrypt|subtle\.|\.subtle|webcrypto|secretbox|chacha20|poly1305|ECDH|diffieHellman|x25519|ml_kem/

describe('the package of the relay', () => {
  const dependencies = dependenciesOf('packages/relay')

  test('depends on nothing that decrypts and has no such package in it, itself or at any remove', () => {
    const named = text('packages/relay/dist/LICENSES').matchAll(/^(\S+) \d+\.\d+\.\d+\S*, /gm)
    const bundled = [...named].map(([, name]) => `node_modules/${name}`)
    expect(bundled).toEqual(expect.arrayContaining(['node_modules/fastify', 'node_modules/@redis/client']))
    expect([...dependencies, ...bundled].filter((path) => DECRYPTING.test(path))).toEqual([])
  })

  test('has no file that decrypts, nor do its dependencies: the page alone, whose files it only serves', () => {
    const decrypting = ['packages/relay', ...dependencies].flatMap((path) =>
      codeIn(path).filter((file) => DECRYPTS.test(text(file, 'latin1'))),
    )
    const [served, others] = [true, false].map((isServed) =>
      decrypting.filter((file) => file.startsWith('packages/relay/dist/web/') === isServed),
    )
    expect(others).toEqual([])
    // The page decrypts, which shows that these words find it.
    expect(served?.length).toBeGreaterThan(0)
  })

  test('sends the files of the page, and neither imports nor runs them', () => {
    const importing = codeIn('packages/relay')
      .filter((file) => !file.startsWith('packages/relay/dist/web/'))
      .filter((file) => specifiersIn(file).some((specifier) => /\bweb\b/.test(specifier)))
    expect(importing).toEqual([])
  })
})

describe('the packages', () => {
  test.each([
    ['sdk', 'dist/import'],
    ['relay', 'dist'],
    ['cli', 'dist/cli'],
  ])('of packages/%s depends on what its code imports, and on nothing else', (name, folder) => {
    const imported = codeIn(`packages/${name}/${folder}`)
      .filter((file) => !file.includes('/web/'))
      .flatMap(specifiersIn)
      .filter((specifier) => !specifier.startsWith('.') && !isBuiltin(specifier))
      .map((specifier) => /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier)
    // Asked for in a `try`: by ws, debug, and the client of Redis for a command that the relay never gives.
    const optional = ['bufferutil', 'utf-8-validate', 'supports-color', '@node-rs/xxhash']
    const needed = [...new Set(imported)].filter((each) => !optional.includes(each)).toSorted()
    expect(needed).toEqual(Object.keys(packages[`packages/${name}`]?.dependencies ?? {}).toSorted())
  })

  test('have one version, and need one Node', () => {
    const { version, engines } = JSON.parse(text('package.json'))
    for (const name of ['sdk', 'cli', 'relay']) {
      const manifest = JSON.parse(text(`packages/${name}/package.json`))
      expect([manifest.version, manifest.engines]).toEqual([version, engines])
      for (const needed of Object.values(manifest.peerDependencies ?? {})) expect(needed).toBe(version)
    }
  })
})

describe('a Node that is too old', () => {
  // As 18 is, as far as this goes: it loads neither the command nor the relay.
  const old = "data:text/javascript,Object.defineProperty(process.versions,'node',{value:'18.20.4'})"

  test.each(['packages/cli/bin/pairlay.js', 'packages/relay/bin/pairlay-relay.js'])(
    'is named by %s in one sentence',
    (bin) => {
      const { status, stderr } = spawnSync(process.execPath, ['--import', old, join(ROOT, bin)], { encoding: 'utf8' })
      expect([status, stderr]).toEqual([1, 'pairlay: This is Node 18.20.4. Pairlay needs Node 20.19 or later.\n'])
    },
  )

  test('can load what says so: of Node it imports what 18 has too', () => {
    const loaded = new Set(['packages/cli/dist/cli/main.js'])
    const ofNode = new Set<string>()
    for (const file of loaded) {
      for (const { source, specifiers } of importsIn(file)) {
        if (source.startsWith('.')) loaded.add(join(dirname(file), source))
        else for (const name of specifiers) ofNode.add(`${source}: ${name}`)
      }
    }
    expect([...ofNode].toSorted()).toEqual(['node:fs: readFileSync', 'node:v8: setFlagsFromString'])
  })
})

function text(path: string, encoding: BufferEncoding = 'utf8'): string {
  return readFileSync(join(ROOT, path), encoding)
}

/** Everything that a package depends on, optional or not, by the paths where it is installed. */
function dependenciesOf(path: string): string[] {
  const found = new Set<string>()
  const queue = [path]
  for (const from of queue) {
    const { dependencies = {}, optionalDependencies = {} } = packages[from] ?? {}
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const at = installed(name, from)
      if (at === undefined) throw new Error(`${name} of ${from} is not installed`)
      if (!found.has(at)) queue.push(at)
      found.add(at)
    }
  }
  return [...found]
}

/** Where a package finds another one: in its own node_modules, or in those above. */
function installed(name: string, from: string): string | undefined {
  for (let at = from; at !== '.'; at = dirname(at))
    if (packages[`${at}/node_modules/${name}`]) return `${at}/node_modules/${name}`
  return packages[`node_modules/${name}`] && `node_modules/${name}`
}

/** Files of a package that can be run, without those of other packages in it. */
function codeIn(path: string): string[] {
  return readdirSync(join(ROOT, path), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.([cm]?js|node|wasm)$/.test(file) && !/(^|\/)node_modules\//.test(file))
    .map((file) => `${path}/${file}`)
}

/** Findings of `specifiersIn` by file: the bundles are large. */
const SPECIFIERS = new Map<string, readonly string[]>()

/** Lists the modules that a file imports or requires, by the names that it has for them. */
function specifiersIn(file: string): readonly string[] {
  const known = SPECIFIERS.get(file)
  if (known) return known
  const found: string[] = []
  SPECIFIERS.set(file, found)
  const add = (source: ESTree.Node | null | undefined) => {
    if (source?.type === 'Literal' && typeof source.value === 'string') found.push(source.value)
  }
  new Visitor({
    ImportDeclaration: ({ source }) => add(source),
    ExportNamedDeclaration: ({ source }) => add(source),
    ExportAllDeclaration: ({ source }) => add(source),
    ImportExpression: ({ source }) => add(source),
    CallExpression: ({ callee, arguments: [first] }) => {
      // Also the function that `createRequire` returns, called at once.
      const called = callee.type === 'CallExpression' ? callee.callee : callee
      if (called.type === 'Identifier' && /^(?:__)?require$|^createRequire$/.test(called.name)) add(first)
    },
  }).visit(parseAst(text(file)))
  return found
}

/** Lists what a file imports when it is loaded: modules, and the names that it takes from each. */
function importsIn(file: string): { source: string; specifiers: string[] }[] {
  return parseAst(text(file)).body.flatMap((node) => {
    if (node.type !== 'ImportDeclaration') return []
    const specifiers = node.specifiers.map((each) =>
      each.type === 'ImportSpecifier' && each.imported.type === 'Identifier' ? each.imported.name : '*',
    )
    return [{ source: node.source.value, specifiers }]
  })
}

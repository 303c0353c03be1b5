import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

/** The rules of imports. The claim that the relay half never decrypts is three of them: RULES, ONLY and FROM_NODE_CRYPTO. */
const ROOT = fileURLToPath(new URL('..', import.meta.url))

interface Rule {
  /** Files under these folders of src/ … */
  readonly from: readonly string[]
  /** … reach none of these, neither themselves nor through what they import. Folders of src/ end with a slash. */
  readonly forbidden: readonly string[]
  readonly reason: string
}

const RELAY_HALF = ['protocol/', 'relay/', 'store/', 'server/']

const RULES: readonly Rule[] = [
  {
    from: RELAY_HALF,
    forbidden: ['crypto/', 'client/', 'cli/', 'web/'],
    reason: 'the relay half never decrypts: it must have nothing to decrypt with',
  },
  {
    from: RELAY_HALF,
    forbidden: ['tweetnacl', '@noble/ciphers', '@noble/curves', '@noble/hashes', '@noble/post-quantum'],
    reason: 'the relay half never decrypts, with nobody’s library either',
  },
  {
    from: ['protocol/', 'crypto/', 'client/', 'cli/', 'web/'],
    forbidden: ['relay/', 'store/', 'server/'],
    reason: 'the client half talks to a relay over the wire and knows no more of it than PROTOCOL.md says',
  },
  {
    from: ['relay/'],
    forbidden: ['store/', 'server/', 'node:', 'fastify', '@fastify/', 'ws', 'pino'],
    reason: 'the domain gets time, randomness, storage and sockets through its ports',
  },
  {
    from: ['store/'],
    forbidden: ['server/', 'fastify', '@fastify/', 'ws'],
    reason: 'a store serves the domain, whatever transport is around it',
  },
  {
    from: ['protocol/', 'crypto/', 'client/', 'web/'],
    forbidden: ['node:', 'fastify', '@fastify/', 'pino', 'commander'],
    reason: 'these run in browsers, Deno and Bun as well',
  },
  {
    from: ['crypto/'],
    forbidden: ['client/', 'cli/', 'web/'],
    reason: 'the cryptography is used, and uses nobody',
  },
  { from: ['client/'], forbidden: ['cli/', 'web/'], reason: 'the SDK has no user interface' },
]

/** Everything that a folder of the relay half imports beside itself. SECURITY.md names these modules. */
const ONLY: Readonly<Record<string, readonly string[]>> = {
  'protocol/': ['zod/mini'],
  'relay/': ['protocol/'],
  'store/': ['protocol/', 'relay/', 'zod/mini', '@redis/client', 'node:crypto'],
  'server/': [
    ...['protocol/', 'relay/', 'store/', 'zod/mini', 'fastify', '@fastify/', 'ws', 'bufferutil', 'pino'],
    ...['close-with-grace', 'ipaddr.js', 'node:buffer', 'node:crypto', 'node:fs', 'node:http', 'node:module'],
    ...['node:net', 'node:os', 'node:perf_hooks', 'node:stream', 'node:timers/promises', 'node:v8'],
  ],
  // Of the client what an app has of it, and nothing behind that.
  'cli/': ['protocol/', 'client/index.ts', 'commander', 'qr', 'node:'],
}

/** All that the relay half takes from node:crypto: digests, random bytes, and the reader of certificates. */
const FROM_NODE_CRYPTO = ['X509Certificate', 'createHmac', 'hash', 'randomBytes', 'randomFillSync']

/** Ways around an import to a function that decrypts. */
const AROUND = /\b(getBuiltinModule|subtle|webcrypto|create(De|C)ipheriv|(private|public)Decrypt|eval|Function\()/

/** Comments that begin with one of these words describe instead of naming. Each folder has at most so many left. */
const OPENING = /^ *(?:\/\*\*|\/\/|\*) *(?:What|Who|Whether|That|One|It)\b/
const OPENINGS_LEFT: Readonly<Record<string, number>> = { src: 201, test: 283, bench: 67, scripts: 0 }

/** Files over 300 lines, each with the reason why it is not two. */
const LONG_FILES: Readonly<Record<string, string>> = {}
const LINES_MAX = 300

const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.[cm]?tsx?$/.test(file))
  .map((file) => file.replaceAll('\\', '/'))
  .sort()
const imports = new Map(files.map((file) => [file, importsOf(file)]))

describe('the source', () => {
  test('was found', () => {
    for (const folder of ['protocol/', 'relay/', 'store/', 'server/', 'crypto/', 'client/', 'cli/']) {
      expect(files.filter((file) => file.startsWith(folder)).length, folder).toBeGreaterThan(0)
    }
    expect([...imports.values()].flat().length).toBeGreaterThan(files.length)
  })

  test('imports no file of its own that does not exist', () => {
    for (const [file, targets] of imports) {
      for (const target of targets) if (isOwn(target)) expect(files, `${file} imports ${target}`).toContain(target)
    }
  })

  for (const { from, forbidden, reason } of RULES) {
    test(`${from.join(', ')} never reaches ${forbidden.join(', ')}: ${reason}`, () => {
      const paths = files
        .filter((file) => from.some((folder) => file.startsWith(folder)))
        .flatMap((file) => pathTo(file, (target) => forbidden.some((each) => matches(target, each))) ?? [])
      expect(paths).toEqual([])
    })
  }

  for (const [folder, allowed] of Object.entries(ONLY)) {
    test(`${folder} imports the modules listed for it, and no other`, () => {
      const others = files
        .filter((file) => file.startsWith(folder))
        .flatMap((file) => imports.get(file)?.map((target) => ({ file, target })) ?? [])
        .filter(({ target }) => ![folder, ...allowed].some((each) => matches(target, each)))
      expect(others).toEqual([])
    })
  }

  test('takes from node:crypto, in the relay half, nothing that decrypts', () => {
    const named = files
      .filter(
        (file) => RELAY_HALF.some((folder) => file.startsWith(folder)) && imports.get(file)?.includes('node:crypto'),
      )
      .map((file) => /^import \{([^}]+)\} from 'node:crypto'$/m.exec(sourceOf(file))?.[1] ?? `all of it, in ${file}`)
    const names = named.flatMap((list) => list.split(',')).map((name) => name.trim().replace(/^type /, ''))
    expect([...new Set(names)].sort()).toEqual(FROM_NODE_CRYPTO)
    const around = files
      .filter((file) => RELAY_HALF.some((folder) => file.startsWith(folder)))
      .filter((file) => AROUND.test(sourceOf(file)))
    expect(around).toEqual([])
  })

  test('is claimed in SECURITY.md to import these modules, and no other', () => {
    const security = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8')
    const [claim = ''] = security.split('\n- decrypt')[1]?.split(/\n(?=\n|- )/) ?? []
    const named = [...claim.matchAll(/`([^`]+)`/g)].map(([, name]) => name)
    const modules = RELAY_HALF.flatMap((folder) => ONLY[folder] ?? []).filter((name) => !/^[a-z]+\/$/.test(name))
    for (const name of [...modules, ...FROM_NODE_CRYPTO]) expect(named).toContain(name.replace(/\/$/, '/*'))
    const others = named.filter((name = '') => !/^(src|test)\//.test(name))
    expect(others.length).toBe(new Set([...modules, ...FROM_NODE_CRYPTO]).size)
  })

  test('has no import cycle between files, types included', () => {
    const cycles = files.flatMap((file) => pathTo(file, (target) => target === file) ?? [])
    expect(cycles).toEqual([])
  })

  test(`has no file over ${LINES_MAX} lines without a reason`, () => {
    const long = files.filter((file) => linesOf(file) > LINES_MAX)
    expect(long).toEqual(Object.keys(LONG_FILES))
  })
})

describe('comments', () => {
  for (const [folder, left] of Object.entries(OPENINGS_LEFT)) {
    test(`of ${folder} begin with a noun or a verb`, () => {
      const found = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts') && !file.includes('node_modules'))
        .flatMap((file) => {
          const lines = readFileSync(join(ROOT, folder, file), 'utf8').split('\n')
          return lines.flatMap((line, at) =>
            OPENING.test(line) ? [`${folder}/${file}:${at + 1}: ${line.trim()}`] : [],
          )
        })
      if (found.length > left) expect(found).toEqual([])
    })
  }
})

describe('how imports are read', () => {
  const cases: [source: string, specifiers: string[]][] = [
    [`import { a } from './a.ts'`, ['./a.ts']],
    [`import type { A } from "./a.ts"`, ['./a.ts']],
    [`import a, {\n  type B,\n  c,\n} from './a.ts'`, ['./a.ts']],
    [`import * as z from 'zod/mini'\nimport './side.ts'`, ['./side.ts', 'zod/mini']],
    [
      `export { a } from './a.ts'\nexport * from './b.ts'\nexport type { C } from './c.ts'`,
      ['./a.ts', './b.ts', './c.ts'],
    ],
    [`const a = await import('./a.ts')`, ['./a.ts']],
    [`let a: import('./a.ts').A`, ['./a.ts']],
    [`const a = require('./a.cjs')`, ['./a.cjs']],
    [`const a = createRequire(import.meta.url)('a').b`, ['a']],
    [`/** import { a } from './a.ts' */\n// import './b.ts'`, []],
    [`const text = 'from here'\nexport const other = "there"`, []],
    [`const url = new URL('./a.ts', import.meta.url)`, []],
  ]
  for (const [source, specifiers] of cases) {
    test(JSON.stringify(source), () => {
      expect(specifiersOf(source).sort()).toEqual(specifiers)
    })
  }

  test.each(['await import(name)', 'createRequire(import.meta.url)(name)', 'const r = createRequire(x)'])(
    'an import whose module is not written out is refused: %s',
    (source) => {
      expect(() => specifiersOf(source)).toThrow('does not say what it imports')
    },
  )
})

/** Lists the imports of a file, in any form: files of src/ by their path there, packages by their specifier. */
function importsOf(file: string): string[] {
  return specifiersOf(sourceOf(file)).map((specifier) => {
    if (!specifier.startsWith('.')) return specifier
    return relative('/', join('/', dirname(file), specifier)).replaceAll('\\', '/')
  })
}

function specifiersOf(source: string): string[] {
  const code = source.replaceAll(/\/\*[\s\S]*?\*\/|(?<![:'"`\\])\/\/.*$/gm, '')
  const opaque =
    /\b(?:import|require)\s*\(\s*(?!['"])[^)]*\)/.exec(code) ??
    /\bcreateRequire\((?!import\.meta\.url\)\(['"])[^)]*\)/.exec(code)
  if (opaque) throw new Error(`this import does not say what it imports: ${opaque[0]}`)
  const patterns = [
    /^\s*(?:import|export)\b[^'"]*?\bfrom\s*['"]([^'"]+)['"]/gm,
    /^\s*import\s*['"]([^'"]+)['"]/gm,
    /\b(?:import|require)\s*\(\s*['"]([^'"]+)['"]/g,
    /\bcreateRequire\(import\.meta\.url\)\(\s*['"]([^'"]+)['"]/g,
  ]
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1] ?? ''))
}

/** Finds the shortest way along imports from a file to a wanted target, as text, or undefined when there is none. */
function pathTo(start: string, wanted: (target: string) => boolean): string | undefined {
  const queue = [[start]]
  const seen = new Set<string>()
  for (const path of queue) {
    for (const target of imports.get(path.at(-1) ?? '') ?? []) {
      if (wanted(target)) return [...path, target].join(' → ')
      if (seen.has(target)) continue
      seen.add(target)
      queue.push([...path, target])
    }
  }
  return undefined
}

/** `node:` and `@fastify/` stand for everything that starts so; `relay/` for that folder; `ws` for `ws` and `ws/…`. */
function matches(target: string, pattern: string): boolean {
  return target === pattern || target.startsWith(/[/:]$/.test(pattern) ? pattern : `${pattern}/`)
}

function isOwn(target: string): boolean {
  return /^[a-z]+\/.*\.[cm]?tsx?$/.test(target)
}

function sourceOf(file: string): string {
  return readFileSync(join(ROOT, 'src', file), 'utf8')
}

function linesOf(file: string): number {
  return sourceOf(file).trimEnd().split('\n').length
}

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

/** Who may import whom. That the relay half cannot reach a decryption function is the end-to-end claim. */
const ROOT = fileURLToPath(new URL('..', import.meta.url))

interface Rule {
  /** Files under these folders of src/ … */
  readonly from: readonly string[]
  /** … reach none of these, neither themselves nor through what they import. Folders of src/ end with a slash. */
  readonly forbidden: readonly string[]
  readonly reason: string
}

const RULES: readonly Rule[] = [
  {
    from: ['protocol/', 'relay/', 'store/', 'server/'],
    forbidden: ['crypto/', 'client/', 'cli/', 'web/'],
    reason: 'the relay half never decrypts: it must have nothing to decrypt with',
  },
  {
    from: ['protocol/', 'relay/', 'store/', 'server/'],
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

/** What a folder imports, beside itself: this and nothing else. */
const ONLY: Readonly<Record<string, readonly string[]>> = {
  'protocol/': ['zod/mini'],
  'relay/': ['protocol/'],
}

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
    test(`${folder} imports nothing but ${allowed.join(', ')} and itself`, () => {
      const others = files
        .filter((file) => file.startsWith(folder))
        .flatMap((file) => imports.get(file)?.map((target) => ({ file, target })) ?? [])
        .filter(({ target }) => ![folder, ...allowed].some((each) => matches(target, each)))
      expect(others).toEqual([])
    })
  }

  test('has no import cycle between files, types included', () => {
    const cycles = files.flatMap((file) => pathTo(file, (target) => target === file) ?? [])
    expect(cycles).toEqual([])
  })

  test(`has no file over ${LINES_MAX} lines without a reason`, () => {
    const long = files.filter((file) => linesOf(file) > LINES_MAX)
    expect(long).toEqual(Object.keys(LONG_FILES))
  })
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
    [`/** import { a } from './a.ts' */\n// import './b.ts'`, []],
    [`const text = 'from here'\nexport const other = "there"`, []],
    [`const url = new URL('./a.ts', import.meta.url)`, []],
  ]
  for (const [source, specifiers] of cases) {
    test(JSON.stringify(source), () => {
      expect(specifiersOf(source).sort()).toEqual(specifiers)
    })
  }

  test('an import whose module is not written out is refused', () => {
    expect(() => specifiersOf('await import(name)')).toThrow('import(name)')
  })
})

/** What a file imports, in any way: files of src/ by their path there, packages by their specifier. */
function importsOf(file: string): string[] {
  const source = readFileSync(join(ROOT, 'src', file), 'utf8')
  return specifiersOf(source).map((specifier) => {
    if (!specifier.startsWith('.')) return specifier
    return relative('/', join('/', dirname(file), specifier)).replaceAll('\\', '/')
  })
}

function specifiersOf(source: string): string[] {
  const code = source.replaceAll(/\/\*[\s\S]*?\*\/|(?<![:'"`\\])\/\/.*$/gm, '')
  const opaque = /\b(?:import|require)\s*\(\s*(?!['"])[^)]*\)/.exec(code)
  if (opaque) throw new Error(`this import does not say what it imports: ${opaque[0]}`)
  const patterns = [
    /^\s*(?:import|export)\b[^'"]*?\bfrom\s*['"]([^'"]+)['"]/gm,
    /^\s*import\s*['"]([^'"]+)['"]/gm,
    /\b(?:import|require)\s*\(\s*['"]([^'"]+)['"]/g,
  ]
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1] ?? ''))
}

/** The shortest way along imports from a file to what is wanted, as text, or undefined when there is none. */
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

function linesOf(file: string): number {
  return readFileSync(join(ROOT, 'src', file), 'utf8')
    .trimEnd()
    .split('\n').length
}

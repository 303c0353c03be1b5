import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { EVENTS, QUESTIONS } from '../src/cli/events.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const RELAY_HALF = ['protocol/', 'relay/', 'store/', 'server/']

/** Files of the domain that all around it may import: its ports, its refusals, its one helper. */
const DOMAIN = ['relay/ports.ts', 'relay/pieces.ts', 'relay/errors.ts', 'relay/awaitable.ts']

interface Rule {
  /** Modules, and folders and files of src/, that files of the folder import beside those of the folder itself. */
  readonly imports: readonly string[]
  readonly reason: string
}

/**
 * Everything that each folder of src/ imports. The relay half lists neither crypto/ nor client/, nor a folder that does:
 * it has nothing to decrypt with. SECURITY.md claims that, and names the modules of the relay half.
 */
const RULES: Readonly<Record<string, Rule>> = {
  'protocol/': { imports: ['zod/mini'], reason: 'both halves agree on it, and it runs anywhere' },
  'relay/': {
    imports: ['protocol/'],
    reason: 'the domain gets time, randomness, storage and sockets through its ports',
  },
  'relay/session/': {
    imports: ['protocol/', 'relay/errors.ts'],
    reason: 'a session is a value, and knows of no channel, store or socket',
  },
  'relay/channel/': {
    imports: ['protocol/', 'relay/session/', 'relay/ports.ts', 'relay/pieces.ts', 'relay/awaitable.ts'],
    reason: 'a channel answers in outcomes, and knows of no link',
  },
  'relay/live/': {
    imports: ['protocol/', 'relay/session/', 'relay/channel/', ...DOMAIN],
    reason: 'the wings of the domain are in a straight line: relay, live, channel, session',
  },
  'store/': {
    imports: ['protocol/', ...DOMAIN, 'relay/session/session.ts', 'zod/mini', '@redis/client', 'node:crypto'],
    reason: 'a store serves the domain, whatever transport is around it',
  },
  'server/': {
    imports: [
      ...['protocol/', 'relay/relay.ts', ...DOMAIN, 'store/', 'zod/mini', 'fastify', '@fastify/', 'ws', 'bufferutil'],
      ...[
        'pino',
        'pino-pretty',
        '@prometheus-io/client',
        'close-with-grace',
        'ipaddr.js',
        'node:buffer',
        'node:crypto',
      ],
      ...['node:events', 'node:fs', 'node:fs/promises', 'node:http', 'node:module'],
      ...['node:net', 'node:os', 'node:perf_hooks', 'node:stream', 'node:timers/promises', 'node:v8'],
    ],
    reason: 'the relay half never decrypts, with no library either',
  },
  'crypto/': {
    imports: ['protocol/', 'tweetnacl', '@noble/'],
    reason: 'the cryptography runs anywhere, is used, and uses no part of the SDK',
  },
  'client/': {
    imports: ['protocol/', 'crypto/', 'ws'],
    reason: 'the SDK runs in browsers, Deno and Bun, has no user interface, and knows of a relay what PROTOCOL.md has',
  },
  'node/': {
    imports: ['protocol/', 'crypto/encoding.ts', 'client/index.ts', 'node:'],
    reason: 'files and folders are for Node alone, and the SDK is told of them as any app would tell it',
  },
  'browser/': {
    imports: ['client/index.ts'],
    reason: 'the browser’s storage is for pages alone, and the SDK is told of it as any app would tell it',
  },
  'cli/': {
    imports: ['protocol/', 'client/index.ts', 'node/', 'commander', 'qr', 'node:'],
    reason: 'the CLI has of the client what an app has of it, and nothing behind that',
  },
  'testing/': {
    imports: [
      ...[
        'protocol/',
        'relay/relay.ts',
        'relay/errors.ts',
        'relay/pieces.ts',
        'store/memory/',
        'client/index.ts',
        'zod/mini',
      ],
    ],
    reason:
      'the doubles for an app’s tests join both halves in one process: nothing else may, and nothing imports them',
  },
  'web/': {
    imports: [
      ...['protocol/', 'client/index.ts', 'browser/index.ts', 'browser/batches.ts', 'crypto/pairing-code.ts'],
      ...['qr', 'lean-qr', 'vite', 'terser'],
      ...['node:crypto', 'node:fs', 'node:path', 'node:url', 'node:zlib'],
    ],
    reason: 'the page has of the client what an app has of it, and of Node what its build takes',
  },
}

/** All that the relay half takes from node:crypto: digests, random bytes, and the reader of certificates. */
const FROM_NODE_CRYPTO = ['X509Certificate', 'createHmac', 'hash', 'randomBytes', 'timingSafeEqual']

/** Ways around an import to a function that decrypts. */
const AROUND = /\b(getBuiltinModule|subtle|webcrypto|create(De|C)ipheriv|(private|public)Decrypt|eval|Function\()/

/** Openings of comments that describe where a noun or a verb would name. */
const OPENING = /^ *(?:\/\*\*|\/\/|\*) *(?:What|Who|Whether|That|One|It)\b/

/** Files over 300 lines, each with the reason why it is not two. */
const LONG_FILES: Readonly<Record<string, string>> = {}
const LINES_MAX = 300

const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.[cm]?tsx?$/.test(file))
  .map((file) => file.replaceAll('\\', '/'))
  .sort()
const imports = new Map(files.map((file) => [file, importsOf(file)]))

describe('the source', () => {
  test('imports no file of its own that does not exist', () => {
    for (const [file, targets] of imports) {
      for (const target of targets) if (isOwn(target)) expect(files, `${file} imports ${target}`).toContain(target)
    }
  })

  test.each(Object.entries(RULES))('of %s imports the modules listed for it, and no other', (folder, rule) => {
    const others = files
      .filter((file) => file.startsWith(folder))
      .flatMap((file) => imports.get(file)?.map((target) => ({ file, target })) ?? [])
      .filter(({ target }) => ![folder, ...rule.imports].some((each) => matches(target, each)))
    expect(others, rule.reason).toEqual([])
  })

  test('has a rule for each folder', () => {
    const folders = new Set(files.map((file) => `${file.split('/')[0]}/`))
    expect(Object.keys(RULES)).toEqual(expect.arrayContaining([...folders]))
  })

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
    const modules = RELAY_HALF.flatMap((folder) => RULES[folder]?.imports ?? []).filter(
      (name) => !/^[a-z]+\/$/.test(name) && !name.endsWith('.ts'),
    )
    for (const name of [...modules, ...FROM_NODE_CRYPTO]) expect(named).toContain(name.replace(/\/$/, '/*'))
    const others = named.filter((name = '') => !/^(src|test)\//.test(name))
    expect(others.length).toBe(new Set([...modules, ...FROM_NODE_CRYPTO]).size)
  })

  test('has no import cycle between files, types included', () => {
    const cycles = files.flatMap((file) => pathTo(file, (target) => target === file) ?? [])
    expect(cycles).toEqual([])
  })

  test('of the CLI prints each event of its table, and asks each kind of question', () => {
    const cli = files.filter((file) => file.startsWith('cli/')).map(sourceOf)
    const wordsOf = (call: RegExp) => [...cli.join('').matchAll(call)].map(([, word]) => word)
    const printed = wordsOf(/(?:\.event|writeEvent)\(\s*'(\w+)'/g)
    expect(Object.keys(EVENTS).filter((event) => !printed.includes(event))).toEqual([])
    const asked = wordsOf(/(?:\bask\(|\bkind: )'(\w+)'/g)
    expect(QUESTIONS.filter((kind) => !asked.includes(kind))).toEqual([])
  })

  test(`has no file over ${LINES_MAX} lines without a reason`, () => {
    const long = files.filter((file) => linesOf(file) > LINES_MAX)
    expect(long).toEqual(Object.keys(LONG_FILES))
  })
})

describe('comments', () => {
  test.each(['src', 'test', 'bench', 'scripts', 'examples'])('of %s begin with a noun or a verb', (folder) => {
    const found = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.(?:ts|mjs)$/.test(file) && !/node_modules|^dist\/|\.d\.ts$/.test(file))
      .flatMap((file) => {
        const lines = readFileSync(join(ROOT, folder, file), 'utf8').split('\n')
        return lines.flatMap((line, at) => (OPENING.test(line) ? [`${folder}/${file}:${at + 1}: ${line.trim()}`] : []))
      })
    expect(found).toEqual([])
  })
})

describe('a comment that names a section of PROTOCOL.md', () => {
  const headings = new Map<string, string>()
  for (const [, number = '', title = ''] of readFileSync(join(ROOT, 'PROTOCOL.md'), 'utf8').matchAll(
    /^#+ (\d+(?:\.\d+)?)\.? (.+)$/gm,
  ))
    headings.set(number, title)

  test('names one that is there, and says a word of its title', () => {
    const wrong = files.flatMap((file) =>
      [...sourceOf(file).matchAll(/\/\*\*?[\s\S]*?\*\/|(?: *\/\/.*\n)+/g)].flatMap(([comment]) => {
        const said = comment.toLowerCase()
        return [...comment.matchAll(/PROTOCOL\.md,?(?:\s+\*)?\s+(?:section )?(\d+(?:\.\d+)?)/g)].flatMap(
          ([, number = '']) => {
            const words =
              headings
                .get(number)
                ?.toLowerCase()
                .match(/[a-z]{4,}/g) ?? []
            return words.some((word) => said.includes(word.slice(0, 5).replace(/s$/, ''))) ? [] : [`${file}: ${number}`]
          },
        )
      }),
    )
    expect(wrong).toEqual([])
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

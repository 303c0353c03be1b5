import { hash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'vite'
import { afterAll, expect, test } from 'vitest'

const PAGE = fileURLToPath(new URL('../../dist/web', import.meta.url))
const CONFIG = fileURLToPath(new URL('../../src/web/vite.config.ts', import.meta.url))
const FIRST_LOAD_MAX = 40_000
const ALL_MAX = 105_000
const TOUCH_ICON_MAX = 3_000

const folders: string[] = []

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true })
})

/** Files of a built page with their bytes, without those that are packed. */
function filesOf(folder: string): Map<string, Buffer> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()
  const files = names.filter((name) => statSync(join(folder, name)).isFile() && !/\.(br|gz)$/.test(name))
  return new Map(files.map((name) => [name, readFileSync(join(folder, name))]))
}

const files = filesOf(PAGE)
const text = (name: string) => files.get(name)?.toString() ?? ''

/** Adds up files as a browser gets them. */
function packed(names: Iterable<string>): number {
  return [...names].reduce((sum, name) => sum + gzipSync(files.get(name) ?? '', { level: 9 }).length, 0)
}

/** Names the files that index.html refers to, and those that these import before they run. */
function firstLoad(): Set<string> {
  const found = new Set(['index.html'])
  for (const [, name = ''] of text('index.html').matchAll(/(?:src|href)="\.\/([^"]+)"/g)) found.add(name)
  for (const name of found)
    for (const [, imported = ''] of text(name).matchAll(/(?:from|import)\s*["`']\.\/([^"`']+\.js)["`']/g))
      found.add(`assets/${imported}`)
  found.delete('apple-touch-icon.png')
  return found
}

test(`the page is at most ${FIRST_LOAD_MAX} bytes with gzip before anything is pressed`, () => {
  const names = firstLoad()
  process.stdout.write(`\nThe first load is ${packed(names)} bytes with gzip: ${[...names].join(', ')}\n`)
  expect([...names].some((name) => /assets\/index-.*\.js/.test(name))).toBe(true)
  expect(packed(names)).toBeLessThanOrEqual(FIRST_LOAD_MAX)
})

test(`all of the page is at most ${ALL_MAX} bytes with gzip, beside an icon for home screens`, () => {
  const names = [...files.keys()].filter((name) => !name.endsWith('.png'))
  process.stdout.write(`\nAll of the page is ${packed(names)} bytes with gzip\n`)
  expect(packed(names)).toBeLessThanOrEqual(ALL_MAX)
  expect(files.get('apple-touch-icon.png')?.length).toBeLessThanOrEqual(TOUCH_ICON_MAX)
})

test('index.html names the digests of its script and of its style', () => {
  const named = [...text('index.html').matchAll(/(?:src|href)="\.\/(assets\/[^"]+)" integrity="sha256-([^"]+)"/g)]
  expect(named.length).toBe(2)
  for (const [, name = '', digest] of named) expect(hash('sha256', files.get(name) ?? '', 'base64')).toBe(digest)
})

test('two builds have the same bytes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pairlay-built-'))
  folders.push(folder)
  await build({ configFile: CONFIG, logLevel: 'error', build: { outDir: folder, emptyOutDir: true } })
  const again = filesOf(folder)
  const digests = (all: Map<string, Buffer>) =>
    [...all].map(([name, bytes]) => `${hash('sha256', bytes, 'hex')} ${name}`)
  expect([...again.keys()]).toEqual([...files.keys()])
  expect(digests(again)).toEqual(digests(files))
})

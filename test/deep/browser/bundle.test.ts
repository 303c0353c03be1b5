import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as sdk from '../../../src/client/index.ts'
import { type Bundle, bundle, pathOf, SDK } from './bundle.ts'

const MAX_BYTES = 65_000
/** With what an app takes to keep files. */
const KEEPING_MAX_BYTES = 68_000
/** Has all of `pairlay/browser/worker` too. */
const KEEPING = fileURLToPath(new URL('../../../src/browser/index.ts', import.meta.url))

describe('the SDK bundled for browsers', () => {
  let directory: string
  let built: Bundle

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pairlay-bundle-'))
    built = await bundle(SDK, 'pairlay', directory)
  })

  afterAll(async () => {
    await rm(directory, { recursive: true, force: true })
  })

  test('is under 65 kB with gzip, chunks that no browser loads included', () => {
    const sizes = built.chunks.map(({ fileName, code }) => ({ fileName, bytes: gzipSync(code).length }))
    const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0)
    const each = sizes.map(({ fileName, bytes }) => `${fileName} ${bytes}`).join(', ')
    process.stdout.write(`\nThe SDK for browsers is ${total} bytes with gzip: ${each}\n`)
    expect(total).toBeLessThan(MAX_BYTES)
  })

  test('is under 68 kB with pairlay/browser and its worker, which have nothing of it', async () => {
    const added = await bundle(KEEPING, 'keeping', directory)
    const all = [...built.chunks, ...added.chunks]
    const total = all.reduce((sum, { code }) => sum + gzipSync(code).length, 0)
    process.stdout.write(`\nWith pairlay/browser it is ${total} bytes\n`)
    expect(total).toBeLessThan(KEEPING_MAX_BYTES)
    const modules = added.chunks.flatMap(({ moduleIds }) => moduleIds.map(pathOf))
    expect(modules.filter((module) => !module.startsWith('src/browser/'))).toEqual([])
  })

  test('imports nothing but its own chunks', () => {
    const own = built.chunks.map(({ fileName }) => fileName)
    for (const { imports, dynamicImports, code } of built.chunks) {
      expect(own).toEqual(expect.arrayContaining([...imports, ...dynamicImports]))
      expect(code).not.toMatch(/\b(?:from|import)\s*\(?\s*["'`](?!\.\/)/)
    }
  })

  test('comes from sources that import no Node module; tweetnacl asks for one only where there is no Web Crypto', () => {
    const others = built.nodeImports.filter((each) => each !== 'tweetnacl/nacl.js → crypto')
    expect(others).toEqual([])
  })

  test('has nothing of ws, as every browser has a WebSocket of its own, and nothing of zod, which is the relay’s', () => {
    const modules = built.chunks.flatMap(({ moduleIds }) => moduleIds.map(pathOf))
    expect(modules).toContain('tweetnacl/nacl.js')
    expect(modules.filter((module) => /^(ws|zod)\//.test(module))).toEqual([])
  })

  test('evaluates without touching a global that only Node has, and exports all of the SDK', async () => {
    const script = `
      const { stdout, argv } = process
      globalThis.self = globalThis
      for (const name of ['process', 'Buffer', 'global', 'setImmediate', 'clearImmediate']) {
        Object.defineProperty(globalThis, name, { get() { throw new Error('it touches ' + name) } })
      }
      const bundle = await import(argv[1])
      stdout.write(JSON.stringify(Object.keys(bundle)))`
    const url = pathToFileURL(join(directory, built.main)).href
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script, url])
    expect(JSON.parse(stdout).sort()).toEqual(Object.keys(sdk).sort())
  })
})

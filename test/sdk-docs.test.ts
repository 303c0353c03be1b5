import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningRelay, startRelay } from './support/server.ts'

/** Checks the types of each snippet of docs/sdk.md, and runs its whole programs, as a reader would copy them. */

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const DOCUMENT = readFileSync(join(ROOT, 'docs/sdk.md'), 'utf8')

/** Names that the text leaves to the reader's app. */
const APP = `
import type { Offer, PairedDevice, PairingRequest, Receiver, Sender, Source, Transfers } from 'pairlay'
declare global {
  function show(what: unknown): void
  function ask(what: unknown): Promise<boolean>
  function write(path: string, stream: ReadableStream<Uint8Array>): Promise<void>
  function keep(path: string, blob: Blob): Promise<void>
  const [onProgress, onAnswer, onChecking, onSkip, onFailure]: ((...told: unknown[]) => void)[]
  const [file, code, device, request, receiver]: [File, string, PairedDevice, PairingRequest, Receiver]
  const [sources, transfers, signal]: [Source[], Transfers, AbortSignal]
  const [bytes, type, re]: [Uint8Array, string, number]
}
`
const OPTIONS = {
  extends: join(ROOT, 'tsconfig.base.json'),
  compilerOptions: {
    composite: false,
    noEmit: true,
    // A snippet may leave what it has to the reader, and looks up what is there.
    noUnusedLocals: false,
    noUncheckedIndexedAccess: false,
    lib: ['ES2023', 'DOM', 'DOM.AsyncIterable'],
    types: ['node'],
  },
  include: ['*.ts'],
}

/** Snippets by the line that each begins at. */
const snippets = new Map(
  [...DOCUMENT.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(({ index, 1: code = '' }) => {
    return [DOCUMENT.slice(0, index).split('\n').length + 1, code]
  }),
)
const wholePrograms = DOCUMENT.slice(DOCUMENT.indexOf('## Whole programs'), DOCUMENT.indexOf('## Errors'))
const programs = [...snippets.values()].filter((code) => wholePrograms.includes(code))

let folder: string
let files: string
let relay: RunningRelay

beforeAll(async () => {
  // Below the package, whose name the snippets import.
  folder = mkdtempSync(join(ROOT, 'dist/.docs-'))
  files = mkdtempSync(join(tmpdir(), 'pairlay-docs-'))
  relay = await startRelay()
})

afterAll(async () => {
  await relay.close()
  for (const each of [folder, files]) rmSync(each, { recursive: true })
})

test('every snippet of docs/sdk.md has right types', async () => {
  expect(snippets.size).toBeGreaterThan(6)
  for (const [line, code] of snippets) writeFileSync(join(folder, `line-${line}.ts`), `${code}export {}\n`)
  writeFileSync(join(folder, 'app.d.ts'), APP)
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(OPTIONS))
  const tsc = join(ROOT, 'node_modules/.bin/tsc')
  const { stdout } = await promisify(execFile)(tsc, ['-p', folder]).catch((error) => error)
  expect(stdout).toBe('')
})

describe('a whole program of docs/sdk.md', () => {
  const picture = new Uint8Array([1, 2, 3]).buffer
  const written = new Map<string, string>()
  const shown: string[] = []
  let showLink: (link: string) => void = () => {}

  /** Functions of the program that begins with this one, which run as the two devices do. */
  async function load(first: string) {
    const program = programs.find((code) => code.includes(`function ${first}(`)) ?? expect.unreachable(first)
    const names = [...program.matchAll(/^async function (\w+)/gm)].map(([, name]) => name)
    const code = program
      .replace("'https://relay.example'", JSON.stringify(relay.url))
      .replace("'/private/transfers'", JSON.stringify(join(files, 'transfers')))
      .replace("'Downloads'", JSON.stringify(join(files, 'downloads')))
    const path = join(folder, `${first}.ts`)
    writeFileSync(path, `${code}export { ${names.join(', ')} }\n`)
    return import(/* @vite-ignore */ path)
  }

  beforeAll(() => {
    Object.assign(globalThis, {
      ask: async () => true,
      show: (what: string) => (what.startsWith(relay.url) ? showLink(what) : shown.push(what)),
      write: async (path: string, stream: ReadableStream) => written.set(path, await new Response(stream).text()),
    })
  })

  afterAll(() => {
    for (const name of ['ask', 'show', 'write']) Reflect.deleteProperty(globalThis, name)
  })

  /** Runs one half, and the other one with the link that it shows. */
  async function run(one: () => Promise<void>, other: (link: string) => Promise<void>): Promise<void> {
    const link = new Promise<string>((resolve) => {
      showLink = resolve
    })
    await Promise.all([one(), link.then(other)])
  }

  test('is run by this file, each of them', () => {
    expect(programs).toHaveLength(3)
  })

  test('asks and answers', async () => {
    const { answering, asking } = await load('answering')
    await run(answering, asking)
    expect(shown.splice(0)).toEqual([expect.stringMatching(/^\d{6}$/), expect.stringMatching(/^\d{4}-\d\d-\d\dT/)])
  })

  test('offers and takes', async () => {
    const { offering, taking } = await load('offering')
    await run(() => offering(picture), taking)
    expect(shown.splice(0)).toEqual([expect.stringMatching(/^\d{6}$/), '16 bytes are there'])
    expect([...written.keys()]).toEqual(['note.txt', 'picture.png'])
    expect(written.get('note.txt')).toBe('Meet at noon.')
  })

  test('sends a folder and receives it', async () => {
    for (const name of ['downloads', 'holiday']) mkdirSync(join(files, name))
    writeFileSync(join(files, 'holiday/film'), 'film')
    const { sending, receiving } = await load('sending')
    await run(() => sending(join(files, 'holiday')), receiving)
    expect(shown.splice(0)).toEqual([expect.stringMatching(/^\d{6}$/), 'Accepted'])
    expect(readdirSync(join(files, 'downloads'), { recursive: true })).toEqual(['holiday', 'holiday/film'])
  })
})

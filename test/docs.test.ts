import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { PUBLISHED } from '../bench/sections/nodes.ts'
import { COMMANDS } from '../src/cli/commands.ts'
import { FAULTS } from '../src/cli/doctor/finding.ts'
import { ENVIRONMENT, FILES } from '../src/cli/environment.ts'
import { EVENTS, QUESTIONS } from '../src/cli/events.ts'
import { EXIT } from '../src/cli/exit.ts'
import * as sdk from '../src/client/index.ts'
import { EMITTED_TAGS_MAX } from '../src/client/pairing/emitted-tags.ts'
import { HANDSHAKES_MAX, RUNS_MAX, WRONG_GUESSES_MAX } from '../src/client/pairing/handshake-slots.ts'
import { HANDSHAKE_STEP_IN_ALL_MS, HANDSHAKE_STEP_MS } from '../src/client/pairing/handshake-steps.ts'
import { GOODBYE_MS } from '../src/client/transfer/sending.ts'
import { ERROR_TITLES } from '../src/protocol/error-titles.ts'
import { ERRORS, FINAL_CLOSURES } from '../src/protocol/errors.ts'
import { DENIAL_REASONS } from '../src/protocol/fields.ts'
import { decodeFrame, FRAME_DATA } from '../src/protocol/frame.ts'
import * as limits from '../src/protocol/limits.ts'
import { AttachRequest, CreateSessionRequest, JoinRequest } from '../src/protocol/requests.ts'
import { CreateSessionResponse, FramePosition, Problem } from '../src/protocol/responses.ts'
import { AttachedView, ChannelRow, CLOSE_REASONS, RECEIVER_STATES, SUBPROTOCOL, View } from '../src/protocol/view.ts'
import { zodOf } from '../src/protocol/zod.ts'
import { HEADERS_TIMEOUT_MS, KEEP_ALIVE_TIMEOUT_MS, REQUEST_TIMEOUT_MS } from '../src/server/app.ts'
import { readConfig, VARIABLES } from '../src/server/config.ts'
import { PROCESS_BYTES } from '../src/server/resources.ts'
import * as testing from '../src/testing/index.ts'
import { STATES } from './deep/web/states.ts'
import { startRelay } from './support/server.ts'

/** Holds what is written twice, once for people and once for machines, together in both directions. */

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
const protocol = read('PROTOCOL.md')
const cli = read('docs/cli.md')
const contributing = read('CONTRIBUTING.md')

/** Every document for people, by its path. */
const DOCUMENTS = ['.', 'docs', 'examples']
  .flatMap((folder) => readdirSync(new URL(`../${folder}`, import.meta.url)).map((file) => join(folder, file)))
  .filter((path) => path.endsWith('.md'))
  .map((path) => ({ path, text: read(path) }))

/** The part of a document below a heading or line, up to the next heading. */
function section(document: string, start: string): string {
  const from = document.indexOf(start)
  expect(from, `the document has "${start}"`).toBeGreaterThan(-1)
  return document.slice(from + start.length).split(/\n#+ /)[0]
}

/** The cells of every table row, without backticks. */
function rows(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('|---'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('`', '')),
    )
}

const numberOr = (value: number | undefined) => String(value ?? '–')
const { limits: perMinute } = readConfig({})
const body = (text: string) => rows(text).slice(1)

/** Takes the name of every option of T: the compiler finds one that is missing, or one too many. */
const optionsOf = <T>(names: Record<keyof T, true>) => Object.keys(names)

// biome-ignore format: one paragraph for each call
const OPTIONS = {
  'Sender.open': optionsOf<sdk.SenderOptions>({
    relay: true, accessToken: true, receivers: true, ttlSeconds: true, takes: true, name: true, patienceMs: true, signal: true, onFailedAttempt: true, onWaiting: true,
    onUsedUp: true, onBusy: true, onStatus: true, onFallback: true, onSmallFrames: true, environment: true,
  }),
  'Receiver.join': optionsOf<sdk.ReceiverOptions>({
    code: true, link: true, relay: true, name: true, takes: true, patienceMs: true, attempts: true, signal: true, onApproved: true, onRejoin: true,
    onBusy: true, onStatus: true, onFallback: true, onSmallFrames: true, environment: true,
  }),
  send: optionsOf<sdk.SendOptions>({
    transfers: true, onAnswer: true, onChecking: true, onProgress: true, onSkip: true, onReceipt: true, last: true, signal: true,
  }),
  save: optionsOf<Omit<sdk.SaveOptions, keyof sdk.AcceptOptions>>({ onSaving: true }),
  accept: optionsOf<sdk.AcceptOptions>({ onProgress: true, onChecking: true, beforeReceipt: true, begun: true, signal: true }),
}

/** Tables of documents, by path and heading, with what their first columns have to be, in any order. */
const TABLES: readonly (readonly [path: string, heading: string, rows: readonly (readonly string[])[]])[] = [
  [
    'PROTOCOL.md',
    '## 6. Errors',
    Object.entries<{ status?: number; closeCode?: number; retryable: boolean }>(ERRORS).map(([code, spec]) => [
      ...[code, numberOr(spec.status), numberOr(spec.closeCode), spec.retryable ? 'yes' : 'no'],
    ]),
  ],
  ['PROTOCOL.md', '### 3.2', Object.keys(CreateSessionRequest.shape).map((field) => [field])],
  ['PROTOCOL.md', '### 3.3', Object.keys(JoinRequest.shape).map((field) => [field])],
  [
    'docs/operate.md',
    '## Settings',
    Object.entries(VARIABLES).map(([name, { default: value, form }]) => [
      ...[name, value || 'none', form.replace(/^a whole number from /, '')],
    ]),
  ],
  ['docs/sdk.md', '## Errors', Object.entries(sdk.PAIRING_ERRORS)],
  ['docs/sdk.md', '## Options', Object.entries(OPTIONS).flatMap(([call, names]) => names.map((name) => [call, name]))],
  ['docs/operate.md', '## pairlay doctor', Object.keys(FAULTS).map((fault) => [fault])],
  ['docs/cli.md', '## Exit codes', Object.entries(EXIT).map(([name, code]) => [String(code), name])],
  ['docs/cli.md', '## With `--json`', Object.entries(EVENTS).map(([event, fields]) => [event, fields.join(', ')])],
  ['docs/cli.md', '## Environment and files', Object.entries({ ...ENVIRONMENT, file: 'meaning', ...FILES })],
  [
    'docs/cli.md',
    '## Options',
    COMMANDS.flatMap(({ name, options }) => options.map(({ flags, description }) => [name, flags, description])),
  ],
]

it.each(TABLES)('%s, %s: the table has every row of the program, and no other', (path, heading, coded) => {
  const written = body(section(read(path), heading)).map((cells) => cells.slice(0, coded[0].length))
  expect(written.toSorted()).toEqual(coded.toSorted())
})

describe('PROTOCOL.md', () => {
  it('has every denial reason, and the budgets that the SDK keeps', () => {
    const [reasons] = section(protocol, '### 3.7').split('| error |')
    expect(body(reasons).map(([reason]) => reason)).toEqual(DENIAL_REASONS)
    const seconds = [HANDSHAKE_STEP_MS, HANDSHAKE_STEP_IN_ALL_MS].map((ms) => `${ms / 1000} s`)
    const budgets = [WRONG_GUESSES_MAX, EMITTED_TAGS_MAX, HANDSHAKES_MAX, limits.PENDING_MAX, RUNS_MAX].map(String)
    expect(body(section(protocol, '### 9.5 Budgets')).map(([, value]) => value)).toEqual([...budgets, ...seconds])
  })

  it('has every limit with its value, and no other', () => {
    const [constants] = section(protocol, '## 7. Limits').split('What an operator can change')
    const written = Object.fromEntries(body(constants).map(([name, value]) => [name, Number(value)]))
    const coded = Object.fromEntries(Object.entries(limits).filter(([, value]) => typeof value === 'number'))
    expect(written).toEqual(coded)
  })

  it('has the default of each limit an operator can change', () => {
    const [, variables] = section(protocol, '## 7. Limits').split('What an operator can change')
    const written = body(variables)
    expect(written.length).toBeGreaterThan(5)
    for (const [name, value] of written) expect(VARIABLES[name as keyof typeof VARIABLES].default, name).toBe(value)
  })

  it('has the fields, the receiver states and the close reasons of the view', () => {
    const view = section(protocol, '## 4. The view')
    const [fields, channels, states, reasons] = view.split(/A row of `channels`|\| receiver state|\| session state/)
    expect(body(fields).map(([field]) => field)).toEqual(Object.keys(View.fields))
    expect(body(channels).map(([field]) => field)).toEqual(Object.keys(ChannelRow.fields))
    expect(new Set(rows(states).map(([state]) => state))).toEqual(new Set(RECEIVER_STATES))
    const closed = rows(reasons).filter(([state]) => state === 'closed')
    expect(new Set(closed.map(([, reason]) => reason))).toEqual(new Set(CLOSE_REASONS))
  })

  it('has the calls that the relay answers', async () => {
    const relay = await startRelay()
    const { paths } = (await relay.app.inject('/openapi.json')).json<{ paths: Record<string, object> }>()
    await relay.close()
    const answered = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    )
    const headed = protocol.matchAll(/^### 3\.\d `([A-Z]+) (\/v1\/[^`?]*)/gm)
    const overHttp = section(protocol, '### 5.9').matchAll(/(?:^\| |: )`([A-Z]+) (\/[^`?]*)/gm)
    const socket = section(protocol, '## 5. The WebSocket').matchAll(/^`([A-Z]+) (\/[^`]*)/gm)
    const calls = [...headed, ...overHttp, ...socket].map(([, method, path]) => `${method} ${path}`)
    // The view is in section 3 already, and polled in 5.9.
    expect([...new Set(calls)].toSorted()).toEqual(answered.toSorted())
  })

  it('has frames that a relay and a client can read', () => {
    const examples = [section(protocol, '### 5.3'), section(protocol, '### 5.4'), section(protocol, '### 12.3')].join(
      '',
    )
    const headers = [...examples.matchAll(/`(0[12]00[0-9a-f]{12})`/g)].map(([, hex]) => hex)
    expect(headers.length).toBeGreaterThan(10)
    for (const hex of headers) {
      const type = Number(hex.slice(0, 2))
      const ciphertext = type === FRAME_DATA ? 'ff' : ''
      expect(decodeFrame(Buffer.from(hex + ciphertext, 'hex')), hex).toMatchObject({ type, channel: 1 })
    }
  })

  it('has examples of calls without a WebSocket that have the documented form', () => {
    const bodies = section(protocol, '### 5.9').match(/^\{.*\}$/gm) ?? []
    const schemas = [
      AttachRequest,
      ...[AttachedView, View, FramePosition, Problem, Problem].map((each) => zodOf<unknown>(each)),
    ]
    expect(bodies).toHaveLength(schemas.length)
    for (const [i, schema] of schemas.entries()) schema.parse(JSON.parse(bodies[i]))
    for (const problem of bodies.slice(-2).map((text) => zodOf(Problem).parse(JSON.parse(text)))) {
      const code = problem.code as keyof typeof ERRORS
      const { closeCode: _, ...spec } = { closeCode: undefined, ...ERRORS[code] }
      expect(problem).toMatchObject({ title: ERROR_TITLES[code], ...spec })
    }
  })

  it('has an app of its own whose calls have the documented form', () => {
    const bodies = [...section(protocol, '## 14.').matchAll(/`(\{.*\})`/g)].map(([, text]) => JSON.parse(text))
    expect(bodies).toHaveLength(4)
    for (const [i, schema] of [CreateSessionRequest, zodOf(CreateSessionResponse), JoinRequest].entries())
      schema.parse(bodies[i])
    expect(Buffer.from(bodies[0].profile, 'base64url').toString('hex')).toBe('806c756d656e31')
    expect(Buffer.from(bodies[2].publicKey, 'base64url')).toHaveLength(33)
  })

  it('has the fields of /version that the relay answers', async () => {
    const relay = await startRelay()
    const answered = (await relay.app.inject('/version')).json<object>()
    await relay.close()
    expect(section(protocol, '### 3.9')).toContain(`\`/version\`\n(\`{${Object.keys(answered).join(', ')}}\`)`)
  })

  it.each([
    ['R', 'relay', ['conformance']],
    ['C', 'client', ['client', 'e2e']],
  ])('has a test for each row %s of what a %s ends, and no other', (letter, _, folders) => {
    const written = body(section(protocol, '### 5.10')).flatMap(([row]) => (row.startsWith(letter) ? [row] : []))
    const sources = folders.flatMap((folder) => {
      const url = new URL(`./${folder}/`, import.meta.url)
      return readdirSync(url, { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts'))
        .map((file) => readFileSync(new URL(file, url), 'utf8'))
    })
    const named = [...sources.join('').matchAll(new RegExp(`'(${letter}\\d+): `, 'g'))].map(([, row]) => row)
    expect([...new Set(named)].toSorted()).toEqual(written.toSorted())
  })
})

describe('docs/cli.md', () => {
  it('has every example of the commands', () => {
    const shown = [...cli.matchAll(/^(\S.*?) +# (.+)$/gm)].map(([, line, does]) => [line, does])
    expect(shown).toEqual(COMMANDS.flatMap(({ examples }) => Object.entries(examples)))
  })

  it('has every kind of question', () => {
    const [, kinds] = section(cli, '## With `--json`').split('The kinds of question are')
    expect([...kinds.matchAll(/`(\w+)`\s\(/g)].map(([, kind]) => kind)).toEqual([...QUESTIONS])
  })
})

describe('docs/page.md', () => {
  it('shows every screen that the tests look at, each picture once', () => {
    const shown = [...read('docs/page.md').matchAll(/\(screens\/(.+?)\.webp\)/g)].map(([, name]) => name)
    const files = readdirSync(new URL('../docs/screens', import.meta.url)).map((file) => file.replace('.webp', ''))
    expect(['pairing', ...shown].toSorted()).toEqual(files.toSorted())
    expect(shown).toEqual(expect.arrayContaining(Object.keys(STATES).map((name) => name.replaceAll(/\W+/g, '-'))))
  })
})

describe('docs/cluster.md', () => {
  it('has the figures of several nodes as the benchmark prints them', () => {
    const [, block = ''] = read('docs/cluster.md').split(`${PUBLISHED.begin}\n`)
    const [head, ...figures] = rows(block.split(PUBLISHED.end)[0])
    expect(head).toEqual(['', ...PUBLISHED.places])
    expect(figures.map(([name]) => name)).toEqual(PUBLISHED.rows)
    expect(figures.length).toBeGreaterThan(5)
  })
})

describe('docs/integrate.md', () => {
  it('shows files of examples/app as they are there', () => {
    const snippets = [...read('docs/integrate.md').matchAll(/^```(?:js|html)\n([\s\S]*?)^```/gm)].map(
      ([, code]) => code,
    )
    const files = snippets.map((code) => /examples\/app\/[\w.-]+/.exec(code)?.[0] ?? expect.unreachable(code))
    expect(files.length).toBeGreaterThan(4)
    for (const [at, file] of files.entries()) expect(snippets[at]).toBe(read(file))
  })

  it('has every export of pairlay/testing that is a value', () => {
    const text = section(read('docs/integrate.md'), '## Tests of your app')
    for (const name of Object.keys(testing)) expect(text).toContain(`new ${name}(`)
  })
})

describe('docs/field.md', () => {
  it('names what the program prints', () => {
    const printed = [sdk.PAIRING_ERRORS, ERRORS, EVENTS, VARIABLES].flatMap((table) => Object.keys(table))
    const table = section(read('docs/field.md'), '## When something goes wrong').split('\n')
    const named = table.flatMap((line) => [...(/^\| [^|]*/.exec(line)?.[0] ?? '').matchAll(/`([^`]+)`/g)])
    expect(named.length).toBeGreaterThan(15)
    for (const [, name] of named) expect(printed).toContain(name)
  })
})

describe('DECISIONS.md', () => {
  const decisions = read('DECISIONS.md')

  it('has each decision once, in its index and with a date', () => {
    const [, index, ...parts] = decisions.split(/^## /m)
    const titles = parts.flatMap((part) => [...part.matchAll(/^### (.+)$/gm)].map(([, title]) => title))
    expect(titles.length).toBeGreaterThan(50)
    expect(new Set(titles).size).toBe(titles.length)
    expect([...index.matchAll(/^- \[(.+)\]\(/gm)].map(([, title]) => title)).toEqual(titles)
    expect(decisions.match(/^### .+\n\*\d{4}-\d\d-\d\d(, \d{4}-\d\d-\d\d)*\.\* /gm)).toHaveLength(titles.length)
  })
})

describe('CHANGELOG.md', () => {
  it('is in the form of Keep a Changelog', () => {
    const [versions, kinds] = [/^## (.+)$/gm, /^### (.+)$/gm].map((heading) =>
      [...read('CHANGELOG.md').matchAll(heading)].map(([, text]) => text),
    )
    expect(versions[0]).toBe('[Unreleased]')
    for (const version of versions.slice(1)) expect(version).toMatch(/^\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d$/)
    const allowed = ['Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security']
    expect(kinds.filter((kind) => !allowed.includes(kind))).toEqual([])
  })
})

describe('CONTRIBUTING.md', () => {
  it('has places that are there, each with what it names', () => {
    const named = [...contributing.matchAll(/`((?:src|test|bench|deploy|docs|scripts)\/[\w./-]*)`(?:: `([^`]+)`)?/g)]
    expect(named.length).toBeGreaterThan(10)
    for (const [, path, text] of named) {
      expect(existsSync(new URL(`../${path}`, import.meta.url)), path).toBe(true)
      if (text) expect(read(path), path).toContain(text)
    }
  })
})

describe('the documents', () => {
  it('link to files and headings that are there', () => {
    const links = DOCUMENTS.flatMap(({ path, text }) =>
      [...text.matchAll(/\]\((?!https?:)([^)#]*)#?([^)]*)\)/g)].map(([, target, anchor]) => ({ path, target, anchor })),
    )
    expect(links.length).toBeGreaterThan(20)
    for (const { path, target, anchor } of links) {
      const file = target === '' ? path : join(dirname(path), target)
      expect(existsSync(new URL(`../${file}`, import.meta.url)), `${path}: ${target}`).toBe(true)
      if (anchor === '') continue
      const headings = [...read(file).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchorOf(heading))
      expect(headings, `${path}: ${target}#${anchor}`).toContain(anchor)
    }
  })

  const { engines } = JSON.parse(read('package.json'))
  const oldest = engines.node.replace('>=', 'Node ')
  const inOrder = new Intl.ListFormat('en-GB')
  const thousands = (number: number) => number.toLocaleString('en')
  it.each([
    ['README.md', `${oldest} or later`],
    ['CONTRIBUTING.md', `${oldest} or later`],
    ['README.md', `and ${limits.EPITAPH_MS / 60_000} minutes later that too`],
    ['PROTOCOL.md', `subprotocol \`${SUBPROTOCOL}\``],
    ['PROTOCOL.md', `Codes ${inOrder.format(FINAL_CLOSURES.map(String))}, and those that section 6`],
    ['PROTOCOL.md', `the sender's profile; \`${limits.PROFILE_DEFAULT}\`, the one byte 01, when absent`],
    ['PROTOCOL.md', `the receiver's profile; \`${limits.PROFILE_DEFAULT}\`, the one byte 01, when absent`],
    ['docs/operate.md', `Headers have ${HEADERS_TIMEOUT_MS / 1000} seconds to come`],
    ['docs/operate.md', `and a whole request ${REQUEST_TIMEOUT_MS / 1000}`],
    ['docs/operate.md', `connection is closed after ${KEEP_ALIVE_TIMEOUT_MS / 1000} seconds`],
    ['docs/operate.md', `unknown codes: more than ${perMinute.unknownCodes} in a minute`],
    ['docs/operate.md', `requests: more than ${thousands(perMinute.requests)} in a second`],
    ['docs/operate.md', `refusals: more than ${perMinute.refusals} in a second`],
    ['docs/operate.md', `failed handshakes: ${limits.ADDRESS_FAILURES_MAX} in one session`],
    ['docs/operate.md', `${PROCESS_BYTES / 1024 ** 2} MiB for the process`],
    ['docs/operate.md', 'the most a client gets; not below `SESSION_TTL_SECONDS`'],
    ['docs/operate.md', 'may have under way; not below `MAX_FRAME_BYTES`'],
    ['docs/operate.md', 'never take more; at least twice `MAX_FRAME_BYTES`'],
    ['docs/operate.md', 'whom to trust for `rediss://`, and only with it'],
    ['docs/sdk.md', `until the receivers are done, ${GOODBYE_MS / 1000} s at most`],
    ['SECURITY.md', `absent for ${limits.PENDING_ABSENT_MS / 1000} seconds loses its place`],
    ['SECURITY.md', `at most ${WRONG_GUESSES_MAX + EMITTED_TAGS_MAX} in 2^25`],
    ['SECURITY.md', `${thousands(limits.JOINS_EVER_MAX)} joins in all end a code`],
    ['SECURITY.md', `that takes ${limits.JOINS_EVER_MAX / limits.ADDRESS_JOINS_MAX} addresses`],
  ])('have what the program has: %s, %s', (path, sentence) => {
    expect(read(path).replaceAll(/\s+/g, ' ')).toContain(sentence)
  })

  it('name only npm scripts that exist', () => {
    const { scripts } = JSON.parse(read('package.json'))
    expect(read('.ci/run')).toMatch(/^npm ci && npm test$/m)
    expect(read('README.md')).toMatch(/^npm ci && npm test /m)
    const named = DOCUMENTS.flatMap(({ text }) => [...text.matchAll(/npm (?:run ([a-z:]+)|(start|test))\b/g)])
    expect(named.length).toBeGreaterThan(10)
    for (const [, run, own] of named) expect(Object.keys(scripts)).toContain(run ?? own)
  })

  it('name every folder of src, and those of relay and client, in the map of CONTRIBUTING.md', () => {
    const map = section(contributing, '## Where things are').split(/^(?=src|test )/m)
    const named = map.flatMap((part) => {
      const [, folder] = /^src\/(\w+)/.exec(part) ?? []
      const parts = [...part.matchAll(/^ {3}(\w+)\//gm)].map(([, name]) => `${folder}/${name}`)
      return folder === undefined ? [] : [folder, ...parts]
    })
    const foldersOf = (path: string) =>
      readdirSync(new URL(`../src/${path}`, import.meta.url), { withFileTypes: true }).filter((each) =>
        each.isDirectory(),
      )
    const there = ['', 'relay/', 'client/'].flatMap((path) => foldersOf(path).map(({ name }) => path + name))
    expect(named.toSorted()).toEqual(there.toSorted())
  })
})

/** The anchor that GitHub gives a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-')
}

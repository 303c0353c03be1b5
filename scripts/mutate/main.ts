import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { linkModules } from '../link-modules.ts'
import { PROTECTIONS } from './list.ts'
import { applied, type Mutation, nameOf, tableOf } from './mutation.ts'

/**
 * `npm run mutate`: takes each protection of the list out of a copy of the repository and runs the test that has to fail then.
 * The exit code is 0 when each did. `--only WORDS` runs the entries that have all these words in their section, name, or test;
 * `--check` looks whether each is in the sources and in the table of the README, and `--write` writes that table.
 */

const ROOT = new URL('../../', import.meta.url).pathname
/** A test that hangs without its protection has failed. */
const HANGS_MS = 300_000
const README = join(ROOT, 'test/deep/adversary/README.md')
const TABLE_BEGINS = '<!-- npm run mutate -- --write -->\n'
const CONFIG = 'mutate.config.mts'
const VITEST = {
  include: ['test/**/*.test.ts'],
  setupFiles: ['test/support/file-ends.ts'],
  testTimeout: 60_000,
  hookTimeout: 60_000,
  experimental: { fsModuleCache: true },
}
/** Tests that start the relay or the CLI as it was built. */
const AS_PROCESSES = /^test\/(cli|conformance|server\/process|deep\/(abuse|chaos|cli|cluster|examples))/

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    jobs: { type: 'string', default: String(Math.max(1, Math.floor(availableParallelism() / 2))) },
    check: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})
const words = values.only.split(/\s+/).filter(Boolean)
const wanted = Object.entries(PROTECTIONS).flatMap(([section, mutations]) =>
  mutations.filter((each) => words.every((word) => textOf(section, each).includes(word))),
)
const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: ROOT })
  .toString()
  .split('\0')
  .filter(Boolean)
const sources = new Map(
  files
    .filter((file) => /^(src\/.*\.ts|deploy\/.*|compose\.yaml|Dockerfile)$/.test(file))
    .map((file) => [file, readFileSync(join(ROOT, file), 'utf8')] as const),
)

let failed = 0
const begun = performance.now()
const queue = wanted.map((mutation) => [mutation, applied(mutation, sources)] as const)
const stale = queue.filter(([, change]) => typeof change === 'string')
for (const [mutation, change] of stale) report('STALE', mutation, String(change))
const readme = readFileSync(README, 'utf8')
const [before = ''] = readme.split(TABLE_BEGINS)
const written = `${before}${TABLE_BEGINS}${tableOf(PROTECTIONS)}`
if (values.write) writeFileSync(README, written)
else if (values.check && written !== readme) {
  failed++
  say(`STALE      the table of ${README}: npm run mutate -- --write`)
}
/** By file, results of `failingAnyway`. */
const anyway = new Map<string, Promise<readonly Result[] | string>>()
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const { pid } of running) if (pid !== undefined) process.kill(-pid, 'SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
if (!values.check && !values.write) {
  const copies = await Promise.all(Array.from({ length: Number(values.jobs) }, work))
  for (const copy of copies) rmSync(copy, { recursive: true, force: true })
}
const minutes = ((performance.now() - begun) / 60_000).toFixed(1)
say(
  `${wanted.length - failed} of ${wanted.length} protections ${values.check || values.write ? 'found' : 'are tested'}, ${minutes} min`,
)
process.exitCode = failed === 0 ? 0 : 1

/** Works on the queue in a copy of its own, and resolves with where that is. */
async function work(): Promise<string> {
  const copy = mkdtempSync(join(tmpdir(), 'pairlay-mutate-'))
  for (const file of files) {
    mkdirSync(dirname(join(copy, file)), { recursive: true })
    cpSync(join(ROOT, file), join(copy, file))
  }
  linkModules(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  // Types are not looked at: without a protection something is unused.
  const manifest = readFileSync(join(copy, 'package.json'), 'utf8')
  const untyped = manifest.replace('"build": "tsc -b ', '$&--noCheck ')
  if (untyped === manifest) throw new Error('the build of package.json does not begin with tsc -b any more')
  writeFileSync(join(copy, 'package.json'), untyped)
  for (let next = queue.shift(); next; next = queue.shift()) {
    const [mutation, change] = next
    if (typeof change === 'string') continue
    const [file, name] = mutation.test
    const failing = await failingAnyway(file, copy)
    if (typeof failing === 'string' || failing.some(({ fullName }) => fullName.includes(name))) {
      report('FAILS', mutation, typeof failing === 'string' ? failing : 'the test fails although nothing is taken out')
      continue
    }
    for (const [file, text] of change) writeFileSync(join(copy, file), text)
    const [verdict, detail] = await verdictOf(mutation, copy)
    report(verdict, mutation, detail)
    for (const [file] of change) writeFileSync(join(copy, file), sources.get(file) ?? '')
  }
  return copy
}

type Verdict = 'ok' | 'STALE' | 'NOT CAUGHT' | 'FAILS'

interface Result {
  readonly status: string
  readonly fullName: string
}

/** Runs the test of a mutation in a copy that has it. */
async function verdictOf({ test: [file, name] }: Mutation, copy: string): Promise<[verdict: Verdict, detail: string]> {
  const results = await resultsOf(file, [name], copy)
  if (results === 'hangs') return ['ok', 'hangs']
  if (typeof results === 'string') return ['STALE', results]
  const [first, ...others] = results.filter(({ status }) => status === 'failed')
  if (first) return ['ok', others.length > 0 ? `${others.length + 1} tests` : '']
  return ['NOT CAUGHT', 'the test passes without it']
}

/** Runs once, with nothing taken out, the tests of a file that are to fail. Resolves with those that fail anyway. */
function failingAnyway(file: string, copy: string): Promise<readonly Result[] | string> {
  const known = anyway.get(file)
  if (known) return known
  const names = wanted.map(({ test }) => test).filter(([each]) => each === file)
  const failing = resultsOf(file, [...new Set(names.map(([, name]) => name))], copy).then((results) =>
    typeof results === 'string' ? results : results.filter(({ status }) => status === 'failed'),
  )
  anyway.set(file, failing)
  return failing
}

/** Results of the tests of a file with these pieces of names: none is skipped. In words, why there are none. */
async function resultsOf(file: string, names: readonly string[], copy: string): Promise<readonly Result[] | string> {
  const report = join(copy, 'report.json')
  rmSync(report, { force: true })
  const globalSetup = AS_PROCESSES.test(file) ? ['test/support/build.ts'] : []
  writeFileSync(join(copy, CONFIG), `export default ${JSON.stringify({ test: { ...VITEST, globalSetup } })}\n`)
  const pattern = names.map((name) => name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')
  const args = ['run', '--config', CONFIG, file, '-t', pattern, '--reporter=json', '--outputFile', report]
  const exitCode = await run('vitest', args, copy)
  if (exitCode === 'hangs') return 'hangs'
  if (!existsSync(report)) return `vitest ended with ${exitCode}, before any test`
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as {
    testResults: { message: string; assertionResults: Result[] }[]
  }
  const results = testResults.flatMap(({ assertionResults }) => assertionResults)
  const done = results.filter(({ status }) => /^(passed|failed)$/.test(status))
  return done.length > 0 ? done : testResults.map(({ message }) => message).join('') || 'there is no such test'
}

function run(command: string, args: readonly string[], cwd: string): Promise<number | 'hangs'> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(ROOT, 'node_modules/.bin', command), args, {
      cwd,
      stdio: 'ignore',
      detached: true,
      env: { ...process.env, CI: '1' },
    })
    running.add(child)
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      resolve('hangs')
    }, HANGS_MS)
    child.on('error', reject)
    child.on('exit', (code) => {
      running.delete(child)
      clearTimeout(timer)
      resolve(code ?? 1)
    })
  })
}

function report(verdict: Verdict, mutation: Mutation, detail: string): void {
  if (verdict !== 'ok') failed++
  say(`${verdict.padEnd(10)} ${mutation.removed}  (${nameOf(mutation)})${detail === '' ? '' : `: ${detail}`}`)
}

function textOf(section: string, { removed, test }: Mutation): string {
  return `${section} ${removed} ${test.join(' ')}`
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

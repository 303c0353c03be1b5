import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { manPage } from '../../scripts/man/page.ts'
import { COMMANDS } from '../../src/cli/commands.ts'
import { ENVIRONMENT, FILES } from '../../src/cli/environment.ts'
import { EXIT_MEANINGS } from '../../src/cli/exit.ts'

const PAGE = manPage('1.2.3', new Date('2026-02-03T23:59:59Z'))

/** A character below another: bold ones are on themselves, and underlined ones on a line. */
const OVERSTRUCK = new RegExp(`.${String.fromCharCode(8)}`, 'g')

function mandoc(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync('mandoc', args, { input: PAGE, encoding: 'utf8' })
  return { status, shown: `${stdout}${stderr}`.replaceAll(OVERSTRUCK, '') }
}

/** Text whose spaces and ends of lines do not count. */
const joined = (text: string) => text.replaceAll(/\s+/g, ' ')

test('the man page has the version and the day, the same everywhere', () => {
  expect(PAGE).toMatch(/^\.Dd February 3, 2026\n\.Dt PAIRLAY 1\n\.Os Pairlay 1\.2\.3\n/)
})

test('the man page is where its package says, and is written when the package is made', () => {
  const read = (path: string) => JSON.parse(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8'))
  const { man, files } = read('packages/cli/package.json')
  const { scripts } = read('package.json')
  expect([man, files.includes('dist')]).toEqual([['./dist/pairlay.1'], true])
  expect([scripts.prepare, scripts.man]).toEqual(['node scripts/prepare.mjs', 'tsx scripts/man/main.ts'])
  const prepare = readFileSync(new URL('../../scripts/prepare.mjs', import.meta.url), 'utf8')
  expect(prepare).toContain("['build', 'man']")
})

const hasMandoc = spawnSync('mandoc', ['-Tlint'], { input: PAGE }).error === undefined || process.env.REQUIRE_ALL
const testMandoc = hasMandoc
  ? test
  : (name: string, body: () => void) => test.skip(`${name}: SKIPPED, there is no mandoc here`, body)

testMandoc('the man page is without a fault', () => {
  expect(mandoc('-Tlint', '-Wwarning')).toEqual({ status: 0, shown: '' })
})

testMandoc('the man page shows each command and option, variable, file, exit code and example of the tables', () => {
  const { shown } = mandoc('-Tascii', '-Owidth=78')
  const lines = shown.split('\n').map((line) => line.trim())
  for (const { name, does, note = '', options, arguments: given = [], examples } of COMMANDS) {
    const [, part = ''] = shown.split(`   pairlay ${name}\n`)
    const own = joined(part.split(/\n {3}pairlay|\n[A-Z]/, 1)[0])
    expect(own.toLowerCase()).toContain(does.toLowerCase())
    expect(own).toContain(joined(note))
    for (const { description } of [...options, ...given]) expect(own).toContain(description)
    for (const { flags } of options) expect(own).toContain(` ${flags.replace('<', '').replace('>', '')} `)
    for (const example of Object.keys(examples)) expect(lines).toContain(example)
  }
  for (const [term, is] of Object.entries({ ...ENVIRONMENT, ...FILES })) {
    expect(joined(shown)).toContain(` ${term} ${is}`)
  }
  for (const is of Object.values(EXIT_MEANINGS)) expect(joined(shown)).toContain(is)
})

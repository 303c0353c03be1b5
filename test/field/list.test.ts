import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { PROTECTIONS } from '../../scripts/mutate/list.ts'

/** The list of README.md beside this file, held against the tests it names. */

const ROOT = new URL('../../', import.meta.url)

const numbers = (prefix: string, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => `${prefix}${from + i}`)

/** The cases that must be there, by section. */
const CASES: Readonly<Record<string, readonly string[]>> = {
  Protocol: [...numbers('F', 1, 12), 'F14', ...numbers('F', 16, 18)],
  Document: numbers('U', 1, 41).filter((id) => !['U34', 'U40'].includes(id)),
  Security: numbers('', 1, 20),
  Relay: (
    'D1 D2 D3 D4 D5 D6 D7 X1 X5 X6 X7 P7 P12 P16 P17 P19 P24 P28 E1 E2 E4 E5 E7 E9 E11 E13 E14 R2 R3 R5 R6 ' +
    'I4 I5 I6 I7 I9 I11 I15 I16 L1 L2 L3 L4 L5 L6 L7 H1 H2 H3 H4 H5 H6 H7 H8 H9 H10 H11 H12 H13 H14 H15 H16'
  ).split(' '),
  CLI: (
    'F01 F02 F03 F05 F09 F10 F11 F12 F16 F17 F20 F21 F23 F24 F26 F27 F28 F30 F31 F35 F36 F37 ' +
    'F39 F41 F44 F47 F48 F50 F54 F56 F59 F60 F61 F65 F67 F68 F69 F73 F75 F77 F79 F80 F81 F85'
  ).split(' '),
}

interface Row {
  readonly section: string
  readonly id: string
  readonly kind: string
  readonly tests: string
  /** How the tests were seen to fail. */
  readonly fails: string
}

function rowsOf(text: string): Row[] {
  return text.split(/^## /m).flatMap((part) => {
    const [section = '', ...lines] = part.split('\n')
    return lines.flatMap((line) => {
      const [, id, kind, tests, fails] = /^\| *([A-Z]?\d+) *\| *(.*?) *\| *(.*?) *\| *(.*?) *\|$/.exec(line) ?? []
      if (id === undefined || kind === undefined || tests === undefined || fails === undefined) return []
      return [{ section, id, kind, tests, fails }]
    })
  })
}

/** Why a row's tests cannot be found. */
function faultsOf({ id, tests }: Row): string[] {
  if (/^stays: \S/.test(tests)) return []
  return tests.split(' · ').flatMap((each) => {
    const [, file, name] = /^`(test\/[^`]+|PROTOCOL\.md)`: (.+)$/.exec(each) ?? []
    if (file === undefined || name === undefined) return [`${id}: not of the form \`file\`: name: ${each}`]
    if (!existsSync(new URL(file, ROOT))) return [`${id}: there is no ${file}`]
    const text = readFileSync(new URL(file, ROOT), 'utf8').replaceAll("\\'", "'").replaceAll(/\s+/g, ' ')
    return text.includes(name) ? [] : [`${id}: ${file} has no test ${name}`]
  })
}

const rows = rowsOf(readFileSync(new URL('README.md', import.meta.url), 'utf8'))

describe('the list of cases', () => {
  test.each(Object.entries(CASES))('has every case of %s once', (section, ids) => {
    const listed = rows.filter((row) => row.section === section).map(({ id }) => id)
    expect(listed.filter((id, at) => listed.indexOf(id) !== at)).toEqual([])
    expect(ids.filter((id) => !listed.includes(id))).toEqual([])
  })

  test('names tests that exist', () => {
    expect(rows.flatMap((row) => faultsOf(row))).toEqual([])
  })

  test('says how each was seen to fail', () => {
    const undone = Object.values(PROTECTIONS).flatMap((all) => all.map(({ test }) => test))
    const isUndone = ({ tests }: Row) =>
      undone.some(([file, name]) =>
        tests.split(' · ').some((each) => {
          const [, inFile, piece = ''] = /^`([^`]+)`: (.+)$/.exec(each) ?? []
          return inFile === file && (name.includes(piece) || piece.includes(name))
        }),
      )
    const wrong = rows.filter((row) => {
      if (row.tests.startsWith('stays')) return row.fails !== ''
      const isConformance = row.tests.includes('test/conformance/')
      return (
        !/^(old|undone|old, undone)$/.test(row.fails) ||
        (!isConformance && row.fails.includes('undone') !== isUndone(row))
      )
    })
    expect(wrong.map(({ section, id, fails }) => `${section} ${id}: ${fails}`)).toEqual([])
  })

  test('finds what a row claims and is not there', () => {
    const row = { section: 'x', id: 'F1', kind: 'x', tests: '', fails: '' }
    const wrong = ['open', '`test/none.test.ts`: x', '`test/field/list.test.ts`: no name of a te' + 'st', 'stays:']
    for (const tests of wrong) expect(faultsOf({ ...row, tests }), tests).not.toEqual([])
    expect(faultsOf({ ...row, tests: '`test/field/list.test.ts`: names tests that exist' })).toEqual([])
  })
})

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { expect, test } from 'vitest'
import { PROTECTIONS } from '../../../scripts/mutate/list.ts'
import { applied, nameOf, tableOf } from '../../../scripts/mutate/mutation.ts'
import { GROUPS } from './groups.ts'

const ROOT = new URL('../../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')

test('every protection that `npm run mutate` takes out is in the sources once, and in the table', () => {
  const files = ['src', 'deploy'].flatMap((folder) =>
    readdirSync(new URL(folder, ROOT), { recursive: true, encoding: 'utf8' })
      .filter((file) => folder === 'deploy' || file.endsWith('.ts'))
      .filter((file) => statSync(new URL(`${folder}/${file}`, ROOT)).isFile())
      .map((file) => `${folder}/${file}`),
  )
  const sources = new Map([...files, 'compose.yaml', 'Dockerfile'].map((file) => [file, read(file)]))
  const faults = Object.values(PROTECTIONS)
    .flat()
    .map((each) => [each.removed, applied(each, sources)] as const)
    .filter(([, change]) => typeof change === 'string')
  expect(faults).toEqual([])
  expect(read('test/deep/adversary/README.md')).toContain(tableOf(PROTECTIONS))
})

/** The text of a test file, and of the files beside it that it imports. */
function textOf(file: string): string {
  const text = read(file)
  const beside = [...text.matchAll(/from '\.\/([\w-]+\.ts)'/g)].map(([, name]) => read(file.replace(/[^/]+$/, name)))
  return [text, ...beside].join('\n').replaceAll("\\'", "'")
}

const escaped = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** Reports whether a text has all of a name. It may be put together from quoted titles, and what stands in their gaps. */
function hasName(text: string, name: string, before = ''): boolean {
  if (name === '') return true
  for (let length = name.length; length > 0; length--) {
    const after = length < name.length ? `(?: ?[%$]|['"\`\\n])` : ''
    const isThere = new RegExp(before + escaped(name.slice(0, length)) + after).test(text)
    if (isThere && hasName(text, name.slice(length).trim(), `(?:%[sdij] ?|} ?|^|['"\`\\n])`)) return true
  }
  return false
}

test('every protection names a test that is in its file', () => {
  const operators = Object.values(GROUPS).flatMap(({ cases }) => cases)
  const ofOperators = operators.map(({ operator, against }) => `${operator}, against the ${against}`).join('\n')
  const missing = Object.values(PROTECTIONS)
    .flat()
    .filter(({ test: [file, name] }) => {
      if (file === 'test/deep/adversary/operators.test.ts') return !ofOperators.includes(name)
      return !hasName(file.startsWith('test/deep/adversary/') ? textOf(file) + ofOperators : textOf(file), name)
    })
  expect(missing.map(nameOf)).toEqual([])
})

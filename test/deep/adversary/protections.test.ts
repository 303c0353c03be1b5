import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { PROTECTIONS } from '../../../scripts/mutate/list.ts'
import { applied, tableOf } from '../../../scripts/mutate/mutation.ts'

const ROOT = new URL('../../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')

test('every protection that `npm run mutate` takes out is in the sources once, and in the table', () => {
  const files = ['src', 'deploy'].flatMap((folder) =>
    readdirSync(new URL(folder, ROOT), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.(ts|yaml|cfg|conf)$/.test(file))
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

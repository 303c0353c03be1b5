import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const EXAMPLES = fileURLToPath(new URL('../../../examples', import.meta.url))
const programs = readdirSync(EXAMPLES, { recursive: true, encoding: 'utf8' }).filter((file) =>
  /\.(mjs|html)$/.test(file),
)

const ALLOWED = /^(?:pairlay$|node:|\.\/[\w-]+\.mjs$)/

describe('the examples', () => {
  test('are there', () => {
    expect(programs.length).toBeGreaterThan(6)
  })

  test.each(programs)('%s imports nothing but pairlay, Node and its own folder', (file) => {
    const source = readFileSync(join(EXAMPLES, file), 'utf8')
    const imports = [
      ...source.matchAll(/(?<!\.)\b(?:from|import)\s*\(?\s*'([^']+)'|<script type="module" src="([^"]+)"/g),
    ].map(([, module, script]) => module ?? script ?? '')
    const others = imports.filter(
      (module) => !ALLOWED.test(module) && !(file.endsWith('.test.mjs') && /^(vitest|pairlay\/testing)$/.test(module)),
    )
    expect(imports.length).toBeGreaterThan(0)
    expect(others).toEqual([])
  })

  test('are in their README, and in the package with it', () => {
    const readme = readFileSync(join(EXAMPLES, 'README.md'), 'utf8')
    for (const file of programs) expect(readme).toContain(`](${file.replaceAll('\\', '/')})`)
    const { files } = JSON.parse(readFileSync(join(EXAMPLES, '../packages/sdk/package.json'), 'utf8'))
    expect(files).toContain('examples')
  })
})

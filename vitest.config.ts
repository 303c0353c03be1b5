import { spawnSync } from 'node:child_process'
import { defineConfig } from 'vitest/config'
import { SETTINGS } from './test/support/setting.ts'

// The reporter of vitest 5 uses Map.groupBy, which Node has from version 21 on; without it a failing test on Node 20 is a
// crash of the reporter instead of a report.
if (!('groupBy' in Map)) Object.assign(Map, { groupBy })

function groupBy<K, T>(items: Iterable<T>, keyOf: (item: T, index: number) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  let index = 0
  for (const item of items) {
    const key = keyOf(item, index++)
    groups.set(key, [...(groups.get(key) ?? []), item])
  }
  return groups
}

const hasRedis = spawnSync('redis-server', ['--version']).status === 0 || process.env.REQUIRE_ALL === '1'
if (!hasRedis) process.stdout.write('There is no redis-server here: what needs one is skipped.\n')

/**
 * The projects. `memory` is what `npm test` runs: all but the deep suites, on a relay alone. `deep` takes minutes. The other
 * settings of test/support/setting.ts run what depends on the setting.
 */
const projects = [
  { name: 'memory', include: ['test/**/*.test.ts'], exclude: ['test/deep/**'] },
  { name: 'deep', include: ['test/deep/**/*.test.ts'], exclude: [] },
  ...SETTINGS.filter((setting) => setting === 'http' || (setting !== 'memory' && hasRedis)).map((name) => ({
    name,
    include: ['test/conformance/*.test.ts', 'test/e2e/*.test.ts'],
    // How one gets to HTTP is tested where WebSockets pass.
    exclude: name === 'http' ? ['test/e2e/fallback.test.ts'] : [],
  })),
]

export default defineConfig({
  test: {
    projects: projects.map((test) => ({ extends: true, test: { ...test, env: { RELAY_SETTING: test.name } } })),
    globalSetup: ['test/support/build.ts'],
    // Generous: a machine that is busy with something else must not fail a test. What hangs still ends.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
  },
})

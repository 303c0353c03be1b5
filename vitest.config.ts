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

/** The suites that run in each setting of test/support/setting.ts; everything runs in the first. */
const IN_EVERY_SETTING = ['test/conformance/*.test.ts', 'test/e2e/*.test.ts']
/** How one gets to HTTP is tested where WebSockets pass. */
const NOT_OVER_HTTP = ['test/e2e/fallback.test.ts']
const settings = SETTINGS.filter((setting) => hasRedis || !['redis', 'nodes'].includes(setting))

export default defineConfig({
  test: {
    projects: settings.map((setting) => ({
      extends: true,
      test: {
        name: setting,
        include: setting === 'memory' ? ['test/**/*.test.ts'] : IN_EVERY_SETTING,
        exclude: setting === 'http' ? NOT_OVER_HTTP : [],
        env: { RELAY_SETTING: setting },
      },
    })),
    globalSetup: ['test/support/build.ts'],
    // Generous: a machine that is busy with something else must not fail a test. What hangs still ends.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
  },
})

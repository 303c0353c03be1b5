import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'

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

/** The end-to-end suite once more, in another of the settings that `test/e2e/setting.ts` knows. */
function endToEnd(setting: string, exclude: string[] = []): TestProjectInlineConfiguration {
  return {
    extends: true,
    test: { name: setting, include: ['test/e2e/*.test.ts'], exclude, env: { E2E_SETTING: setting } },
  }
}

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
    projects: [
      // Everything; the end-to-end suite with a relay that has its sessions in memory.
      {
        extends: true,
        test: { name: 'memory', include: ['test/**/*.test.ts'], globalSetup: ['test/support/build.ts'] },
      },
      // Where no WebSocket passes. How one gets there is tested with those that do.
      endToEnd('http', ['test/e2e/fallback.test.ts']),
    ],
  },
})

import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

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
 * The end-to-end suites that each setting runs beside conformance: those whose outcome depends on where the relay keeps what it
 * has, or on the transport. The rest is about the devices alone, which see the same wire in each setting; conformance proves that.
 */
const IN_SETTING = {
  redis: ['counters', 'logs', 'resume', 'ten-steps'],
  nodes: ['counters', 'fallback', 'logs', 'receivers', 'resume', 'ten-steps', 'transfer'],
  http: ['company', 'counters', 'endings', 'logs', 'receivers', 'resume', 'ten-steps', 'transfer', 'wrong-code'],
}

/** Suites that take longest, the longest first: begun at the end, one of them alone would keep the others waiting. */
const LONGEST = [
  'deep/adversary/strangers',
  'deep/chaos/',
  'deep/adversary/',
  'deep/abuse/',
  'deep/cluster/',
  'conformance/',
  'deep/',
  'cli/',
  'e2e/',
  'server/process',
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = LONGEST.findIndex((each) => moduleId.includes(`/test/${each}`))
      return at < 0 ? LONGEST.length : at
    }
    return files.toSorted((a, b) => rank(a) - rank(b) || a.moduleId.localeCompare(b.moduleId))
  }
}

/** `memory` is what `npm test` runs: all but the deep suites, on a relay alone. */
const projects = [
  { name: 'memory', include: ['test/**/*.test.ts', 'examples/**/*.test.mjs'], exclude: ['test/deep/**'] },
  { name: 'deep', include: ['test/deep/**/*.test.ts'], testTimeout: 900_000, isolate: true },
  ...Object.entries(IN_SETTING)
    .filter(([setting]) => hasRedis || setting === 'http')
    .map(([name, suites]) => ({
      name,
      include: ['test/conformance/*.test.ts', ...suites.map((suite) => `test/e2e/${suite}.test.ts`)],
    })),
]

export default defineConfig({
  test: {
    projects: projects.map((test) => ({ extends: true, test: { ...test, env: { RELAY_SETTING: test.name } } })),
    // One more than there are processors: many tests wait.
    maxWorkers: availableParallelism() + 1,
    sequence: { sequencer: LongestFirst },
    globalSetup: ['test/support/build.ts'],
    // Loading the modules anew for each file took a third of the time.
    isolate: false,
    setupFiles: ['test/support/file-ends.ts'],
    // Collecting garbage on several threads takes longer where each processor is busy.
    execArgv: ['--single-threaded-gc'],
    // Generous: a machine that is busy with something else must not fail a test. What hangs still ends.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
  },
})

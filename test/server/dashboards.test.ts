import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { RelayMetrics } from '../../src/server/metrics/relay-metrics.ts'

const fileOf = (path: string) => fileURLToPath(new URL(`../../deploy/${path}`, import.meta.url))
const ALERTS = 'prometheus/alerts.yml'
const DASHBOARD = 'grafana/dashboard.json'

const hasPromtool = spawnSync('promtool', ['--version']).status === 0
const needsPromtool = hasPromtool || process.env.REQUIRE_ALL === '1' ? test : test.skip
const isSkipped = hasPromtool ? '' : ' (skipped: there is no promtool here)'

/** The metrics that a text names. */
function namedIn(text: string): string[] {
  const names = text.match(/\b(pairlay|process|nodejs)_[a-z0-9_]+/g) ?? []
  return [...new Set(names.map((name) => name.replace(/_(bucket|sum|count)$/, '')))]
}

describe('deploy/', () => {
  const figures = () => ({ sessions: 0, pending: 0, approved: 0, sockets: 0, polls: 0, grantedBytes: 0 })
  const metrics = new RelayMetrics({ figures, budgetBytes: 1, isRedisUp: () => true, observesProcess: true })

  test.each([ALERTS, DASHBOARD, '../docs/operate.md'])('%s names metrics that there are', async (path) => {
    const { body } = await metrics.text()
    const there = [...body.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name)
    const named = namedIn(readFileSync(fileOf(path), 'utf8')).filter((name) => !name.endsWith('_'))
    expect(named.filter((name) => !there.includes(name))).toEqual([])
    expect(named.length).toBeGreaterThan(5)
  })

  test('docs/operate.md names each metric of the relay', async () => {
    const { body } = await metrics.text()
    const own = [...body.matchAll(/^# TYPE (pairlay_\S+)/gm)].map(([, name]) => name)
    const named = namedIn(readFileSync(fileOf('../docs/operate.md'), 'utf8'))
    expect(own.filter((name) => !named.includes(name ?? ''))).toEqual([])
  })

  test('the dashboard has a panel for each thing, in a grid without overlaps', () => {
    const { panels } = JSON.parse(readFileSync(fileOf(DASHBOARD), 'utf8'))
    const places = panels.map(({ gridPos: { x, y } }: { gridPos: { x: number; y: number } }) => `${x},${y}`)
    expect(new Set(places).size).toBe(panels.length)
    for (const { title, targets } of panels) expect([title, targets.length > 0]).toEqual([expect.any(String), true])
  })

  needsPromtool(`the alerts are rules that fire when they should, and not before${isSkipped}`, () => {
    const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', fileOf('prometheus/alerts.test.yml')])
    expect([status, String(stdout) + String(stderr)]).toEqual([0, expect.stringContaining('SUCCESS')])
  })
})

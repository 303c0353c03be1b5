import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { RelayMetrics } from '../../src/server/metrics/relay-metrics.ts'

const fileOf = (path: string) => fileURLToPath(new URL(`../../deploy/${path}`, import.meta.url))
const ALERTS = 'prometheus/alerts.yml'
const DASHBOARD = 'grafana/dashboard.json'

/** A test that needs a program: without it it is skipped, which its name says, or fails when REQUIRE_ALL is set. */
function testWith(program: string, name: string, body: () => void): void {
  const isThere = spawnSync(program, ['--version']).status === 0
  if (isThere || process.env.REQUIRE_ALL === '1') test(name, body)
  else test.skip(`${name} (skipped: there is no ${program} here)`, body)
}

function run(program: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  return { status, said: stdout + stderr }
}

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

  testWith('promtool', 'the alerts are rules that fire when they should, and not before', () => {
    const { status, said } = run('promtool', 'test', 'rules', fileOf('prometheus/alerts.test.yml'))
    expect([status, said]).toEqual([0, expect.stringContaining('SUCCESS')])
  })

  testWith('systemd-analyze', 'the unit for systemd has no mistake, and gives the relay next to nothing', () => {
    const unit = fileOf('systemd/pairlay.service')
    const { said } = run('systemd-analyze', 'security', '--offline=true', '--no-pager', unit)
    const exposure = Number(/exposure level for pairlay.service: ([\d.]+)/.exec(said)?.[1])
    expect(exposure).toBeLessThanOrEqual(1.5)
    const settings = readFileSync(unit, 'utf8').match(/^[A-Z]\w+=/gm) ?? []
    expect(settings.length).toBeGreaterThan(30)
    expect(said).not.toMatch(/Unknown|Failed/)
    const folder = mkdtempSync(join(tmpdir(), 'pairlay-unit-'))
    const here = join(folder, 'pairlay.service')
    writeFileSync(here, readFileSync(unit, 'utf8').replace('/usr/bin/node', process.execPath))
    expect(run('systemd-analyze', 'verify', here)).toEqual({ status: 0, said: '' })
    rmSync(folder, { recursive: true })
  })
})

import { expect } from 'vitest'
import { type Plan, SHORT } from './plan.ts'
import type { Row } from './tally.ts'

/** Longer than any section takes on two busy cores. What hangs inside has closer limits, and reports them. */
export const TIMEOUT_MS = 180_000

/** Runs a section as `npm run chaos -- --short` does, and holds it to what the table promises. */
export async function nothingLost(section: (plan: Plan) => AsyncGenerator<Row>): Promise<Row[]> {
  const rows: Row[] = []
  for await (const row of section(SHORT)) rows.push(row)
  expect(rows.flatMap(({ faults }) => faults)).toEqual([])
  for (const { phase, runs, survived, cleanErrors, lost, duplicated } of rows) {
    expect({ phase, lost, duplicated }).toEqual({ phase, lost: 0, duplicated: 0 })
    expect(survived + cleanErrors, phase).toBe(runs)
    expect(runs, phase).toBeGreaterThan(0)
  }
  return rows
}

import type { GoalId, Measured } from '../goals.ts'
import type { Plan } from '../plan.ts'
import { format, type Table } from './table.ts'

/** Tables and measurements of a run. */
export class Report {
  readonly tables: Table[] = []
  readonly measurements = new Map<GoalId, Measured>()

  /** Prints a table at once and keeps it for the JSON. */
  table(table: Table): void {
    this.tables.push(table)
    console.log(format(table))
  }

  goal(id: GoalId, value: number | undefined, note?: string): void {
    this.measurements.set(id, { value, ...(note === undefined ? {} : { note }) })
  }
}

export interface SectionContext {
  readonly plan: Plan
  readonly quick: boolean
  /** The commit to compare this build with. */
  readonly commit: string | undefined
  readonly report: Report
}

export interface Section {
  readonly name: string
  readonly about: string
  readonly run: (context: SectionContext) => Promise<void>
}

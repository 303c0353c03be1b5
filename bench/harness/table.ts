import type { Spread } from './stats.ts'

export type Cell = Spread | number | string | undefined

export interface Column {
  readonly key: string
  readonly head: string
  /** Decimals shown. The JSON has all. */
  readonly digits?: number
}

export interface Row {
  readonly name: string
  readonly cells: Readonly<Record<string, Cell>>
}

export interface Table {
  readonly title: string
  readonly columns: readonly Column[]
  readonly rows: readonly Row[]
  readonly notes: readonly string[]
}

/** The table as text: medians with the smallest and the largest round in brackets. */
export function format({ title, columns, rows, notes }: Table): string {
  const lines = [
    ['', ...columns.map(({ head }) => head)],
    ...rows.map(({ name, cells }) => [name, ...columns.map((column) => text(cells[column.key], column.digits ?? 1))]),
  ]
  const widths = lines[0]?.map((_, n) => Math.max(...lines.map((line) => line[n]?.length ?? 0))) ?? []
  const body = lines.map((line) =>
    line.map((cell, n) => (n === 0 ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0))).join('  '),
  )
  const rule = '─'.repeat(Math.min(200, body[0]?.length ?? 0))
  return ['', title, rule, body[0], rule, ...body.slice(1), ...notes.map((note) => `  · ${note}`), ''].join('\n')
}

function text(cell: Cell, digits: number): string {
  if (cell === undefined) return '–'
  if (typeof cell === 'string') return cell
  if (typeof cell === 'number') return number(cell, digits)
  const { median, min, max, rounds } = cell
  return rounds === 1
    ? number(median, digits)
    : `${number(median, digits)} (${number(min, digits)}–${number(max, digits)})`
}

function number(value: number, digits: number): string {
  if (!Number.isFinite(value)) return '–'
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

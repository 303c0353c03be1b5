import { fileURLToPath } from 'node:url'
import { lineOf, start } from '../harness/children.ts'
import { COMPILED } from '../harness/compile.ts'
import { interleave } from '../harness/interleave.ts'
import type { SectionContext } from '../harness/report.ts'
import { spread } from '../harness/stats.ts'
import type { StoreReading } from '../load/store.ts'
import { failureNotes } from './contenders.ts'

/** A million sessions take more than V8's usual heap. */
const HEAP_MIB = 8192

/** How the store's cost grows with the sessions it holds: alone, each size in a process of its own. */
export async function storeCurve({ plan, report }: SectionContext): Promise<void> {
  const { storeSessions, storeOperations, rounds, secondsPerTable } = plan.holding
  const name = (sessions: number) => `${sessions.toLocaleString('en-US')} live`
  const outcomes = await interleave(
    storeSessions.map((sessions) => ({ name: name(sessions), run: () => measure(sessions, storeOperations) })),
    { rounds, seconds: secondsPerTable },
  )
  report.table({
    title: `Holding: the memory store alone, ${storeOperations.toLocaleString('en-US')} sessions inserted, expired and forgotten`,
    columns: [
      { key: 'micros', head: 'insert + expire + forget, CPU µs', digits: 2 },
      { key: 'find', head: 'find by code µs', digits: 2 },
      { key: 'sweep', head: 'longest sweep ms', digits: 2 },
      { key: 'due', head: 'for so many due', digits: 0 },
      { key: 'heap', head: 'heap B a session', digits: 0 },
    ],
    rows: outcomes.map((each) => ({
      name: each.name,
      cells: {
        micros: spread(each.rounds.map((r) => r.microsPerSession)),
        find: spread(each.rounds.map((r) => r.microsPerFind)),
        sweep: spread(each.rounds.map((r) => r.longestSweepMs)),
        due: spread(each.rounds.map((r) => r.dueInLongestSweep))?.median,
        heap: spread(each.rounds.map((r) => r.heapBytesPerSession)),
      },
    })),
    notes: [
      'time is moved by hand, one second a step; sessions end evenly, as they began; ids and digests are made beforehand',
      ...failureNotes(outcomes),
    ],
  })
  const micros = (sessions: number) =>
    spread(outcomes.find((each) => each.name === name(sessions))?.rounds.map((r) => r.microsPerSession) ?? [])?.median
  const largest = Math.max(...storeSessions)
  const [most, tenThousand] = [micros(largest), micros(10_000)]
  report.goal(
    'storeGrowth',
    most === undefined || tenThousand === undefined ? undefined : most / tenThousand,
    `${largest.toLocaleString('en-US')} ÷ 10,000`,
  )
}

async function measure(sessions: number, operations: number): Promise<StoreReading> {
  const program = fileURLToPath(new URL('load/store.js', COMPILED))
  const args = ['--expose-gc', `--max-old-space-size=${HEAP_MIB}`, program, `${sessions}`, `${operations}`]
  const line = await lineOf(start(process.execPath, args), 'the store', (each) =>
    each.startsWith('{') ? each : undefined,
  )
  return JSON.parse(line)
}

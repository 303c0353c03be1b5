import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { type GoalResult, judge } from './goals.ts'
import { CACHE, forbidInstalling } from './harness/cache.ts'
import { cleanUpAtExit } from './harness/children.ts'
import { compile } from './harness/compile.ts'
import { descriptorLimit } from './harness/process-stats.ts'
import { startReaper } from './harness/reaper.ts'
import { Report, type Section } from './harness/report.ts'
import { format } from './harness/table.ts'
import { FULL, QUICK } from './plan.ts'
import { against } from './sections/against.ts'
import { browserPage } from './sections/browser-page.ts'
import { endToEnd } from './sections/end-to-end.ts'
import { flatness } from './sections/flatness.ts'
import { flood } from './sections/flood.ts'
import { folders } from './sections/folders.ts'
import { holding } from './sections/holding.ts'
import { misbehaving } from './sections/misbehaving.ts'
import { nodes } from './sections/nodes.ts'
import { optimisations } from './sections/optimisations.ts'
import { pairing } from './sections/pairing.ts'
import { profile } from './sections/profile.ts'
import { relaying } from './sections/relaying.ts'
import { smallFrames } from './sections/small-frames.ts'

/** `npm run bench`: measures the built relay beside its yardsticks, prints tables, writes JSON. bench/README.md explains them. */

const SECTIONS: readonly Section[] = [
  relaying,
  smallFrames,
  pairing,
  holding,
  flatness,
  misbehaving,
  flood,
  nodes,
  endToEnd,
  folders,
  browserPage,
  profile,
  optimisations,
  against,
]
/** Above this, somebody else is using the machine. */
const QUIET_LOAD = 0.5

const USAGE = `npm run bench -- [options]
  --quick           every goal with small sizes: four minutes on two quiet cores
  --only <section>  this section alone; may be repeated: ${SECTIONS.map(({ name }) => name).join(', ')}
  --against <commit>  beside the relay of that commit, alternating; no other section unless --only names it
  --json <file>     where the results go (default: a new file in ${CACHE})
  --no-install      skips yardsticks that would have to be installed into ${CACHE}
`

const options = parsed()
const startedAt = new Date()
cleanUpAtExit()
if (options['no-install']) forbidInstalling()
compile()
startReaper()

const machine = {
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGib: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  node: process.version,
  descriptorsPerProcess: descriptorLimit(),
  loadAverageBefore: loadavg()[0] ?? 0,
}
console.log(
  `\nPairlay benchmark, ${options.quick ? 'quick' : 'full'}: ${machine.cores} × ${machine.cpu}, ${machine.memoryGib} GiB, ` +
    `Linux ${machine.kernel}, Node ${machine.node}. Medians (min–max) over interleaved rounds; MB = 10⁶ bytes.`,
)
if (machine.loadAverageBefore > QUIET_LOAD) {
  console.log(
    `NOT QUIET: the load average is ${machine.loadAverageBefore.toFixed(1)} before anything was started here.`,
  )
}

const report = new Report()
const failures: string[] = []
const only = sectionsOf(options)
const seconds: Record<string, number> = {}
for (const section of SECTIONS) {
  if (!only.includes(section.name)) continue
  console.log(`\n━━ ${section.name}: ${section.about}`)
  const sectionStartedAt = performance.now()
  try {
    await section.run({ plan: options.quick ? QUICK : FULL, quick: options.quick, commit: options.against, report })
  } catch (error) {
    failures.push(section.name)
    console.log(`\n${section.name} FAILED: ${error instanceof Error ? error.stack : error}\n`)
  }
  seconds[section.name] = Math.round((performance.now() - sectionStartedAt) / 100) / 10
}

const goals = judge(report.measurements)
console.log(goalsTable(goals))
const file = resolve(
  process.env.INIT_CWD ?? '',
  options.json ?? join(CACHE, `results-${startedAt.toISOString().replaceAll(/[:.]/g, '-')}.json`),
)
mkdirSync(dirname(file), { recursive: true })
const results = { startedAt, quick: options.quick, machine, seconds, failures, tables: report.tables, goals }
writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`)
const total = Math.round((Date.now() - startedAt.getTime()) / 1000)
console.log(`Took ${Math.floor(total / 60)} min ${total % 60} s. Results: ${file}`)
if (failures.length > 0) console.log(`Failed: ${failures.join(', ')}`)
process.exit(failures.length > 0 ? 1 : 0)

function parsed() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string', multiple: true, default: [] },
        against: { type: 'string' },
        json: { type: 'string' },
        'no-install': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    const unknown = values.only.find((name) => !SECTIONS.some((section) => section.name === name))
    if (unknown !== undefined) throw new TypeError(`there is no section ${unknown}`)
    if (values.help) {
      console.log(USAGE)
      process.exit(0)
    }
    return values
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : error}\n${USAGE}`)
    process.exit(2)
  }
}

function sectionsOf({ only, quick, against: commit }: ReturnType<typeof parsed>): readonly string[] {
  if (only.length > 0) return only
  if (commit !== undefined) return [against.name]
  // A quick run is for the goals, to which these say nothing.
  const left: readonly Section[] = quick ? [against, profile, optimisations] : [against]
  return SECTIONS.filter((section) => !left.includes(section)).map(({ name }) => name)
}

function goalsTable(results: readonly GoalResult[]): string {
  const sign = { most: '≤', least: '≥' }
  const digits = (value: number) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2))
  return format({
    title: 'Goals',
    columns: [
      { key: 'measured', head: 'measured' },
      { key: 'gate', head: 'gate' },
      { key: 'aim', head: 'aim' },
      { key: 'verdict', head: 'verdict' },
      { key: 'note', head: '' },
    ],
    rows: results.map(({ text, unit, bound, gate, aim, measured, verdict, note }) => ({
      name: text,
      cells: {
        measured: measured === undefined ? undefined : `${digits(measured)} ${unit}`.trim(),
        gate: gate === undefined ? undefined : `${sign[bound]} ${gate}`,
        aim: aim === undefined ? undefined : `${sign[bound]} ${aim}`,
        verdict,
        note: note ?? '',
      },
    })),
    notes: options.quick ? ['a quick run: sizes and rounds are too small to judge by'] : [],
  })
}

import { parseArgs } from 'node:util'
import build from '../../support/build.ts'
import { cuts } from './cuts.ts'
import { kills, killsAlone } from './kills.ts'
import { lastWords } from './last-words.ts'
import { LONG, type Plan, SHORT, times } from './plan.ts'
import { resends } from './resends.ts'
import { rolling } from './rolling.ts'
import { sleepers } from './sleepers.ts'
import { slowNetwork } from './slow-network.ts'
import { storm } from './storm.ts'
import type { Row } from './tally.ts'
import { twoHours, twoHoursInRedis } from './two-hours.ts'

/** `npm run chaos`: every fault there is, on purpose, and one table of what came of it. README.md says what it means. */

/** By the names that `--only` takes, in the order in which they run. */
const SECTIONS: Readonly<Record<string, (plan: Plan) => AsyncGenerator<Row>>> = {
  cuts,
  slow: slowNetwork,
  sleep: sleepers,
  alone: killsAlone,
  kills,
  resends,
  'last-words': lastWords,
  rolling,
  storm,
  clock: twoHours,
  'clock-redis': twoHoursInRedis,
}

const COLUMNS = ['runs', 'survived', 'clean errors', 'lost', 'duplicated'] as const
const PHASE_WIDTH = 66
const FAULTS_SHOWN = 20

const USAGE = `npm run chaos -- [options]
  --only <section>  this section alone; may be repeated: ${Object.keys(SECTIONS).join(', ')}
  --runs <n>        so many times as much of what is repeated: kills, restarts, slow pairings
  --seed <text>     other random choices; the seed of a run stands in its last line
  --short           as much as the tests do
`

const options = parsed()
const begun = performance.now()
await build()
const sum = { runs: 0, survived: 0, cleanErrors: 0, lost: 0, duplicated: 0, faults: 0 }
let running = ''
// An unhandled error is a fault like any other, but nothing can follow it.
process.once('uncaughtException', (error) => {
  say(`FAILED in ${running}: ${error.stack}\nSeed ${options.plan.seed}.`)
  process.exit(1)
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130))
say([''.padEnd(PHASE_WIDTH), ...COLUMNS].join('  '))
for (const [name, section] of Object.entries(SECTIONS)) {
  if (options.only.length > 0 && !options.only.includes(name)) continue
  running = name
  for await (const row of section(options.plan)) print(row)
}
const verdict = sum.faults === 0 && sum.lost === 0 && sum.duplicated === 0 ? 'Nothing' : 'SOMETHING'
say(
  `\n${verdict} was lost, duplicated, silent or hanging: ${sum.runs} runs, ${sum.survived} survived, ` +
    `${sum.cleanErrors} ended in a clean, typed error, ${sum.lost} lost, ${sum.duplicated} duplicated` +
    `${sum.faults > 0 ? `, ${sum.faults} FAULTS` : ''}. ` +
    `Seed ${options.plan.seed}, ${Math.round((performance.now() - begun) / 1000)} s.`,
)
process.exit(verdict === 'Nothing' ? 0 : 1)

function print({ phase, faults, notes, ...counts }: Row): void {
  const { runs, survived, cleanErrors, lost, duplicated } = counts
  const cells = [runs, survived, cleanErrors, lost, duplicated].map((count, i) =>
    count.toLocaleString('en-US').padStart(COLUMNS[i].length),
  )
  say([phase.padEnd(PHASE_WIDTH), ...cells].join('  '))
  for (const note of notes) say(`  · ${note}`)
  for (const fault of faults.slice(0, FAULTS_SHOWN)) say(`  ! ${fault}`)
  if (faults.length > FAULTS_SHOWN) say(`  ! and ${faults.length - FAULTS_SHOWN} more`)
  for (const [name, count] of Object.entries({ ...counts, faults: faults.length })) {
    sum[name as keyof typeof sum] += count
  }
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function parsed(): { readonly only: readonly string[]; readonly plan: Plan } {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: 'string', multiple: true, default: [] },
        runs: { type: 'string', default: '1' },
        seed: { type: 'string' },
        short: { type: 'boolean', default: false },
      },
    })
    const unknown = values.only.find((name) => !Object.hasOwn(SECTIONS, name))
    if (unknown !== undefined) throw new TypeError(`there is no section ${unknown}`)
    if (!/^[1-9]\d{0,3}$/.test(values.runs)) throw new TypeError('--runs is a whole number from 1')
    const plan = times(values.short ? SHORT : LONG, Number(values.runs))
    return { only: values.only, plan: values.seed === undefined ? plan : { ...plan, seed: values.seed } }
  } catch (error) {
    process.stderr.write(`chaos: ${error instanceof Error ? error.message : error}\n${USAGE}`)
    process.exit(2)
  }
}

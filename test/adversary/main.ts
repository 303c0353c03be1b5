import { LONG, PARTS, SHORT } from './parts.ts'
import { SEED } from './seed.ts'

/**
 * `npm run adversary`: everything a malicious relay was made to try, one line each. With `-- --long` in the size that is
 * run by hand; words behind that are the parts to run, instead of all.
 */

const words = process.argv.slice(2)
const long = words.includes('--long')
const wanted = words.filter((word) => word !== '--long')
const say = (text: string) => process.stdout.write(`${text}\n`)

say(`seed ${SEED} (ADVERSARY_SEED looks at others), ${long ? 'long' : 'short'} form`)
const sums: string[] = []
let failed = 0
const begun = performance.now()
for (const [name, part] of Object.entries(PARTS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  say(`\n${name}`)
  const start = performance.now()
  let [lines, faults] = [0, 0]
  for await (const line of part(long ? LONG : SHORT)) {
    lines++
    faults += line.faults.length
    say(`  ${line.faults.length === 0 ? 'ok  ' : 'FAIL'} ${line.text}`)
    for (const fault of line.faults) say(`         ${fault}`)
  }
  failed += faults
  sums.push(`${name.padEnd(16)} ${String(lines).padStart(4)} lines, ${faults} faults, ${seconds(start)}`)
}
say(
  `\nsummary\n${sums.map((sum) => `  ${sum}`).join('\n')}\n  ${failed === 0 ? 'no faults' : `${failed} FAULTS`}, ${seconds(begun)}`,
)
process.exitCode = failed === 0 ? 0 : 1

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`
}

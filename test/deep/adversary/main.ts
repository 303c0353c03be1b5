import { LONG, PARTS, quote, SHORT } from './parts.ts'
import { SEED } from './seed.ts'

/**
 * `npm run adversary`: everything a malicious relay was made to try, one line each. With `-- --long` in the size that is
 * run by hand; words behind that are the parts to run, instead of all.
 */

const COLUMNS_MAX = 120
const INDENT = '     '
const words = process.argv.slice(2)
const sizes = words.includes('--long') ? LONG : SHORT
const form = sizes === LONG ? 'long form' : 'short form'
const wanted = words.filter((word) => word !== '--long')
const unknown = wanted.filter((word) => !Object.hasOwn(PARTS, word))
if (unknown.length > 0) {
  say(`no such part: ${unknown.join(', ')}. There is ${Object.keys(PARTS).join(', ')}, and --long.`)
  process.exit(1)
}

const sums: string[] = []
let failed = 0
const begun = performance.now()
say(`seed ${SEED}, ${form}`)
let running = ''
// An unhandled rejection is a fault like any other, but nothing can follow it.
process.once('uncaughtException', (error) => {
  say(wrapped(`FAIL ${running}, after the last line: ${error}`))
  say(`${error.stack}\n\n1 FAULT or more: ${running} ended early. Seed ${SEED}, ${form}.`)
  process.exit(1)
})
for (const [name, { part, columns }] of Object.entries(PARTS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  running = name
  say(`\n${name}${columns === undefined ? '' : `\n     ${columns}`}`)
  const start = performance.now()
  let [lines, faults] = [0, 0]
  for await (const { text, faults: found, more } of part(sizes)) {
    lines++
    faults += found.length
    say(wrapped(`${found.length === 0 ? 'ok  ' : 'FAIL'} ${text}`))
    if (more !== undefined) say(wrapped(`     ${more}`))
    for (const fault of found) say(wrapped(`     ! ${fault}`))
  }
  failed += faults
  sums.push([name.padEnd(15), `${lines} lines`.padStart(9), verdict(faults).padStart(10), seconds(start)].join(' '))
}
const whole = wanted.length === 0 ? quote(sizes) : wanted.join(', ')
say(`\nsummary\n${sums.map((sum) => `     ${sum}`).join('\n')}\n`)
say(wrapped(`${verdict(failed)}: ${whole}. Seed ${SEED}, ${form}, ${seconds(begun).trim()}.`))
process.exitCode = failed === 0 ? 0 : 1

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function verdict(faults: number): string {
  return faults === 0 ? 'no faults' : faults === 1 ? '1 FAULT' : `${faults} FAULTS`
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`.padStart(9)
}

/** Lines of 120 columns at most, the further ones indented. A word is never parted. */
function wrapped(text: string): string {
  return text.replaceAll(new RegExp(`(.{1,${COLUMNS_MAX - INDENT.length}})(?: +|$)`, 'g'), `$1\n${INDENT}`).trimEnd()
}

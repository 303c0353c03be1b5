#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { EXIT } from './exit.ts'
import { endingSignals } from './interrupt.ts'

const { version, engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
const needed = engines.node.replace('>=', '')

// Pieces of files lie outside of V8's heap until a young one is collected: a small one is, often, at no cost.
setFlagsFromString('--semi-space-growth-factor=1')

// A reader that has gone must not crash us. Where the data goes there, the write that failed says so itself.
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})
// From the beginning, whatever it does first.
endingSignals()

if (process.versions.node.localeCompare(needed, 'en', { numeric: true }) < 0) {
  process.stderr.write(`pairlay: This is Node ${process.versions.node}. Pairlay needs Node ${needed} or later.\n`)
  process.exitCode = EXIT.failed
} else {
  // An older Node cannot load this.
  const { execute } = await import('./program.ts')
  finish(await execute(process.argv.slice(2), version))
}

/** Ends the process once stdout has taken everything: an open terminal or socket must not keep it. Ctrl-C waits for nothing. */
function finish(code: number): void {
  if (code === EXIT.interrupted) process.exit(code)
  process.stdout.write('', () => process.exit(code))
}

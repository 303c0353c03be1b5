#!/usr/bin/env node
import { readFileSync } from 'node:fs'

const { engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
const needed = engines.node.replace('>=', '')
const { node } = process.versions

if (node.localeCompare(needed, 'en', { numeric: true }) < 0) {
  process.stderr.write(`pairlay: This is Node ${node}. Pairlay needs Node ${needed} or later.\n`)
  process.exitCode = 1
} else {
  // An older Node cannot load this.
  await import('../dist/server/main.js')
}

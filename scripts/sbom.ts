import { fileURLToPath } from 'node:url'
import { sbomOf } from './release/sbom.ts'

/** Prints the list of parts of a package, as a release has it: `tsx scripts/sbom.ts pairlay-relay`. */
const [name = ''] = process.argv.slice(2)
const folder = fileURLToPath(new URL(`../packages/${name.replace(/^pairlay-?/, '') || 'sdk'}`, import.meta.url))
console.log(JSON.stringify(sbomOf(name, folder, new Date()), undefined, 2))

import { readFileSync, writeFileSync } from 'node:fs'
import { manPage } from './page.ts'

/** Writes the manual page to where the package of the CLI promises it. */
const root = new URL('../../packages/cli/', import.meta.url)
const { version, man } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'))
writeFileSync(new URL(man[0], root), manPage(version, new Date()))

import { readFileSync, writeFileSync } from 'node:fs'
import { manPage } from './page.ts'

/** Writes the manual page to where the package of the CLI promises it, of today or of SOURCE_DATE_EPOCH, in seconds. */
const root = new URL('../../packages/cli/', import.meta.url)
const { version, man } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'))
const { SOURCE_DATE_EPOCH: seconds } = process.env
const day = seconds ? new Date(Number(seconds) * 1000) : new Date()
writeFileSync(new URL(man[0], root), manPage(version, day))

import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { sbomOf } from './sbom.ts'

/**
 * `npm run release`: builds what a release consists of into a folder, the same bytes from the same commit, and says what it would
 * publish. Publishes nothing. `--into FOLDER` names the folder, `--sign KEY` signs the checksums with a key of ssh, and
 * `--as-built` takes what is built already. `SOURCE_DATE_EPOCH` stands for the commit's time, and for a tree without changes.
 */
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const PACKAGES = ['pairlay', 'pairlay-cli', 'pairlay-relay']

const { values } = parseArgs({
  options: {
    into: { type: 'string', default: join(ROOT, 'release') },
    sign: { type: 'string' },
    'as-built': { type: 'boolean', default: false },
  },
})
const { into } = values
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
process.env.SOURCE_DATE_EPOCH ??= timeOfCommit()
const seconds = Number(process.env.SOURCE_DATE_EPOCH)

if (!values['as-built']) {
  // Files of modules that are gone would go along.
  rmSync(join(ROOT, 'dist'), { recursive: true, force: true })
  npm('run', 'build')
}
npm('run', 'man')
rmSync(into, { recursive: true, force: true })
mkdirSync(into, { recursive: true })
npm('pack', '--pack-destination', into, ...PACKAGES.map((name) => `--workspace=${name}`))
copyFileSync(join(ROOT, 'dist/pairlay.html'), join(into, `pairlay-${version}.html`))
for (const name of PACKAGES) {
  const folder = join(ROOT, 'packages', name.replace(/^pairlay-?/, '') || 'sdk')
  const sbom = sbomOf(name, folder, new Date(seconds * 1000))
  writeFileSync(join(into, `${name}-${version}.cdx.json`), `${JSON.stringify(sbom, undefined, 2)}\n`)
}
const files = readdirSync(into).toSorted()
const sums = files.map((name) => `${hash('sha256', readFileSync(join(into, name)))}  ${name}\n`)
const checksums = join(into, 'SHA256SUMS')
writeFileSync(checksums, sums.join(''))
if (values.sign !== undefined) execFileSync('ssh-keygen', ['-Y', 'sign', '-n', 'file', '-f', values.sign, checksums])

console.log(`Pairlay ${version}, of ${new Date(seconds * 1000).toISOString()}, in ${into}:\n`)
for (const name of files) console.log(`${String(statSync(join(into, name)).size).padStart(10)}  ${name}`)
console.log(`\n${sums.join('')}`)
console.log('Nothing was published. This would publish it:\n')
for (const name of PACKAGES) console.log(`npm publish ${name}-${version}.tgz`)
console.log(
  `and a page of the release with all of these files, SHA256SUMS${values.sign === undefined ? '' : ', SHA256SUMS.sig'}.`,
)
if (values.sign === undefined) console.log('\nThe checksums are not signed: --sign KEY.')

function npm(...args: string[]): void {
  execFileSync('npm', [...args, '--silent'], { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] })
}

/** Seconds since 1970 of the commit that is checked out. Exits where files are not as in it. */
function timeOfCommit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim()
  if (git('status', '--porcelain') !== '') {
    console.error('There are changes that no commit has. A release is made of a commit: commit them, or put them away.')
    process.exit(1)
  }
  return git('log', '-1', '--format=%ct')
}

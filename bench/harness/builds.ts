import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { COMPILED, DIST, ROOT } from './compile.ts'

/** Other relays than the one that was built: copies of it with lines replaced, and commits of the repository. */

export interface Build {
  readonly name: string
  /** Its `dist` folder. */
  readonly dist: URL
}

/** A replacement in a file of the built relay. `find` must occur once. */
export interface Change {
  readonly file: string
  readonly find: string
  readonly replace: string
}

/** A copy of the build with these changes. Throws when a text to replace is not there, or not unique. */
export function changedBuild(name: string, changes: readonly Change[]): Build {
  const { folder, dist } = emptyBuild(name)
  cpSync(DIST, dist, { recursive: true, filter: (path) => !path.includes('dist/.') })
  cpSync(new URL('package.json', ROOT), join(folder, 'package.json'))
  for (const { file, find, replace } of changes) {
    const path = new URL(file, dist)
    const parts = readFileSync(path, 'utf8').split(find)
    if (parts.length !== 2) throw new Error(`${name}: ${file} has ${parts.length - 1} times: ${find}`)
    writeFileSync(path, parts.join(replace))
  }
  return { name, dist }
}

/** The relay of a commit, built with the packages that are installed now. */
export function buildOf(commit: string): Build {
  const { folder, dist } = emptyBuild(commit.replaceAll(/\W/g, '-'))
  const archive = execFileSync('git', ['archive', commit], { cwd: fileURLToPath(ROOT), maxBuffer: 2 ** 28 })
  execFileSync('tar', ['-x', '-C', folder], { input: archive })
  const tsc = fileURLToPath(new URL('node_modules/typescript/bin/tsc', ROOT))
  execFileSync(process.execPath, [tsc, '-b', 'src/cli', 'src/server'], { cwd: folder, stdio: 'inherit' })
  return { name: commit, dist }
}

/** An empty folder below the compiled benchmark: imports find the installed packages from there. */
function emptyBuild(name: string): { readonly folder: string; readonly dist: URL } {
  const url = new URL(`builds/${encodeURIComponent(name)}/`, COMPILED)
  const folder = fileURLToPath(url)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  return { folder, dist: new URL('dist/', url) }
}

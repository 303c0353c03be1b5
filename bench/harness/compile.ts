import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The repository, the built project, and the benchmark's own programs as plain JavaScript. */
export const ROOT = new URL('../../', import.meta.url)
export const DIST = new URL('dist/', ROOT)
export const COMPILED = new URL('bench/dist/', ROOT)

/** Builds what is measured, as `npm ci` did, and what measures: nothing here may run through a loader. */
export function compile(): void {
  const run = (command: string, args: string[]) =>
    execFileSync(command, args, { cwd: fileURLToPath(ROOT), stdio: ['ignore', 'inherit', 'inherit'] })
  run('npm', ['run', '--silent', 'build'])
  run(process.execPath, [fileURLToPath(new URL('node_modules/typescript/bin/tsc', ROOT)), '-b', 'bench'])
}

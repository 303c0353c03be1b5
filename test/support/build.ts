import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The command as its package has it. */
export const CLI = fileURLToPath(new URL('../../packages/cli/bin/pairlay.js', import.meta.url))

/** Builds, before any test, what tests run as a process of its own, as `npm ci` did. */
export default function buildAll(): void {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, stdio: 'inherit' })
}

import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Before any test: builds what tests run as a process of its own (the relay and the CLI), as `npm ci` did. */
export default function build(): void {
  execFileSync('npm', ['run', '--silent', 'build'], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: 'inherit',
  })
}

import { execFileSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const DIST = join(ROOT, 'dist')
const BUNDLED_FOR_TESTS = 'cli-for-tests'

/** The CLI in a few files, which start in half the time. It stands where `dist/cli/main.js` finds what it looks for. */
export const CLI = join(DIST, BUNDLED_FOR_TESTS, 'main.js')

/** Builds, before any test, what tests run as a process of its own: the relay and the CLI, as `npm ci` did. */
export default async function buildAll(): Promise<void> {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, stdio: 'inherit' })
  if (newest(DIST) <= (statSync(CLI, { throwIfNoEntry: false })?.mtimeMs ?? 0)) return
  // Not above: tests import this file for the path alone.
  const { build } = await import('vite')
  await build({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    ssr: { noExternal: true },
    build: {
      ssr: join(DIST, 'cli/main.js'),
      outDir: join(DIST, BUNDLED_FOR_TESTS),
      // Beside main.js, as each command is beside it in dist/cli.
      rolldownOptions: { output: { chunkFileNames: '[name].js' } },
    },
  })
}

/** When one of the files in a directory changed last, as `mtimeMs`. */
function newest(directory: string): number {
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /^(?!web\/).*\.js$/.test(name),
  )
  return Math.max(0, ...files.map((name) => statSync(join(directory, name)).mtimeMs))
}

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** Builds all that the packages have, after an installation. One for a single package brings nothing to build with. */
const hasCompiler = existsSync(new URL('../node_modules/typescript', import.meta.url))
if (!hasCompiler) process.stdout.write('There is nothing here to build with: the packages stay as they are.\n')

for (const script of hasCompiler ? ['build', 'man'] : []) {
  const { status } = spawnSync(`npm run --silent ${script}`, { shell: true, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

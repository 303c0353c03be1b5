import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe } from 'vitest'
import { Program, pairlay, type StartOptions } from '../../cli/support.ts'
import { withLastTest } from '../../support/leftovers.ts'

/** The folder of the client in Python. */
const FOLDER = fileURLToPath(new URL('../../../clients/python/', import.meta.url))
const PYTHON = `${FOLDER}.venv/bin/python`

const imports = 'import sys, aiohttp, cryptography, rbcl, pytest; sys.exit(sys.version_info < (3, 11))'
const hasPython = spawnSync(PYTHON, ['-c', imports]).status === 0

/** Tests that need Python 3.11 and the packages of the client: without them they are skipped, or fail when REQUIRE_ALL is set. */
export function describePython(name: string, tests: () => void): void {
  if (hasPython || process.env.REQUIRE_ALL === '1') describe(name, { concurrent: true }, tests)
  else
    describe.skip(
      `${name}: SKIPPED, clients/python/.venv has no Python 3.11 with the packages of pyproject.toml`,
      tests,
    )
}

/** Runs a module of Python, or a file, in the client's folder. It is ended with the file's last test at the latest. */
export function python(args: readonly string[], options: StartOptions = {}): Program {
  const program = new Program(PYTHON, args, { cwd: FOLDER, ...options })
  withLastTest(() => program.kill())
  return program
}

type Side = (args: readonly string[], options?: StartOptions) => Program

/** The two commands, by the words of the tests. */
export const SIDES: Readonly<Record<'Python' | 'the CLI', Side>> = {
  Python: (args, options) => python(['-m', 'pairlay', ...args], options),
  'the CLI': pairlay,
}

export type SideName = keyof typeof SIDES

/** A program that answers posts. */
export const ECHO = `${FOLDER}tests/echo.py`

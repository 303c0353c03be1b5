import { fileURLToPath } from 'node:url'
import { Program } from '../../cli/support.ts'
import { withLastTest } from '../../support/leftovers.ts'

/** A program of `examples/` that a test has started. What it says is on its terminal, which is stdout. */
export interface Example extends Pick<Program, 'write' | 'endStdin' | 'ended' | 'kill'> {
  /** Resolves when it has said this, `nth` times. Throws when it ends without. */
  says(text: string | RegExp, nth?: number): Promise<RegExpMatchArray>
}

/** Starts a program of `examples/`. It is ended with the file's last test at the latest. */
export function example(path: string, args: readonly string[]): Example {
  const file = fileURLToPath(new URL(`../../../examples/${path}`, import.meta.url))
  const program = new Program(process.execPath, ['--single-threaded-gc', file, ...args], { stdin: 'open' })
  withLastTest(() => program.kill())
  return {
    write: (text) => program.write(text),
    endStdin: () => program.endStdin(),
    ended: (patienceMs) => program.ended(patienceMs),
    kill: () => program.kill(),
    says: (text, nth = 1) => {
      const pattern = new RegExp(typeof text === 'string' ? text.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&') : text, 'g')
      return program.until(`says ${text}`, () => [...program.stdout.toString().matchAll(pattern)][nth - 1])
    },
  }
}

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { CliError, EXIT } from './exit.ts'
import { endingSignals, hasTerminal } from './interrupt.ts'

export interface ServeOptions {
  readonly host?: string
  readonly port?: number
}

/**
 * `pairlay serve`: runs the relay in a process of its own, because nothing of the CLI may share one with it. Resolves
 * with the relay's exit code. Throws CliError where the package of the relay is not installed.
 */
export function serve({ host, port }: ServeOptions): Promise<number> {
  const main = relayProgram()
  const env = {
    ...process.env,
    ...(host === undefined ? {} : { HOST: host }),
    ...(port === undefined ? {} : { PORT: String(port) }),
  }
  // In a group of its own: a terminal sends Ctrl-C to the whole group, and the relay takes a second one for impatience.
  const relay = spawn(process.execPath, [main], { stdio: 'inherit', env, detached: true })
  let terminalGone = false
  const pass = (signal: NodeJS.Signals) => {
    terminalGone ||= signal === 'SIGHUP' && hasTerminal()
    relay.kill(signal)
  }
  for (const signal of endingSignals()) process.on(signal, pass)
  return new Promise((resolve) => {
    relay.on('error', () => resolve(EXIT.failed))
    relay.on('exit', (code) => {
      // See `untilInterrupted`: there is no other way to end without a terminal.
      if (terminalGone) process.kill(process.pid, 'SIGKILL')
      resolve(code ?? EXIT.failed)
    })
  })
}

function relayProgram(): string {
  try {
    return fileURLToPath(import.meta.resolve('pairlay-relay'))
  } catch {
    throw new CliError(
      'There is no relay here. Install the package pairlay-relay beside this one, at the same version.',
    )
  }
}

import { EXIT } from './exit.ts'
import type { Terminal } from './terminal.ts'

/** How long a farewell may take when a person has asked to stop. */
const FAREWELL_MS = 3_000

/**
 * Runs `work` until it ends or a signal comes. Then the other side is told by `leave`, and the result is the exit code of
 * an interruption. A second signal ends the process at once.
 */
export async function untilInterrupted(
  terminal: Terminal,
  leave: () => Promise<void>,
  work: () => Promise<number>,
): Promise<number> {
  let onSignal: (() => void) | undefined
  const interrupted = new Promise<number>((resolve) => {
    onSignal = () => {
      process.once('SIGINT', exitNow).once('SIGTERM', exitNow)
      const patience = new Promise<void>((done) => setTimeout(done, FAREWELL_MS).unref())
      void Promise.race([leave(), patience]).then(() => {
        terminal.event('interrupted')
        terminal.say('\nStopped. The other side has been told.')
        resolve(EXIT.interrupted)
      })
    }
    process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  })
  const working = work()
  try {
    return await Promise.race([working, interrupted])
  } finally {
    // The interrupted work fails with what the interruption did to it; that has been said already.
    working.catch(() => {})
    if (onSignal) process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
  }
}

function exitNow(): void {
  process.exit(EXIT.interrupted)
}

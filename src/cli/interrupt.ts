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
  let leaving = false
  const interrupted = new Promise<number>((resolve) => {
    onSignal = () => {
      leaving = true
      process.once('SIGINT', exitNow).once('SIGTERM', exitNow)
      const patience = new Promise<void>((done) => setTimeout(done, FAREWELL_MS).unref())
      // The work fails once the session is left, and cleans up after itself: that is waited for as well.
      const farewell = leave().then(() => working.then(nothing, nothing))
      void Promise.race([farewell, patience]).then(() => {
        terminal.event('interrupted')
        terminal.say('\nStopped. The other side has been told.')
        resolve(EXIT.interrupted)
      })
    }
    process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  })
  const working = work()
  // What a failure means is decided by whoever wins the race below.
  working.catch(nothing)
  try {
    const ended = await Promise.race([working.then(nothing, nothing), interrupted])
    return ended ?? (leaving ? await interrupted : await working)
  } finally {
    if (onSignal) process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
  }
}

function exitNow(): void {
  process.exit(EXIT.interrupted)
}

function nothing(): void {}

import { closeSync, openSync } from 'node:fs'
import { EXIT } from './exit.ts'
import type { Terminal } from './terminal.ts'

/** How long a farewell may take when a person has asked to stop. */
const FAREWELL_MS = 3_000
/** Ctrl-C, a system that goes down, and a terminal that was closed. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Runs `work` until it ends or a signal comes. Then the other side is told by `leave`, and the result is the exit code of
 * an interruption. A second signal ends the process at once.
 */
export async function untilInterrupted(
  terminal: Terminal,
  leave: () => Promise<void>,
  work: () => Promise<number>,
): Promise<number> {
  let leaving = false
  let stop: () => void = nothing
  const interrupted = new Promise<number>((resolve) => {
    stop = () => {
      terminal.event('interrupted', {})
      // Whether the relay answered the goodbye is not known here: it is a courtesy, whose failure is not told.
      terminal.say('\nStopped.')
      resolve(EXIT.interrupted)
    }
  })
  const onSignal = (signal: NodeJS.Signals) => {
    if (leaving) process.exit(EXIT.interrupted)
    leaving = true
    const patience = new Promise<void>((done) => setTimeout(done, FAREWELL_MS).unref())
    // The work fails once the session is left, and cleans up after itself: that is waited for as well.
    const farewell = leave().then(() => working.then(nothing, nothing))
    // Node 20 cannot exit when its terminal is gone: it asserts that it can reset it. Nobody sees an exit code then. This
    // listener is the last one, so that what others do at an exit is done.
    if (signal === 'SIGHUP' && hasTerminal()) process.on('exit', () => process.kill(process.pid, 'SIGKILL'))
    void Promise.race([farewell, patience]).then(() => stop())
  }
  const signals = endingSignals()
  for (const signal of signals) process.on(signal, onSignal)
  const working = work()
  // What a failure means is decided by whoever wins the race below.
  working.catch(nothing)
  try {
    const ended = await Promise.race([working.then(nothing, nothing), interrupted])
    return ended ?? (leaving ? await interrupted : await working)
  } finally {
    for (const signal of signals) process.off(signal, onSignal)
  }
}

/**
 * The signals that end a command: not a hang-up when it was started to outlive its terminal, as with nohup. Node forgets
 * that a signal was ignored when it starts. So the streams tell: a command that could be at a terminal, and of which
 * nothing is, was taken away from it.
 */
export function endingSignals(): readonly NodeJS.Signals[] {
  taken ??= /(^|\/)nohup$/.test(process.env._ ?? '') || (!hasTerminal() && couldHaveTerminal())
  if (!taken) return SIGNALS
  if (!process.listeners('SIGHUP').includes(nothing)) process.on('SIGHUP', nothing)
  return SIGNALS.filter((signal) => signal !== 'SIGHUP')
}

let taken: boolean | undefined

function couldHaveTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return true
  } catch {
    return false
  }
}

/** Whether there was one when the process began, gone or not. */
export function hasTerminal(): boolean {
  return [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY)
}

function nothing(): void {}

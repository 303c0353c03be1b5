import { readFileSync } from 'node:fs'
import { EXIT } from './exit.ts'
import type { Terminal } from './terminal.ts'

/** How long a farewell may take when a person has asked to stop. */
const FAREWELL_MS = 3_000
/** Ctrl-C, Ctrl-\, a system that goes down, and a terminal that was closed. */
const SIGNALS = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP'] as const

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
      // The goodbye is a courtesy: a relay that did not answer it is not told of.
      terminal.event('interrupted', {}, 'Stopped.')
      resolve(EXIT.interrupted)
    }
  })
  const onSignal = (signal: NodeJS.Signals) => {
    if (leaving) process.exit(EXIT.interrupted)
    leaving = true
    terminal.endLine()
    const patience = new Promise<void>((done) => setTimeout(done, FAREWELL_MS).unref())
    // The work fails once the session is left, and cleans up after itself: wait for that too.
    const farewell = leave().then(() => working.then(nothing, nothing))
    // Node 20 cannot exit when its terminal is gone: it asserts that it can reset it. Nobody sees an exit code then. This
    // listener is the last one, so that what others do at an exit is done.
    if (signal === 'SIGHUP' && hasTerminal()) process.on('exit', () => process.kill(process.pid, 'SIGKILL'))
    void Promise.race([farewell, patience]).then(() => stop())
  }
  const signals = endingSignals()
  for (const signal of signals) process.on(signal, onSignal)
  const working = work()
  // The winner of the race below decides what a failure means.
  working.catch(nothing)
  try {
    const ended = await Promise.race([working.then(nothing, nothing), interrupted])
    return ended ?? (leaving ? await interrupted : await working)
  } finally {
    for (const signal of signals) process.off(signal, onSignal)
  }
}

/**
 * Returns the signals that end a command. A hang-up is one only for a command with a stream at a terminal that was not
 * started to outlive it. Node sets ignored signals back before any code runs: its streams, the shell's `_` and the parent
 * tell what `nohup` or `trap '' HUP` did.
 */
export function endingSignals(): readonly NodeJS.Signals[] {
  outlives ??= !hasTerminal() || /(^|\/)nohup$/.test(process.env._ ?? '') || parentIgnoresHangUp()
  if (!outlives) return SIGNALS
  if (!process.listeners('SIGHUP').includes(nothing)) process.on('SIGHUP', nothing)
  return SIGNALS.filter((signal) => signal !== 'SIGHUP')
}

let outlives: boolean | undefined

/** Reports whether the parent ignores SIGHUP, as a shell does after `trap '' HUP`. Only Linux tells. */
function parentIgnoresHangUp(): boolean {
  try {
    const status = readFileSync(`/proc/${process.ppid}/status`, 'utf8')
    return /^SigIgn:.*[13579bdf]$/m.test(status)
  } catch {
    return false
  }
}

/** Reports whether a stream was at a terminal when the process began, gone or not. */
export function hasTerminal(): boolean {
  return [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY)
}

function nothing(): void {}

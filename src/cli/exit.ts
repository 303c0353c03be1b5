import type { PairingErrorCode } from '../client/index.ts'

/** The exit codes of the CLI. docs/cli.md prints this table; a test holds the two together. */
export const EXIT = {
  delivered: 0,
  failed: 1,
  usage: 2,
  not_paired: 3,
  relay: 4,
  not_delivered: 5,
  interrupted: 130,
} as const

export type ExitName = keyof typeof EXIT

/** The exit codes in words. */
export const EXIT_MEANINGS: Readonly<Record<ExitName, string>> = {
  delivered: 'done: delivered, or received and saved',
  failed: 'failed here (a file, the disk, a pipe)',
  usage: 'wrong usage',
  not_paired: 'not paired: wrong, unknown or used code, denied, no answer, or the time was over',
  relay: 'not paired: the relay refused or cannot be reached',
  not_delivered: 'paired, and not delivered, or not everything received',
  interrupted: 'stopped by Ctrl-C',
}

/** Something the person at the terminal can put right. Its message is a whole sentence. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly exit: ExitName
  /** Names it for a program: the code of an SDK error, or else the name of the exit code. */
  readonly code: PairingErrorCode | ExitName

  constructor(message: string, exit: ExitName = 'failed', code: PairingErrorCode | ExitName = exit) {
    super(message)
    this.exit = exit
    this.code = code
  }
}

const FAILED: readonly PairingErrorCode[] = ['aborted', 'already_sent', 'internal', 'superseded', 'typing_required']
// biome-ignore format: one paragraph
const OF_RELAY: readonly PairingErrorCode[] = [
  'access_denied', 'access_needed', 'at_capacity', 'rate_limited', 'session_lost', 'shutting_down',
]

/**
 * Returns the exit of an SDK error. Before a device is approved nobody is paired, and nothing can be missing. From then on
 * every reason is the same on both sides: not everything has arrived.
 */
export function exitOf(code: PairingErrorCode, approved: boolean): ExitName {
  if (FAILED.includes(code)) return 'failed'
  if (approved) return 'not_delivered'
  return OF_RELAY.includes(code) || code.startsWith('relay_') ? 'relay' : 'not_paired'
}

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
  /** What it is to a program: the code of an SDK error, or else the name of the exit code. */
  readonly code: PairingErrorCode | ExitName

  constructor(message: string, exit: ExitName = 'failed', code: PairingErrorCode | ExitName = exit) {
    super(message)
    this.exit = exit
    this.code = code
  }
}

const EXIT_OF: Partial<Record<PairingErrorCode, ExitName>> = {
  attempts_used_up: 'not_paired',
  code_invalid: 'not_paired',
  code_not_found: 'not_paired',
  denied: 'not_paired',
  handshake_timeout: 'not_paired',
  no_such_number: 'not_paired',
  nobody_approved: 'not_paired',
  number_not_unique: 'not_paired',
  session_full: 'not_paired',
  unsupported: 'not_paired',
  used_up: 'not_paired',
  wrong_code: 'not_paired',
  at_capacity: 'relay',
  rate_limited: 'relay',
  relay_misbehaved: 'relay',
  relay_redirects: 'relay',
  relay_refused: 'relay',
  relay_unavailable: 'relay',
  relay_unreachable: 'relay',
  relay_untrusted: 'relay',
  session_lost: 'relay',
  shutting_down: 'relay',
  cancelled: 'not_delivered',
  closed_by_sender: 'not_delivered',
  corrupt: 'not_delivered',
  declined: 'not_delivered',
  expired: 'not_delivered',
  incomplete: 'not_delivered',
  no_space: 'not_delivered',
  not_delivered: 'not_delivered',
  peer_misbehaved: 'not_delivered',
  receiver_left: 'not_delivered',
  revoked: 'not_delivered',
  source_changed: 'not_delivered',
  source_failed: 'not_delivered',
}

/**
 * The exit of an SDK error. Before a device is approved nobody is paired, and nothing can be missing; once one is, it is
 * the same on both sides whatever the reason: not everything has arrived.
 */
export function exitOf(code: PairingErrorCode, approved: boolean): ExitName {
  const exit = EXIT_OF[code] ?? 'failed'
  if (approved) return exit === 'relay' ? 'not_delivered' : exit
  return exit === 'not_delivered' ? 'not_paired' : exit
}

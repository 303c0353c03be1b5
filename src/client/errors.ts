import { type CloseErrorCode, ERRORS, errorOfCloseCode, FINAL_CLOSURES } from '../protocol/errors.ts'
import type { DenialReason } from '../protocol/fields.ts'
import type { CloseReason, ReceiverRow } from '../protocol/view.ts'
import { PAIRING_ERRORS } from './error-messages.ts'

/** Codes of PairingError. docs/sdk.md says what each means. */
export type PairingErrorCode = keyof typeof PAIRING_ERRORS

/** The one error of the SDK. `message` can be shown to a person: it holds no secret and nothing from the peer. */
export class PairingError extends Error {
  override readonly name = 'PairingError'
  /** The kind of end, for a program. */
  readonly code: PairingErrorCode
  /** The part of the message beyond what the code means. */
  readonly detail: string | undefined

  constructor(code: PairingErrorCode, options: { detail?: string | undefined; cause?: unknown } = {}) {
    const { detail, cause } = options
    super(detail === undefined ? PAIRING_ERRORS[code] : `${PAIRING_ERRORS[code]} ${detail}`, { cause })
    this.code = code
    this.detail = detail
  }
}

const CLOSED: Readonly<Record<CloseReason, PairingErrorCode>> = {
  completed: 'closed_by_sender',
  closed_by_sender: 'closed_by_sender',
  expired: 'expired',
  shutting_down: 'shutting_down',
}

const DENIED: Readonly<Record<DenialReason, PairingErrorCode>> = {
  rejected: 'denied',
  handshake_failed: 'wrong_code',
  handshake_invalid: 'wrong_code',
  handshake_timeout: 'handshake_timeout',
  unsupported: 'unsupported',
}

/** The error of a session's end to somebody who still waited for something. */
export function errorOfCloseReason(reason: CloseReason | undefined): PairingError {
  return new PairingError(reason ? CLOSED[reason] : 'session_lost')
}

/** The error of a receiver whose row has ended, or undefined for a live one. A denial is the relay's word, and said to be. */
export function errorOfRow({ state, reason }: ReceiverRow): PairingError | undefined {
  if (state === 'pending' || state === 'approved') return undefined
  if (state === 'denied') return new PairingError(DENIED[reason ?? 'rejected'])
  return new PairingError(state === 'revoked' ? 'revoked' : 'session_lost')
}

/** Ends that a relay has told of, or that it must not be told of: another client has the role. */
export const KNOWN_TO_RELAY: readonly PairingErrorCode[] = [
  'closed_by_sender',
  'expired',
  'session_lost',
  'shutting_down',
  'superseded',
]

/** The error to throw when nobody foresaw one: never anything but a PairingError. */
export function errorOfAccident(error: unknown): PairingError {
  return error instanceof PairingError ? error : new PairingError('internal', { cause: error })
}

/** The error of a close that no reconnect can mend. */
export function errorOfClose(closeCode: number): PairingError | undefined {
  const code = errorOfCloseCode(closeCode)
  if (code ? ERRORS[code].retryable : !FINAL_CLOSURES.includes(closeCode)) return undefined
  const known = code && CLOSES[code]
  return new PairingError(known ?? 'relay_refused', known ? {} : { detail: `It said ${code ?? closeCode}.` })
}

const CLOSES: Partial<Record<CloseErrorCode, PairingErrorCode>> = {
  session_gone: 'expired',
  session_not_found: 'session_lost',
  superseded: 'superseded',
}

import { type CloseErrorCode, ERRORS, errorOfCloseCode, FINAL_CLOSURES } from '../protocol/errors.ts'
import type { DenialReason } from '../protocol/fields.ts'
import type { CloseReason, ReceiverRow } from '../protocol/view.ts'

/** All that can end a pairing, with words for a person. docs/sdk.md prints the codes; a test holds the two together. */
export const PAIRING_ERRORS = {
  aborted: 'Stopped here.',
  already_sent: 'This source can be read once, so it can go to one device only.',
  at_capacity: 'The relay has no room at the moment. Try again in a minute.',
  attempts_used_up: 'This code was tried too often from here. Get a new code.',
  cancelled: 'The other side stopped this transfer.',
  closing: 'The other device takes no more.',
  closed_by_sender: 'The sender ended the session.',
  code_expired: 'Nobody entered the code in time. Get a new code.',
  code_invalid: 'This is not a pairing code. Check it against the sender.',
  code_not_found: 'No sender waits under this code. It may be mistyped, used or expired: check it, or get a new code.',
  corrupt: 'What arrived is damaged, or is not what was announced.',
  declined: 'The other side declined.',
  denied: 'The relay says that the sender denied this device.',
  expired: 'The time of this session is over.',
  handshake_timeout: 'The other device did not answer in time. Get a new code and try again.',
  incomplete: 'The transfer ended before everything was there.',
  internal: 'Something unforeseen went wrong here.',
  no_space: 'The other device has no room for it.',
  no_such_number: 'No waiting device shows this number.',
  nobody_approved: 'No device was approved.',
  not_delivered: 'The receiver ended before everything arrived.',
  number_not_unique: 'Two waiting devices show this number. Get a new code.',
  peer_misbehaved: 'The other device broke the protocol.',
  rate_limited: 'Too many tries from this network.',
  receiver_failed: 'The other device could not take it.',
  receiver_left: 'The receiver has left.',
  relay_misbehaved: 'The relay broke the protocol. Use another relay.',
  relay_redirects: 'This address leads to another one.',
  relay_refused: 'The relay refused.',
  relay_unavailable: 'The relay cannot take this on at the moment. Try again in a minute.',
  relay_unreachable: 'The relay cannot be reached. Check the address and the network.',
  relay_untrusted: 'The certificate of the relay cannot be trusted.',
  revoked: 'The relay says that the sender ended the transfer to this device.',
  sender_failed: 'The other device could not send it.',
  session_full: 'The session takes no more devices.',
  session_lost: 'The relay no longer knows this session. It may have been restarted: get a new code.',
  shutting_down: 'The relay is shutting down. Get a new code in a moment.',
  source_changed: 'The source gave another number of bytes than announced. It may have changed while it was sent.',
  source_failed: 'The source could not be read to its end.',
  superseded: 'Another connection took over this session.',
  too_many: 'The other device takes fewer files.',
  typing_required: 'Another device may know the code: type the number that the right one shows.',
  unconfirmed: 'Everything was sent, but the other device did not confirm it. Look there before you send it again.',
  unsupported: 'The other device does not take this, or speaks another version.',
  used_up: 'Other devices used this code up. Get a new code.',
  wrong_code: 'The code was wrong or someone interfered. Get a new code.',
} as const

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

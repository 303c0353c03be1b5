import type { CloseReason, ReceiverRow } from '../protocol/frames.ts'

/** What can end a pairing, with what to tell a person. README.md prints the codes; a test holds the two together. */
export const PAIRING_ERRORS = {
  aborted: 'Stopped here.',
  already_sent: 'This source can be read once, so it can go to one device only.',
  at_capacity: 'The relay has no room at the moment. Try again in a minute.',
  attempts_used_up: 'This code was tried too often from here. Get a new code.',
  closed_by_sender: 'The sender ended the session.',
  code_invalid: 'This is not a pairing code. Check it against the sender.',
  code_not_found: 'No sender waits under this code. It may be mistyped, used or expired: check it, or get a new code.',
  corrupt: 'Something arrived that the other device did not send. Nothing of it was kept.',
  denied: 'The relay says that the sender denied this device.',
  expired: 'The time of this session is over.',
  handshake_timeout: 'The other device did not answer in time. Get a new code and try again.',
  incomplete: 'The transfer ended before everything was there.',
  no_such_number: 'No waiting device shows this number.',
  nobody_approved: 'No device was approved.',
  not_delivered: 'The receiver ended without confirming that everything arrived.',
  number_not_unique: 'Two waiting devices show this number. Get a new code.',
  receiver_left: 'The receiving device has left.',
  relay_misbehaved: 'The relay broke the protocol. Use another relay.',
  relay_refused: 'The relay refused.',
  relay_unreachable: 'The relay cannot be reached. Check the address and the network.',
  revoked: 'The relay says that the sender withdrew its approval.',
  session_full: 'The session takes no more devices.',
  session_lost: 'The relay no longer knows this session. It may have been restarted: get a new code.',
  shutting_down: 'The relay is shutting down. Get a new code in a moment.',
  source_changed: 'The source gave another number of bytes than announced. It may have changed while it was sent.',
  source_failed: 'The source could not be read to its end.',
  superseded: 'Another connection took over this session.',
  typing_required: 'More than one device knows the code: type the number that the right one shows.',
  wrong_code: 'The code was wrong or someone interfered. Get a new code.',
} as const

export type PairingErrorCode = keyof typeof PAIRING_ERRORS

/** The one error of the SDK. `message` can be shown to a person: it holds no secret and nothing from the peer. */
export class PairingError extends Error {
  override readonly name = 'PairingError'
  readonly code: PairingErrorCode
  /** What the message says beyond what the code means. */
  readonly detail: string | undefined

  constructor(code: PairingErrorCode, options: { detail?: string; cause?: unknown } = {}) {
    const { detail, cause } = options
    super(detail === undefined ? PAIRING_ERRORS[code] : `${PAIRING_ERRORS[code]} ${detail}`, { cause })
    this.code = code
    this.detail = detail
  }
}

/** What a session's end means to somebody who was still waiting for something. */
export function errorOfCloseReason(reason: CloseReason | undefined): PairingError {
  switch (reason) {
    case 'expired':
      return new PairingError('expired')
    case 'shutting_down':
      return new PairingError('shutting_down')
    case 'completed':
    case 'closed_by_sender':
      return new PairingError('closed_by_sender')
    case undefined:
      return new PairingError('session_lost')
    default:
      return reason satisfies never
  }
}

/** The error of a receiver whose row has ended, or undefined for a live one. A denial is the relay's word, and said to be. */
export function errorOfRow(row: ReceiverRow): PairingError | undefined {
  switch (row.state) {
    case 'pending':
    case 'approved':
      return undefined
    case 'denied':
      if (row.reason === 'handshake_failed' || row.reason === 'handshake_invalid') return new PairingError('wrong_code')
      return new PairingError(row.reason === 'handshake_timeout' ? 'handshake_timeout' : 'denied')
    case 'revoked':
      return new PairingError('revoked')
    case 'done':
    case 'left':
    case 'ended':
      return new PairingError('aborted')
    default:
      return row.state satisfies never
  }
}

import { ERROR_TITLES } from '../protocol/error-titles.ts'
import { type CloseErrorCode, type ErrorCode, isCloseErrorCode } from '../protocol/errors.ts'
import { CodecError } from '../protocol/text.ts'

/** A refusal of the domain. The edge turns it into an HTTP problem or a WebSocket close; `detail` may be shown to anyone. */
export class RelayError extends Error {
  override readonly name = 'RelayError'
  readonly code: ErrorCode
  readonly detail: string | undefined
  /** When the same request may succeed, where that is known. */
  readonly retryAfterSeconds: number | undefined

  constructor(code: ErrorCode, detail?: string, retryAfterSeconds?: number) {
    super(ERROR_TITLES[code])
    this.code = code
    this.detail = detail
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** Refuses a code to the client address that has joined with it as often as it may. To the client it is any unknown code. */
export class CodeUsedUp extends RelayError {
  constructor() {
    super('session_not_found')
  }
}

/** The close code for a socket whose frame, or whose store, has failed with this. */
export function closeCodeOf(error: unknown): CloseErrorCode {
  if (error instanceof CodecError) return 'invalid_frame'
  return error instanceof RelayError && isCloseErrorCode(error.code) ? error.code : 'internal'
}

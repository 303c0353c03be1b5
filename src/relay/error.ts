import { ERROR_TITLES } from '../protocol/error-titles.ts'
import type { ErrorCode } from '../protocol/errors.ts'

/** A refusal of the domain. The edge turns it into an HTTP problem or a WebSocket close; `detail` may be shown to anyone. */
export class RelayError extends Error {
  override readonly name = 'RelayError'
  readonly code: ErrorCode
  readonly detail: string | undefined

  constructor(code: ErrorCode, detail?: string) {
    super(ERROR_TITLES[code])
    this.code = code
    this.detail = detail
  }
}

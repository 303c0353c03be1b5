import { ERRORS, type ErrorCode } from '../protocol/errors.ts'

/** A refusal of the domain. The edge turns it into an HTTP problem or a WebSocket close; `detail` may be shown to anyone. */
export class RelayError extends Error {
  override readonly name = 'RelayError'
  readonly code: ErrorCode
  readonly detail: string | undefined

  constructor(code: ErrorCode, detail?: string) {
    super(ERRORS[code].title)
    this.code = code
    this.detail = detail
  }
}

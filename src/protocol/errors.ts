/**
 * The one table of what can go wrong between a client and a relay. HTTP problems and WebSocket closes are projections
 * of it; PROTOCOL.md prints it and a test holds the two together. `error-titles.ts` has it in words.
 *
 * - `status`: the HTTP status, where the code can be answered over HTTP.
 * - `closeCode`: the WebSocket close code, where the code can close a socket. The close reason is the code itself.
 * - `retryable`: the same request (or a new attach) can succeed later without anybody changing anything.
 */
export const ERRORS = {
  invalid_request: { status: 400, retryable: false },
  invalid_frame: { status: 400, closeCode: 4400, retryable: false },
  unauthorized: { status: 401, closeCode: 4401, retryable: false },
  forbidden: { status: 403, closeCode: 4403, retryable: false },
  access_denied: { status: 403, retryable: false },
  not_found: { status: 404, retryable: false },
  session_not_found: { status: 404, closeCode: 4404, retryable: false },
  receiver_not_found: { status: 404, retryable: false },
  request_timeout: { status: 408, retryable: true },
  attach_timeout: { closeCode: 4408, retryable: true },
  code_in_use: { status: 409, retryable: false },
  receiver_code_in_use: { status: 409, retryable: false },
  session_full: { status: 409, retryable: false },
  decision_made: { status: 409, retryable: false },
  frame_refused: { status: 409, retryable: true },
  resume_required: { status: 409, closeCode: 4409, retryable: true },
  not_approved: { status: 409, retryable: false },
  session_gone: { status: 410, closeCode: 4410, retryable: false },
  receiver_gone: { status: 410, retryable: false },
  body_too_large: { status: 413, retryable: false },
  frame_too_large: { closeCode: 1009, retryable: false },
  unsupported_media_type: { status: 415, retryable: false },
  rate_limited: { status: 429, retryable: true },
  too_many_sessions: { status: 429, retryable: true },
  headers_too_large: { status: 431, retryable: false },
  superseded: { status: 409, closeCode: 4001, retryable: false },
  window_exceeded: { closeCode: 4002, retryable: false },
  internal: { status: 500, closeCode: 1011, retryable: true },
  at_capacity: { status: 503, retryable: true },
  unavailable: { status: 503, closeCode: 1013, retryable: true },
  going_away: { status: 503, closeCode: 1001, retryable: true },
} as const satisfies Record<string, ErrorSpec>

interface ErrorSpec {
  readonly status?: number
  readonly closeCode?: number
  readonly retryable: boolean
}

export type ErrorCode = keyof typeof ERRORS

/** The codes that can answer an HTTP request. */
export type HttpErrorCode = {
  [C in ErrorCode]: (typeof ERRORS)[C] extends { status: number } ? C : never
}[ErrorCode]

/** The codes that can close a WebSocket. */
export type CloseErrorCode = {
  [C in ErrorCode]: (typeof ERRORS)[C] extends { closeCode: number } ? C : never
}[ErrorCode]

/** WebSocket close code: the TCP connection ended without a close frame (RFC 6455, 7.4.1). Retryable, never sent. */
export const ABNORMAL_CLOSURE = 1006

/**
 * Close codes of RFC 6455 itself that no new attach can mend: a normal closure, and what says that this client broke the
 * protocol (a malformed frame, data of a kind not taken, text that is not UTF-8).
 */
export const FINAL_CLOSURES: readonly number[] = [1000, 1002, 1003, 1007]

/** The error a WebSocket close code stands for, or undefined for a code that is not in the table. */
export function errorOfCloseCode(closeCode: number): CloseErrorCode | undefined {
  for (const [code, spec] of Object.entries(ERRORS)) {
    if ('closeCode' in spec && spec.closeCode === closeCode) return code as CloseErrorCode
  }
  return undefined
}

/** Reports whether text is a code of the table that can answer an HTTP request. */
export function isHttpErrorCode(text: string): text is HttpErrorCode {
  return Object.hasOwn(ERRORS, text) && 'status' in ERRORS[text as ErrorCode]
}

/** Reports whether a code of the table can close a WebSocket. */
export function isCloseErrorCode(code: ErrorCode): code is CloseErrorCode {
  return 'closeCode' in ERRORS[code]
}

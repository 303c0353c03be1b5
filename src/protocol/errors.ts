/**
 * The one table of what can go wrong between a client and a relay. HTTP problems and WebSocket closes are projections
 * of it; PROTOCOL.md prints it and a test holds the two together.
 *
 * - `status`: the HTTP status, where the code can be answered over HTTP.
 * - `closeCode`: the WebSocket close code, where the code can close a socket. The close reason is the code itself.
 * - `retryable`: the same request (or a new attach) can succeed later without anybody changing anything.
 */
export const ERRORS = {
  invalid_request: { status: 400, title: 'The request does not have the documented form', retryable: false },
  invalid_frame: {
    status: 400,
    closeCode: 4400,
    title: 'The frame does not have the documented form',
    retryable: false,
  },
  unauthorized: { status: 401, closeCode: 4401, title: 'The token is missing or not valid here', retryable: false },
  forbidden: { status: 403, closeCode: 4403, title: 'This token may not do that', retryable: false },
  not_found: { status: 404, title: 'There is nothing at this path', retryable: false },
  session_not_found: {
    status: 404,
    closeCode: 4404,
    title: 'No session is open under this code or id',
    retryable: false,
  },
  receiver_not_found: { status: 404, title: 'The session has no receiver with this code', retryable: false },
  request_timeout: { status: 408, title: 'The request took too long to arrive', retryable: true },
  attach_timeout: { closeCode: 4408, title: 'No attach message came in time', retryable: true },
  code_in_use: { status: 409, title: 'This sender code is in use', retryable: false },
  receiver_code_in_use: { status: 409, title: 'This receiver code was used in this session already', retryable: false },
  session_full: { status: 409, title: 'The session takes no more receivers', retryable: false },
  decision_made: { status: 409, title: 'The decision about this receiver was made and stands', retryable: false },
  frame_refused: {
    status: 409,
    title: 'The frame is not the next one, or does not fit the window: attach again',
    retryable: true,
  },
  not_approved: { status: 409, title: 'The receiver is not approved: decide about it instead', retryable: false },
  session_gone: { status: 410, closeCode: 4410, title: 'The session has ended', retryable: false },
  receiver_gone: { status: 410, title: 'This receiver is not in the session any more', retryable: false },
  body_too_large: { status: 413, title: 'The request body is too large', retryable: false },
  frame_too_large: { closeCode: 1009, title: 'The frame is too large', retryable: false },
  unsupported_media_type: { status: 415, title: 'The request body must be application/json', retryable: false },
  rate_limited: { status: 429, title: 'Too many requests from this source', retryable: true },
  too_many_sessions: { status: 429, title: 'This client id has too many open sessions', retryable: true },
  headers_too_large: { status: 431, title: 'The request headers are too large', retryable: false },
  superseded: { closeCode: 4001, title: 'A newer socket took over this role', retryable: false },
  window_exceeded: { closeCode: 4002, title: 'More unacknowledged bytes than the granted window', retryable: false },
  internal: { status: 500, closeCode: 1011, title: 'The relay failed', retryable: true },
  at_capacity: { status: 503, title: 'The relay has no room at the moment', retryable: true },
  unavailable: {
    status: 503,
    closeCode: 1013,
    title: 'This relay node cannot do that at the moment',
    retryable: true,
  },
  going_away: { status: 503, closeCode: 1001, title: 'This relay node is going away', retryable: true },
} as const satisfies Record<string, ErrorSpec>

interface ErrorSpec {
  readonly status?: number
  readonly closeCode?: number
  readonly title: string
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

/** The error a WebSocket close code stands for, or undefined for a code that is not in the table. */
export function errorOfCloseCode(closeCode: number): CloseErrorCode | undefined {
  for (const [code, spec] of Object.entries(ERRORS)) {
    if ('closeCode' in spec && spec.closeCode === closeCode) return code as CloseErrorCode
  }
  return undefined
}

/** Whether text is a code of the table that can answer an HTTP request. */
export function isHttpErrorCode(text: string): text is HttpErrorCode {
  return Object.hasOwn(ERRORS, text) && 'status' in ERRORS[text as ErrorCode]
}

/** Whether a code of the table can close a WebSocket. */
export function isCloseErrorCode(code: ErrorCode): code is CloseErrorCode {
  return 'closeCode' in ERRORS[code]
}

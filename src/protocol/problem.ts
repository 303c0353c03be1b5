import { ERROR_TITLES } from './error-titles.ts'
import { ERRORS, type HttpErrorCode } from './errors.ts'
import type { Problem } from './responses.ts'

/** The body of an error answer (RFC 9457, application/problem+json). */
export function problemOf(code: HttpErrorCode, detail?: string): Problem {
  const { status, retryable } = ERRORS[code]
  const title = ERROR_TITLES[code]
  return { type: 'about:blank', title, status, code, retryable, ...(detail === undefined ? {} : { detail }) }
}

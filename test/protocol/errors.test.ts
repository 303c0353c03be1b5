import { describe, expect, test } from 'vitest'
import { ERROR_TITLES } from '../../src/protocol/error-titles.ts'
import {
  ABNORMAL_CLOSURE,
  ERRORS,
  type ErrorCode,
  errorOfCloseCode,
  isCloseErrorCode,
  isHttpErrorCode,
} from '../../src/protocol/errors.ts'

interface Row {
  readonly status?: number
  readonly closeCode?: number
  readonly retryable: boolean
}
const rows = Object.entries(ERRORS) as [ErrorCode, Row][]

describe('the error table', () => {
  test('has every code in snake case, with a title of one line', () => {
    expect(Object.keys(ERROR_TITLES)).toEqual(Object.keys(ERRORS))
    for (const [code, title] of Object.entries(ERROR_TITLES)) {
      expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/)
      expect(title).toMatch(/^[A-Z][^\n]{10,80}[^.\n]$/)
    }
  })

  test('can answer every code somewhere, over HTTP as a refusal, on a socket with a code of its own', () => {
    const codes = rows.flatMap(([, { closeCode }]) => closeCode ?? [])
    for (const [, { status, closeCode }] of rows) {
      expect(status ?? closeCode).toBeDefined()
      if (status !== undefined) expect(status >= 400 && status < 600).toBe(true)
      // A close code that says an HTTP status says the right one.
      if (status && closeCode && closeCode >= 4400) expect(closeCode).toBe(4000 + status)
    }
    expect(new Set(codes).size).toBe(codes.length)
  })

  test('has the documented close codes', () => {
    const closes = Object.fromEntries(rows.flatMap(([code, { closeCode }]) => (closeCode ? [[closeCode, code]] : [])))
    expect(closes).toEqual({
      1001: 'going_away',
      1009: 'frame_too_large',
      1011: 'internal',
      1013: 'unavailable',
      4001: 'superseded',
      4002: 'window_exceeded',
      4400: 'invalid_frame',
      4401: 'unauthorized',
      4403: 'forbidden',
      4404: 'session_not_found',
      4408: 'attach_timeout',
      4409: 'resume_required',
      4410: 'session_gone',
    })
  })

  test('is retryable for what passes by itself, and for nothing else', () => {
    const retryable = rows.flatMap(([code, row]) => (row.retryable ? [code] : []))
    expect(retryable.sort()).toEqual([
      'at_capacity',
      'attach_timeout',
      'frame_refused',
      'going_away',
      'internal',
      'rate_limited',
      'request_timeout',
      'resume_required',
      'too_many_sessions',
      'unavailable',
    ])
  })

  test('tells which codes HTTP can answer and which can close a socket, and believes no other text', () => {
    for (const [code, { status, closeCode }] of rows) {
      expect(isHttpErrorCode(code)).toBe(status !== undefined)
      expect(isCloseErrorCode(code)).toBe(closeCode !== undefined)
      if (closeCode) expect(errorOfCloseCode(closeCode)).toBe(code)
    }
    for (const other of [0, 1000, ABNORMAL_CLOSURE, 4000, 4999, Number.NaN])
      expect(errorOfCloseCode(other)).toBeUndefined()
    for (const attacker of ['toString', '__proto__', 'constructor', '', 'INTERNAL'])
      expect(isHttpErrorCode(attacker)).toBe(false)
  })
})

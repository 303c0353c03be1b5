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

  test('can answer every code somewhere', () => {
    for (const [, row] of rows) expect(row.status ?? row.closeCode).toBeDefined()
  })

  test('has HTTP statuses of refusals only', () => {
    for (const [, { status }] of rows) {
      if (status === undefined) continue
      expect(status).toBeGreaterThanOrEqual(400)
      expect(status).toBeLessThan(600)
    }
  })

  test('has close codes an application may send, each for one error', () => {
    const codes = rows.flatMap(([, { closeCode }]) => (closeCode === undefined ? [] : [closeCode]))
    for (const code of codes)
      expect([1001, 1009, 1011, 1013].includes(code) || (code >= 4000 && code < 5000)).toBe(true)
    expect(new Set(codes).size).toBe(codes.length)
    expect(codes).not.toContain(ABNORMAL_CLOSURE)
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

  test('has 44xx close codes that say the HTTP status, where the error has both', () => {
    for (const [, { status, closeCode }] of rows) {
      if (status && closeCode && closeCode >= 4400) expect(closeCode).toBe(4000 + status)
    }
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

  test('finds the error of a close code, and none for codes it does not have', () => {
    for (const [code, { closeCode }] of rows) if (closeCode) expect(errorOfCloseCode(closeCode)).toBe(code)
    for (const other of [0, 1000, ABNORMAL_CLOSURE, 4000, 4999, Number.NaN])
      expect(errorOfCloseCode(other)).toBeUndefined()
  })

  test('tells which codes HTTP can answer and which can close a socket, and believes no other text', () => {
    for (const [code, row] of rows) {
      expect(isHttpErrorCode(code)).toBe(row.status !== undefined)
      expect(isCloseErrorCode(code)).toBe(row.closeCode !== undefined)
    }
    for (const attacker of ['toString', '__proto__', 'constructor', '', 'INTERNAL'])
      expect(isHttpErrorCode(attacker)).toBe(false)
  })
})

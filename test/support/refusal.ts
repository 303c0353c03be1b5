import { expect } from 'vitest'
import type { ErrorCode } from '../../src/protocol/errors.ts'
import { RelayError } from '../../src/relay/errors.ts'

/** The code of the RelayError a call throws or rejects with; undefined when it does neither. Anything else it throws is thrown on. */
export async function refusalOf(call: () => unknown): Promise<ErrorCode | undefined> {
  try {
    await call()
    return undefined
  } catch (error) {
    return codeOf(error)
  }
}

/** As `refusalOf`, of a call that does not wait. */
export function refusalNow(call: () => unknown): ErrorCode | undefined {
  try {
    call()
    return undefined
  } catch (error) {
    return codeOf(error)
  }
}

function codeOf(error: unknown): ErrorCode {
  if (error instanceof RelayError) return error.code
  throw error
}

/** Asserts that a call is refused with a code of the error table. */
export async function expectRefusal(call: () => unknown, code: ErrorCode): Promise<void> {
  expect(await refusalOf(call)).toBe(code)
}

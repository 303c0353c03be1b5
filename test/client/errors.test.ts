import { expect, test } from 'vitest'
import { PAIRING_ERRORS } from '../../src/client/error-messages.ts'
import { errorOfCloseReason, PairingError } from '../../src/client/errors.ts'
import { CLOSE_REASONS } from '../../src/protocol/view.ts'

test('every text is a sentence or two for a person', () => {
  for (const text of Object.values(PAIRING_ERRORS)) {
    expect(text).toMatch(/^[A-Z].*\.$/)
    expect(text.length).toBeLessThan(130)
  }
})

test('an error carries its code, its text, a detail after it and its cause', () => {
  const cause = new Error('below')
  const error = new PairingError('relay_refused', { detail: 'It said forbidden.', cause })
  expect(error).toBeInstanceOf(Error)
  expect(error.name).toBe('PairingError')
  expect(error.code).toBe('relay_refused')
  expect(error.message).toBe('The relay refused. It said forbidden.')
  expect(error.cause).toBe(cause)
})

test('every reason a session can end for has a meaning of its own kind', () => {
  const meanings = CLOSE_REASONS.map((reason) => [reason, errorOfCloseReason(reason).code])
  expect(Object.fromEntries(meanings)).toEqual({
    completed: 'closed_by_sender',
    closed_by_sender: 'closed_by_sender',
    expired: 'expired',
    shutting_down: 'shutting_down',
  })
  expect(errorOfCloseReason(undefined).code).toBe('session_lost')
})

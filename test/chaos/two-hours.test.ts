import { test } from 'vitest'
import { nothingLost, TIMEOUT_MS } from './short-form.ts'
import { twoHours } from './two-hours.ts'

test('after two hours of simulated clock nothing is left of any session', { timeout: TIMEOUT_MS }, async () => {
  await nothingLost(twoHours)
})

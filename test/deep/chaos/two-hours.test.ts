import { test } from 'vitest'
import { describeRedis } from '../../support/redis-server.ts'
import { nothingLost, TIMEOUT_MS } from './short-form.ts'
import { twoHours, twoHoursInRedis } from './two-hours.ts'

test('after two hours of simulated clock nothing is left of any session', { timeout: TIMEOUT_MS }, async () => {
  await nothingLost(twoHours)
})

describeRedis('with two nodes and Redis', () => {
  test('after two hours of simulated clock nothing is left of any session, in no node and in no key', {
    timeout: TIMEOUT_MS,
  }, async () => {
    await nothingLost(twoHoursInRedis)
  })
})

import { test } from 'vitest'
import { describeRedis } from '../support/redis-server.ts'
import { SHORT } from './plan.ts'
import { rolling } from './rolling.ts'
import { nothingLost, TIMEOUT_MS } from './short-form.ts'
import { storm } from './storm.ts'

describeRedis('two nodes and Redis', () => {
  test('restarted one after the other during ten transfers lose none', { timeout: TIMEOUT_MS }, async () => {
    await nothingLost(rolling)
  })

  test(`of which one is killed take its ${SHORT.stormSockets} sockets back, and no session is lost`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    await nothingLost(storm)
  })
})

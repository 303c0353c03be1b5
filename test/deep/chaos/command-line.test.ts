import { describe, expect, test } from 'vitest'
import { describeRedis } from '../../support/redis-server.ts'
import { lastWords } from './last-words.ts'
import { SHORT } from './plan.ts'
import { resends } from './resends.ts'
import { nothingLost } from './short-form.ts'

describe('the command line', () => {
  test('that loses its session for good at any message reports what the table of PROTOCOL.md has, on both sides', async () => {
    await nothingLost(lastWords)
  })
})

describeRedis('the command line in each setting', () => {
  test(`that is killed ${SHORT.resends.kills} times on either side goes on when it is sent again, and ends with the same bytes`, async () => {
    const rows = await nothingLost(resends)
    for (const { notes } of rows) expect(Number.parseInt(notes[0], 10)).toBeGreaterThanOrEqual(SHORT.resends.kills)
  })
})

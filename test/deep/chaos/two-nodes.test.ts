import { expect, test } from 'vitest'
import { describeRedis } from '../../support/redis-server.ts'
import { kills } from './kills.ts'
import { PHASES } from './phases.ts'
import { SHORT } from './plan.ts'
import { rolling } from './rolling.ts'
import { nothingLost, TIMEOUT_MS } from './short-form.ts'
import { storm } from './storm.ts'

describeRedis('with two nodes and Redis', () => {
  test(`a node killed at each of ${PHASES.length} phases of a pairing leaves the whole file, or typed errors; mid-data always the file`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    const rows = await nothingLost(kills)
    expect(rows.map(({ runs }) => runs)).toEqual([
      ...PHASES.map(() => SHORT.killsPerPhase),
      PHASES.length * SHORT.killsPerPhase,
    ])
  })

  test('both nodes restarted, one after the other, during ten transfers lose none', {
    timeout: TIMEOUT_MS,
  }, async () => {
    await nothingLost(rolling)
  })

  test(`a node that is killed with ${SHORT.stormSockets} sockets takes them back, spread over time, and no session is lost`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    await nothingLost(storm)
  })
})

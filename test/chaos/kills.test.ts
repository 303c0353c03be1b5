import { expect, test } from 'vitest'
import { describeRedis } from '../support/redis-server.ts'
import { kills } from './kills.ts'
import { PHASES } from './phases.ts'
import { SHORT } from './plan.ts'
import { nothingLost, TIMEOUT_MS } from './short-form.ts'

describeRedis('two nodes and Redis, one node killed', () => {
  test(`at each of ${PHASES.length} phases of a pairing: the file is whole, or both sides say why not; mid-data it is whole`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    const rows = await nothingLost(kills)
    expect(rows.map(({ runs }) => runs)).toEqual([
      ...PHASES.map(() => SHORT.killsPerPhase),
      PHASES.length * SHORT.killsPerPhase,
    ])
  })
})

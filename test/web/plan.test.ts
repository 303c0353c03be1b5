import { expect, test } from 'vitest'
import { type Capabilities, type Plan, plan } from '../../src/web/flow/plan.ts'

const MB = 1_000_000
const GB = 1_000 * MB

const NOTHING: Capabilities = { picks: false, room: undefined }
const PICKS: Capabilities = { picks: true, room: undefined }
const ROOM: Capabilities = { picks: false, room: 10 * GB }
const BOTH: Capabilities = { picks: true, room: 10 * GB }

const TABLE: readonly [total: number | undefined, items: number, can: Capabilities, is: Plan['is']][] = [
  [0, 1, BOTH, 'memory'],
  [64 * MB, 1, BOTH, 'memory'],
  [64 * MB, 500, NOTHING, 'memory'],
  [64 * MB + 1, 1, BOTH, 'keep'],
  [64 * MB + 1, 1, ROOM, 'keep'],
  [64 * MB + 1, 30, BOTH, 'keep'],
  [5 * GB, 1, BOTH, 'keep'],
  [64 * MB + 1, 1, PICKS, 'pick'],
  [100 * GB, 1, PICKS, 'pick'],
  [11 * GB, 1, BOTH, 'pick'],
  // The margin for what a file system needs beside the bytes.
  [9.9 * GB, 1, BOTH, 'pick'],
  [9.9 * GB, 1, ROOM, 'none'],
  [64 * MB + 1, 2, PICKS, 'memory'],
  [256 * MB, 1, NOTHING, 'memory'],
  [256 * MB, 2, { picks: true, room: 100 * MB }, 'memory'],
  [256 * MB + 1, 1, NOTHING, 'none'],
  [256 * MB + 1, 2, PICKS, 'none'],
  [undefined, 1, BOTH, 'pick'],
  [undefined, 1, PICKS, 'pick'],
  [undefined, 1, ROOM, 'keep'],
  [undefined, 1, { picks: false, room: 200 * MB }, 'memory'],
  [undefined, 1, NOTHING, 'memory'],
]

test.each(TABLE)('%s bytes in %s files, with %j: %s', (total, items, can, is) => {
  expect(plan(total, items, can).is).toBe(is)
})

test('the most that would be taken is told where nothing takes it', () => {
  expect(plan(300 * MB, 1, NOTHING)).toEqual({ is: 'none', max: 256 * MB })
  expect(plan(20 * GB, 2, BOTH)).toEqual({ is: 'none', max: Math.floor((10 * GB) / 1.02) })
  expect(plan(300 * MB, 2, { picks: false, room: 10 * MB })).toEqual({ is: 'none', max: 256 * MB })
})

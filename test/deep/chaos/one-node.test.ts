import { describe, expect, test } from 'vitest'
import { cuts } from './cuts.ts'
import { killsAlone } from './kills.ts'
import { SHORT } from './plan.ts'
import { nothingLost, TIMEOUT_MS } from './short-form.ts'
import { sleepers } from './sleepers.ts'
import { slowNetwork } from './slow-network.ts'

// Side by side, each with relays of its own: most of the time is spent waiting.
describe.concurrent('with one node', { timeout: TIMEOUT_MS }, () => {
  test(`a network that is cut ${SHORT.cuts} times, at random bytes, loses nothing`, async () => {
    const [{ notes }] = await nothingLost(cuts)
    expect(Number.parseInt(notes[0], 10)).toBeGreaterThanOrEqual(SHORT.cuts)
  })

  test('200 ms, 5 % loss and 1 Mbit/s, as a proxy plays them, lose nothing', async () => {
    await nothingLost(slowNetwork)
  })

  test('a device whose process is stopped for a moment, sixty seconds or more on the relay’s clock, misses nothing', async () => {
    await nothingLost(sleepers)
  })

  test('a relay alone in memory that is killed at any phase of a pairing leaves a typed error on both sides', async () => {
    await nothingLost(killsAlone)
  })
})

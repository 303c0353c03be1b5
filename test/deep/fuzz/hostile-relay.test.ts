import { expect, test } from 'vitest'
import { FACTOR, Random, SEED } from '../../support/random.ts'
import { inMemory } from '../adversary/worlds.ts'
import { suffer, type Tally, type Victim, type Way } from './hostile-relay.ts'
import { FRAME_CLASSES, HTTP_CLASSES, JSON_CLASSES } from './hostile-values.ts'

/** Whatever a relay says, valid JSON or not: nothing but a PairingError comes of it. */

const INPUTS = 10_000 * FACTOR
/** Pairings side by side. They share a relay and its time. */
const AT_ONCE = 50
const STEP_MS = 5_000
const STEPS_MAX = 40
/** How many inputs are left as they are before the first that is not, at most: about as many as there are. */
const INPUTS_MAX = { WebSocket: 14, HTTP: 30 }
const ALONE_MAX = 3

const loose: unknown[] = []
const take = (error: unknown) => void loose.push(error)

test(`${INPUTS} changed views, answers and frames end in a PairingError or in nothing (seed ${SEED})`, async () => {
  process.on('unhandledRejection', take)
  process.on('uncaughtException', take)
  const tally: Tally = new Map()
  const faults: string[] = []
  const total = () => [...tally.values()].reduce((sum, count) => sum + count, 0)
  const world = await inMemory({ maxSessionsPerClient: 1_000_000, maxSessions: 1_000_000 })
  for (let made = 0; total() < INPUTS; ) {
    let left = AT_ONCE
    for (let i = 0; i < AT_ONCE; i++) {
      const random = new Random('hostile', ++made)
      const way = random.pick<Way>(['WebSocket', 'HTTP'])
      const victim = random.pick<Victim>(['sender', 'receiver'])
      const company = random.chance(0.8) ? 'alone' : 'both'
      const from = random.below(company === 'alone' ? ALONE_MAX : INPUTS_MAX[way])
      const address = `10.0.${made >> 8}.${made & 255}`
      void suffer(world, { victim, company, way, address, from, random, tally }).then((found) => {
        left--
        faults.push(...found)
      })
    }
    for (let passed = 0; left > 0 && passed < STEPS_MAX; passed++) await world.pass(STEP_MS)
    if (left > 0) faults.push(`${left} of the first ${made} pairings have not ended`)
  }
  await world.end()
  process.off('unhandledRejection', take)
  process.off('uncaughtException', take)
  process.stdout.write(
    `${[...tally]
      .map(([name, count]) => `${String(count).padStart(6)} ${name}`)
      .sort()
      .join('\n')}\n`,
  )
  expect([...faults, ...loose.map((error) => (error instanceof Error ? error.stack : error))]).toEqual([])
  for (const name of [JSON_CLASSES, FRAME_CLASSES, HTTP_CLASSES].flatMap((each) => Object.keys(each)))
    expect(tally.get(name), name).toBeGreaterThan(20)
})

import { describe, expect, test } from 'vitest'
import { SETTINGS } from '../../relay/model/run.ts'
import { memoryTarget, type Target, wireTarget } from '../../relay/model/targets.ts'
import { FACTOR, Random, SEED } from '../../support/random.ts'
import { NOTHING_LEFT, settled } from '../../support/relay.ts'
import { RACES, type Race } from './races.ts'
import { choosers, permutations, Turns } from './schedules.ts'

/** Schedules of each race, depth first, and then as many random ones where that was not all. */
const SCHEDULES = 150 * FACTOR
const ON_SOCKETS = 4 * FACTOR

/** Outcomes of a race when one operation follows the other. No schedule may give another. */
async function serialOutcomes(race: Race): Promise<unknown[]> {
  const outcomes: unknown[] = []
  const { operations } = await race.prepare(memoryTarget(SETTINGS))
  for (const order of permutations([...operations.keys()])) {
    const target = memoryTarget(SETTINGS)
    const { operations, look } = await race.prepare(target)
    const answers: unknown[] = []
    for (const index of order) {
      answers[index] = await operations[index]()
      await settled()
    }
    outcomes.push({ answers, seen: await look() })
  }
  return outcomes
}

async function expectNothingLeft(target: Target): Promise<void> {
  for (let round = 0; round < 2; round++) await target.pass(3_700_000)
  await target.settle(0)
  expect(target.counters()).toMatchObject(NOTHING_LEFT)
  expect(target.failures).toEqual([])
}

describe.each(RACES)('$what', (race) => {
  test(`comes out as in one order or the other, for ${SCHEDULES} schedules and more (seed ${SEED})`, async () => {
    const allowed = await serialOutcomes(race)
    const play = async (attacker: (waiting: number) => number) => {
      const turns = new Turns()
      const target = memoryTarget(SETTINGS, turns.stores)
      const { operations, look } = await race.prepare(target)
      const answers = await turns.run(operations, attacker)
      expect(allowed).toContainEqual({ answers, seen: await look() })
      await expectNothingLeft(target)
    }
    let schedules = 0
    for (const attacker of choosers(SCHEDULES)) {
      await play(attacker)
      schedules++
    }
    const random = new Random(race.what)
    for (; schedules >= SCHEDULES && schedules < 2 * SCHEDULES; schedules++) {
      await play((waiting) => random.below(waiting))
    }
    expect(schedules).toBeGreaterThan(1)
  })

  test(`comes out likewise for ${ON_SOCKETS} runs on real sockets`, async () => {
    const allowed = await serialOutcomes(race)
    for (let times = 0; times < ON_SOCKETS; times++) {
      const target = await wireTarget(SETTINGS)
      try {
        const { operations, look } = await race.prepare(target)
        const attacker = times % 2 === 0 ? operations : [...operations].reverse()
        const answers = await Promise.all(attacker.map((operation) => operation()))
        if (times % 2 === 1) answers.reverse()
        expect(allowed).toContainEqual({ answers, seen: await look() })
        await expectNothingLeft(target)
      } finally {
        await target.stop()
      }
    }
  })
})

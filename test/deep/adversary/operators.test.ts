import { describe, expect, test } from 'vitest'
import { type Case, COLUMNS, judge, OPERATOR_MAX } from './cases.ts'
import { GROUPS } from './groups.ts'
import { crossings } from './parts.ts'
import { SEED } from './seed.ts'

/** Runs each operator and expects the outcome beside it; `npm run adversary` prints the table. */
for (const { does, cases, budgets } of Object.values(GROUPS)) {
  const facts = cases.map((each): [string, Case] => {
    const [sender, receiver] = [each.sender[0], each.receiver[0]]
    return [`${each.operator}, against the ${each.against}: sender ${sender}, receiver ${receiver}`, each]
  })
  describe(`a relay that ${does} (seed ${SEED})`, () => {
    test.each(facts)('%s', async (_, attacker) => {
      expect((await judge(attacker, budgets)).faults).toEqual([])
    })
  })
}

test('two receivers cannot be given what was meant for the other', async () => {
  for await (const { text, faults } of crossings()) expect(faults, text).toEqual([])
})

test('no operator is written down twice, and each fits into its line', () => {
  const cases = Object.values(GROUPS).flatMap((group) => group.cases)
  const names = cases.map((each) => `${each.operator} ${each.against}`)
  expect(names.length).toBeGreaterThan(250)
  expect(new Set(names).size).toBe(names.length)
  expect(cases.filter(({ operator }) => operator.length > OPERATOR_MAX)).toEqual([])
  expect(COLUMNS.length).toBeLessThanOrEqual(115)
})

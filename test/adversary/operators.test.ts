import { describe, expect, test } from 'vitest'
import { type Case, judge } from './cases.ts'
import { crossings, GROUPS } from './parts.ts'
import { SEED } from './seed.ts'

/** What each operator leads to is written beside it; `npm run adversary` prints it as a table. */
for (const [name, { cases, budgets }] of Object.entries(GROUPS)) {
  const facts = cases.map((each): [string, Case] => {
    const [sender, receiver] = [each.sender[0], each.receiver[0]]
    return [`${each.operator}, against the ${each.against}: sender ${sender}, receiver ${receiver}`, each]
  })
  describe(`a relay that ${name} (seed ${SEED})`, () => {
    test.each(facts)('%s', async (_, attacker) => {
      expect((await judge(attacker, budgets)).faults).toEqual([])
    })
  })
}

test('two receivers cannot be given what was meant for the other', async () => {
  for await (const { text, faults } of crossings()) expect(faults, text).toEqual([])
})

test('no operator is written down twice', () => {
  const names = Object.values(GROUPS).flatMap(({ cases }) => cases.map((each) => `${each.operator} ${each.against}`))
  expect(names.length).toBeGreaterThan(190)
  expect(new Set(names).size).toBe(names.length)
})

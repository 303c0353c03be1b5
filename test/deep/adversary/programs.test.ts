import { expect, test } from 'vitest'
import { programs, SHORT } from './parts.ts'
import { SEED } from './seed.ts'

test(`${SHORT.programs} random programs of operators deliver nothing false, leave nothing and tell nothing (seed ${SEED})`, async () => {
  for await (const { text, faults } of programs(SHORT)) expect(faults, text).toEqual([])
})

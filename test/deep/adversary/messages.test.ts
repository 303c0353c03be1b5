import { describe, expect, test } from 'vitest'
import { bits, disconnects, floods, type Part, rearrangements, SHORT } from './parts.ts'
import { SEED } from './seed.ts'

async function holds(part: Part): Promise<void> {
  for await (const { text, faults } of part(SHORT)) expect(faults, text).toEqual([])
}

describe(`a malicious relay (seed ${SEED})`, () => {
  test('can flip no bit of m1 to m4: every field sampled, and each ends as the budgets say', () => holds(bits))

  test('can drop, repeat, cut or swap no chunk of a transfer of one to five', () => holds(rearrangements), 120_000)

  test(`gets at most three tags of one code, however it cuts and asks again (${SHORT.disconnects} codes)`, () =>
    holds(disconnects))

  test('gets 8 handshakes at once, none of which keeps its place, and no guess after the fifth, not even in the same turn', () =>
    holds(floods))
})

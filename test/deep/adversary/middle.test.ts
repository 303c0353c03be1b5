import { describe, expect, test } from 'vitest'
import * as run from '../../crypto/runs.ts'
import { fromHex, handshakeVectors, scriptedRandom } from '../../crypto/support.ts'
import { BrokenReceiver, BrokenSender, Refused } from './broken.ts'
import { withinChance } from './middle.ts'
import { brokenBuilds, middle, SHORT } from './parts.ts'
import { SEED } from './seed.ts'

describe(`a man in the middle who knows the code (seed ${SEED})`, () => {
  test('has two equal numbers by chance alone, and a visible row for each try', async () => {
    for await (const { text, faults } of middle(SHORT)) expect(faults, text).toEqual([])
  })

  test('wins every time against a build without a commitment or with a second m2, and unseen with an open n_S', async () => {
    for await (const { text, faults } of brokenBuilds(SHORT)) expect(faults, text).toEqual([])
  })
})

describe('the broken builds', () => {
  const [{ inputs, derived }] = handshakeVectors
  const { locator, secret, receiverCode, sessionId } = inputs
  const known = { locator, secret, receiverCode, sessionId: fromHex(sessionId) }
  const { receiver: r, sender: s } = inputs
  const receiver = () =>
    new BrokenReceiver('none', known, scriptedRandom(r.secretKey, r.nonce, r.scalarBytes, r.mlKemSeed))
  const sender = () =>
    new BrokenSender('none', known, scriptedRandom(s.secretKey, s.nonce, s.scalarBytes, s.mlKemRandomness))

  test('say byte for byte what the known answer says, as long as nothing is broken', () => {
    const [a, b] = [sender(), receiver()]
    const bytes = (array: Uint8Array) => [...array]
    expect(bytes(b.publicKey)).toEqual(bytes(run.publicKey))
    expect(bytes(b.m1)).toEqual(bytes(run.m1))
    expect(bytes(a.answerM1(b.m1, b.publicKey))).toEqual(bytes(run.m2))
    expect(bytes(b.answerM2(run.m2))).toEqual(bytes(run.m3))
    const { m4, number } = a.answerM3(run.m3)
    expect(bytes(m4)).toEqual(bytes(run.m4))
    expect([number, b.finish(m4)]).toEqual([derived.matchNumber, derived.matchNumber])
  })

  test('check what the real ones check, as long as nothing is broken', () => {
    const attacker = new Uint8Array(64)
    const [a, b] = [sender(), receiver()]
    a.answerM1(b.m1, b.publicKey)
    expect(() => a.answerM3(attacker)).toThrow(Refused)
    b.answerM2(run.m2)
    expect(() => b.finish(attacker)).toThrow(Refused)
    expect(() => b.answerM2(run.m2)).toThrow(Refused)
  })
})

describe('chance', () => {
  test.each([
    [50, 5_000, true],
    [20, 5_000, false],
    [80, 5_000, false],
    [0, 120, true],
    [12, 120, false],
    [120, 120, false],
  ])('gives %i of %i at one in a hundred: %s', (hits, tries, expected) => {
    expect(withinChance(hits, tries, 0.01)).toBe(expected)
  })
})

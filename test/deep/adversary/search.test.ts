import { describe, expect, test } from 'vitest'
import { type Outcome, play } from './scenario.ts'
import { find, leaks, needlesOf } from './search.ts'
import { Seed } from './seed.ts'
import { peers, secrets } from './watch.ts'

/** Every scenario of this folder ends with this search. Here it is shown to find what is there. */
describe('the search through what a relay heard', async () => {
  const outcome: Outcome = await play({ seed: new Seed('searched') })
  const { relay, code } = outcome
  const needles = needlesOf(outcome)

  test('finds nothing that follows from the secret half after an honest pairing', () => {
    expect(outcome.sender.names).toBe('delivered')
    expect(leaks(outcome)).toEqual([])
  })

  test('looks for all of it: the halves, hashes, generator, K, ISK, PRK, traffic and message keys, numbers', () => {
    const kinds = new Set(needles.map(({ what }) => what))
    for (const what of [
      'the secret half',
      'the code',
      'locator and check symbol',
      'sha512 of a secret part',
      'the generator',
      'a secret of a run',
      'sender: traffic secret',
      'receiver: traffic secret',
      'message key',
      'a match number',
      'a fingerprint',
      'plaintext',
    ]) {
      expect(kinds, what).toContain(what)
    }
    expect(peers.length).toBe(2)
    // On each side: 4 drawn, generator, kem, K, isk, dh, ikm, prk and 2 tags' keys at least.
    expect(secrets().filter(({ what }) => what === 'a secret of a run').length).toBeGreaterThanOrEqual(18)
  })

  test('finds what the relay may know, in whatever way it was sent', () => {
    const locator = { what: 'locator', bytes: Buffer.from(code.slice(0, 5)) }
    const key = { what: 'X_R', bytes: Buffer.from(relay.meeting.guests[0].publicKey, 'base64url') }
    const point = { what: 'Yb', bytes: relay.frames[2].ciphertext.subarray(0, 32) }
    expect(find(relay.heard, [locator, key, point])).toEqual(['locator', 'X_R', 'Yb'])
  })

  test.each(needlesOf(outcome).map((needle, i) => [`${i}: ${needle.what}`, needle] as const))(
    'finds %s, planted',
    (_, { what, bytes }) => {
      const attackers = [
        Buffer.concat([Buffer.alloc(3), bytes, Buffer.alloc(2)]),
        Buffer.from(`{"name":"${Buffer.from(bytes).toString('base64url')}"}`),
        Buffer.from(bytes).reverse(),
      ]
      for (const attacker of attackers) expect(find([attacker], [{ what, bytes }])).toEqual([what])
    },
  )
})

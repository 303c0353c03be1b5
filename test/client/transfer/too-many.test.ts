import { expect, test } from 'vitest'
import { nextOffer, rawPair } from './pair.ts'

test('an offer of 1,000,000 entries is answered from their number, and none of its lines is read', async () => {
  const { device, attacker, heard, until } = rawPair()
  const offered = nextOffer(device)
  const token = Buffer.alloc(16).toString('base64url')
  await attacker([{ kind: 'hello', offers: true, posts: 0, features: [] }])
  // Read as lines, this would end the channel as corrupt.
  const lines = Buffer.alloc(8 * 1024 * 1024, 'x')
  await until(attacker([{ kind: 'offer', offer: 1, count: 1_000_000, bytes: 0, token }, lines]))
  await attacker([{ kind: 'offer', offer: 2, count: 1, bytes: 1, token }, [{ path: 'file', size: 1 }]])
  const { offer, entries } = await until(offered)
  expect(heard).toContainEqual({ kind: 'answer', offer: 1, accepted: false, reason: 'too_many' })
  expect([offer, [...entries]]).toEqual([2, [{ path: 'file', size: 1 }]])
  expect(device.isOver).toBe(false)
})

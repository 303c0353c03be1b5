import fc from 'fast-check'
import { expect } from 'vitest'
import { pairWithItself } from '../../src/crypto/warm-up.ts'
import { holds } from '../support/property.ts'

holds(
  'a device that warms up pairs with itself in six steps, whatever is drawn, and keeps no secret of it',
  20,
  fc.infiniteStream(fc.integer({ min: 1, max: 255 })),
  async (stream) => {
    const drawn: Uint8Array[] = []
    let pauses = 0
    const random = (length: number) => {
      const bytes = new Uint8Array(length).map(() => stream.next().value ?? 1)
      drawn.push(bytes)
      return bytes
    }
    await pairWithItself(random, async () => void pauses++)
    expect(pauses).toBe(5)
    // A secret key, a nonce, a scalar and a seed on each side, besides two codes.
    const secrets = drawn.filter(({ length }) => length >= 32)
    expect(secrets.length).toBe(8)
    expect(secrets.every((bytes) => bytes.every((byte) => byte === 0))).toBe(true)
  },
)

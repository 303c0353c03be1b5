import { describe, expect, test } from 'vitest'
import { digestAddress } from '../../src/store/address-digest.ts'

describe('the digest of a client address', () => {
  test('is the same for one address under one key, and another under another', () => {
    expect(digestAddress('key', '192.0.2.1')).toBe(digestAddress('key', '192.0.2.1'))
    expect(digestAddress('key', '192.0.2.2')).not.toBe(digestAddress('key', '192.0.2.1'))
    expect(digestAddress('another key', '192.0.2.1')).not.toBe(digestAddress('key', '192.0.2.1'))
  })

  test('is six characters, and empty for nobody', () => {
    expect(digestAddress('key', '2001:db8::')).toMatch(/^[\w-]{6}$/)
    expect(digestAddress('key', '')).toBe('')
  })

  test('is not found by an attacker who tries addresses without the key', () => {
    const kept = digestAddress('a key that is not kept beside it', '192.0.2.1')
    const attacker = ['', 'key', 'pairlay'].flatMap((key) =>
      Array.from({ length: 256 }, (_, i) => digestAddress(key, `192.0.2.${i}`)),
    )
    expect(attacker).not.toContain(kept)
  })
})

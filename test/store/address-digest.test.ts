import { describe, expect, test } from 'vitest'
import { RelayError } from '../../src/relay/errors.ts'
import { addressDigests } from '../../src/store/address-digest.ts'
import { SharedKey } from '../../src/store/redis/shared-key.ts'

describe('the digest of a client address', () => {
  const digestOf = (key: string, address: string) => addressDigests(key)(address)

  test('is the same for one address under one key, and another under another', () => {
    expect(digestOf('key', '192.0.2.1')).toBe(digestOf('key', '192.0.2.1'))
    expect(digestOf('key', '192.0.2.2')).not.toBe(digestOf('key', '192.0.2.1'))
    expect(digestOf('another key', '192.0.2.1')).not.toBe(digestOf('key', '192.0.2.1'))
  })

  test('is six characters, and empty for nobody', () => {
    expect(digestOf('key', '2001:db8::')).toMatch(/^[\w-]{6}$/)
    expect(digestOf('key', '')).toBe('')
  })

  test('is not found by an attacker who tries addresses without the key', () => {
    const kept = digestOf('a key that is not kept beside it', '192.0.2.1')
    const attacker = ['', 'key', 'pairlay'].flatMap((key) =>
      Array.from({ length: 256 }, (_, i) => digestOf(key, `192.0.2.${i}`)),
    )
    expect(attacker).not.toContain(kept)
  })

  test('is made with the shared key as it is now, also of an address that was digested before', async () => {
    let key = 'first'
    const shared = new SharedKey({ command: async () => key } as never)
    expect(() => shared.digest('192.0.2.1')).toThrow(RelayError)
    await shared.load()
    expect(shared.digest('192.0.2.1')).toBe(digestOf('first', '192.0.2.1'))
    key = 'second'
    await shared.load()
    expect(shared.digest('192.0.2.1')).toBe(digestOf('second', '192.0.2.1'))
  })
})

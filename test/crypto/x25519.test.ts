import { equalBytes } from '@noble/ciphers/utils.js'
import { scalarMult, scalarMultBase } from '@stablelib/x25519'
import nacl from 'tweetnacl'
import { expect, test } from 'vitest'

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))
const random = (length: number) => crypto.getRandomValues(new Uint8Array(length))

test('X25519 has the known answers of RFC 7748, section 5.2', () => {
  const scalar = bytes('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4')
  const point = bytes('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c')
  const expected = 'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552'
  expect(Buffer.from(scalarMult(scalar, point)).toString('hex')).toBe(expected)
})

test("X25519 agrees with tweetnacl's, on any key and any point", () => {
  for (let i = 0; i < 20; i++) {
    const [scalar, point] = [random(32), random(32)]
    expect(scalarMultBase(scalar)).toEqual(nacl.scalarMult.base(scalar))
    expect(scalarMult(scalar, point)).toEqual(nacl.scalarMult(scalar, point))
  }
})

test('bytes are compared to the last bit, and to their length', () => {
  const one = random(32)
  const other = one.slice()
  other[31] ^= 1
  expect(equalBytes(one, one.slice())).toBe(true)
  expect(equalBytes(one, other)).toBe(false)
  expect(equalBytes(one, one.subarray(1))).toBe(false)
})

import { readFileSync } from 'node:fs'
import fast from 'tweetnacl'
import small from 'tweetnacl/nacl.js'
import { describe, expect, test } from 'vitest'

/** Node has the fast build of tweetnacl, browsers the small one. What is tested here with the one has to be true of the other. */

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))
const random = (length: number) => crypto.getRandomValues(new Uint8Array(length))

describe.each([
  ['fast', fast],
  ['small', small],
])('the %s build', (_, nacl) => {
  test('has the known answers of RFC 7748, section 5.2', () => {
    const scalar = bytes('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4')
    const point = bytes('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c')
    const expected = 'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552'
    expect(Buffer.from(nacl.scalarMult(scalar, point)).toString('hex')).toBe(expected)
  })

  test('compares', () => {
    const one = random(32)
    const other = one.slice()
    other[31] ^= 1
    expect(nacl.verify(one, one.slice())).toBe(true)
    expect(nacl.verify(one, other)).toBe(false)
  })
})

test('both builds agree, on any key and any point', () => {
  for (let i = 0; i < 20; i++) {
    const [scalar, point] = [random(32), random(32)]
    expect(small.scalarMult.base(scalar)).toEqual(fast.scalarMult.base(scalar))
    expect(small.scalarMult(scalar, point)).toEqual(fast.scalarMult(scalar, point))
  }
})

test('bundlers for browsers are told to take the small one', () => {
  const { browser } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  expect(browser).toMatchObject({ tweetnacl: 'tweetnacl/nacl.js' })
})

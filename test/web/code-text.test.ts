import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { generatePairingCode } from '../../src/crypto/pairing-code.ts'
import { decodedHash, faultOf, linkIn, scanned, tidy } from '../../src/web/code-text.ts'
import { WORDS } from '../../src/web/words.ts'

const CODE = generatePairingCode((bytes) => new Uint8Array(bytes).fill(7)).text
const RELAY = 'https://relay.example/pairlay'

describe('the code field', () => {
  test.each([
    ['k7qm', 'K7QM'],
    ['k7qm3', 'K7QM3'],
    ['k7qm3-', 'K7QM3-'],
    ['k7qm3x', 'K7QM3-X'],
    ['k7qm3 xpdt28', 'K7QM3-XPDT28'],
    ['K7QM3-XPDT28', 'K7QM3-XPDT28'],
    ['', ''],
    ['hello, world', 'HELLO, WORLD'],
  ])('makes %j to %j', (typed, shown) => {
    expect(tidy(typed)).toBe(shown)
  })

  test('takes the code out of a link that is pasted', () => {
    expect(tidy(` ${RELAY}/#${CODE}\n`)).toBe(CODE)
  })

  test('gives each of the three reasons', () => {
    const swapped = CODE.slice(0, -1) + (CODE.endsWith('7') ? '8' : '7')
    expect(faultOf(CODE)).toBeUndefined()
    expect(faultOf(swapped)).toBe(WORDS.codeWrong)
    expect(faultOf(CODE.slice(0, -1))).toBe(WORDS.codeLength)
    expect(faultOf(`U${CODE.slice(1)}`)).toBe(WORDS.codeLetters)
  })

  test('survives anything that is typed, and does not change what it has made', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(tidy(tidy(text))).toBe(tidy(text))
        expect(() => [faultOf(text), linkIn(text), scanned(text, RELAY), decodedHash(text)]).not.toThrow()
      }),
    )
  })
})

describe('a QR code', () => {
  test.each([
    [CODE, { is: 'code', code: CODE }],
    [`${RELAY}/#${CODE}`, { is: 'code', code: CODE }],
    [`https://other.example/#${CODE}`, { is: 'elsewhere', place: 'https://other.example' }],
    [`${RELAY}/#not-a-code`, { is: 'nothing' }],
    ['https://example.org/', { is: 'nothing' }],
    [`javascript:alert(1)#${CODE}`, { is: 'nothing' }],
    ['WIFI:S:home;T:WPA;P:secret;;', { is: 'nothing' }],
  ])('%j is %j', (text, what) => {
    expect(scanned(text, RELAY)).toEqual(what)
  })
})

test('a fragment that is no text is nothing', () => {
  expect(decodedHash('#%E0%A4%A')).toBe('')
  expect(decodedHash(`#${CODE}`)).toBe(CODE)
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeCrockford } from '../../src/crypto/encoding.ts'
import {
  checkSymbol,
  generatePairingCode,
  PairingCodeError,
  parsePairingCode,
  randomReceiverCode,
} from '../../src/crypto/pairing-code.ts'
import { seededRandom, thrownBy } from './support.ts'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const random = seededRandom(20_260)
const sample = Array.from({ length: 20 }, () => generatePairingCode(random))

function reasonOf(input: string): string {
  const error = thrownBy(() => parsePairingCode(input))
  if (error instanceof PairingCodeError) return error.reason
  return error === undefined ? 'none' : String(error)
}

describe('the check symbol', () => {
  it.each([
    ['K7QM3XPDT2', '8'],
    ['ZZZZZZ9Z9Z', 'W'],
    ['0A1B2C3D4E', '3'],
    ['J9W4TQ0RXV', 'G'],
  ])('of %s is %s', (symbols, check) => {
    expect(checkSymbol(symbols)).toBe(check)
  })

  it('catches every single substitution at every position', () => {
    const undetected: string[] = []
    for (const code of sample) {
      const symbols = code.text.replace('-', '')
      for (let i = 0; i < symbols.length; i++) {
        for (const other of ALPHABET) {
          const attacker = symbols.slice(0, i) + other + symbols.slice(i + 1)
          if (attacker !== symbols && reasonOf(attacker) !== 'check') undetected.push(attacker)
        }
      }
    }
    expect(undetected).toEqual([])
  })

  it('catches every swap of two symbols, neighbours or not', () => {
    const undetected: string[] = []
    for (const code of sample) {
      const symbols = [...code.text.replace('-', '')]
      for (let i = 0; i < symbols.length; i++) {
        for (let j = i + 1; j < symbols.length; j++) {
          const attacker = symbols.with(i, symbols[j]).with(j, symbols[i]).join('')
          if (symbols[i] !== symbols[j] && reasonOf(attacker) !== 'check') undetected.push(attacker)
        }
      }
    }
    expect(undetected).toEqual([])
  })

  it('is refused for anything but ten canonical symbols', () => {
    for (const symbols of ['', 'K7QM3XPDT', 'K7QM3XPDT28', 'K7QM3XPDTU', 'k7qm3xpdt2']) {
      expect(() => checkSymbol(symbols)).toThrow(RangeError)
    }
  })

  it('is part of neither locator nor secret', () => {
    for (const { locator, secret, text } of sample) {
      expect([locator.length, secret.length]).toEqual([5, 5])
      expect(text).toBe(`${locator}-${secret}${checkSymbol(locator + secret)}`)
    }
  })
})

describe('parsePairingCode', () => {
  const canonical = { locator: '0A1B2', secret: 'C3D4E', text: '0A1B2-C3D4E3' }

  it.each([
    '0A1B2-C3D4E3',
    '0a1b2c3d4e3',
    'oAiB2-C3D4E3',
    'OalB2 C3D4E3',
    '  0A1 B2C-3D4-E3\n',
    '0A1B2–C3D4E3',
    '0A1B2\u00a0—\u00a0C3D4E3',
  ])('reads %j as the canonical code', (input) => {
    expect(parsePairingCode(input)).toEqual(canonical)
  })

  it('reads back every generated code', () => {
    for (const code of sample) expect(parsePairingCode(code.text)).toEqual(code)
  })

  it.each([
    ['', 'length'],
    ['0A1B2-C3D4E', 'length'],
    ['0A1B2-C3D4E33', 'length'],
    ['0A1B2-C3D4U3', 'symbol'],
    ['0A1B2-C3D4E!', 'symbol'],
    ['https://relay.example/#0A1B2-C3D4E3', 'symbol'],
    ['0A1B2-C3D4Eſ', 'symbol'],
    ['0A1B2-C3D4E٣', 'symbol'],
    ['0A1B2-C3D4E4', 'check'],
  ])('refuses %j for its %s', (input, reason) => {
    expect(reasonOf(input)).toBe(reason)
  })

  it('says what to do and never repeats what was typed', () => {
    const inputs = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...ALPHABET), minLength: 9, maxLength: 13 }))
    const messages = new Set<string>()
    fc.assert(
      fc.property(inputs, (input) => {
        const error = thrownBy(() => parsePairingCode(input))
        if (error instanceof PairingCodeError) messages.add(error.message)
        else expect(error).toBeUndefined()
      }),
      { seed: 7, numRuns: 2_000 },
    )
    expect(messages.size).toBe(3) // fixed texts: nothing of the input can be in them
    for (const message of messages) expect(message).toMatch(/\. \w|: .+\. \w/)
  })
})

describe('randomness', () => {
  it('turns every byte value into a symbol, each symbol from eight values', () => {
    const counts = new Map<string, number>()
    for (let byte = 0; byte < 256; byte++) {
      const symbol = randomReceiverCode((length) => new Uint8Array(length).fill(byte))[0]
      counts.set(symbol, (counts.get(symbol) ?? 0) + 1)
    }
    expect([...counts.keys()].sort().join('')).toBe(ALPHABET)
    expect(new Set(counts.values())).toEqual(new Set([8]))
  })

  it('spreads the symbols of each position evenly', () => {
    const source = seededRandom(1)
    const codes = 10_000
    const counts = Array.from({ length: 10 }, () => new Map<string, number>())
    for (let n = 0; n < codes; n++) {
      const { locator, secret } = generatePairingCode(source)
      for (const [i, symbol] of [...(locator + secret)].entries())
        counts[i].set(symbol, (counts[i].get(symbol) ?? 0) + 1)
    }
    const expected = codes / 32
    for (const position of counts) {
      const chiSquare = [...ALPHABET].reduce((sum, s) => sum + ((position.get(s) ?? 0) - expected) ** 2 / expected, 0)
      expect(chiSquare).toBeLessThan(65) // 31 degrees of freedom: exceeded by chance once in 3,000
    }
  })

  it('gives receiver codes of six symbols', () => {
    expect(randomReceiverCode(seededRandom(3))).toMatch(/^[0-9A-HJKMNP-TV-Z]{6}$/)
  })

  it('overwrites the bytes it was given', () => {
    const drawn: Uint8Array[] = []
    generatePairingCode((length) => {
      const bytes = new Uint8Array(length).fill(9)
      drawn.push(bytes)
      return bytes
    })
    expect(drawn).toEqual([new Uint8Array(10)])
  })

  it('refuses a source that returns too few bytes', () => {
    expect(() => generatePairingCode(() => new Uint8Array(9))).toThrow(RangeError)
  })
})

describe('encodeCrockford', () => {
  it.each([
    [[], ''],
    [[0], '00'],
    [[0xff], 'ZW'],
    [[0x08, 0x42, 0x10, 0x84, 0x21], '11111111'],
    [[0x00, 0x44, 0x32, 0x14, 0xc7], '01234567'],
  ])('writes %j as %s', (bytes, text) => {
    expect(encodeCrockford(Uint8Array.from(bytes))).toBe(text)
  })

  it('writes 20 bytes as 32 symbols, the same number in base 32', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), (bytes) => {
        const number = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n)
        const symbols = number.toString(32).padStart(32, '0')
        expect(encodeCrockford(bytes)).toBe([...symbols].map((s) => ALPHABET[Number.parseInt(s, 32)]).join(''))
      }),
      { seed: 11 },
    )
  })
})

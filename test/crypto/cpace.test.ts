import { sha512 } from '@noble/hashes/sha2.js'
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { describe, expect, it } from 'vitest'
import { generator, intermediateSessionKey, multiply, sampleScalar, transcript } from '../../src/crypto/cpace.ts'
import { lv } from '../../src/crypto/encoding.ts'
import { cpaceVectors, fromHex, toHex } from './support.ts'

const vector = cpaceVectors.G_Coffee25519
const points = cpaceVectors.G_Coffee25519_points
const bytes = (name: keyof typeof vector) => fromHex(vector[name])
const identity = new Uint8Array(32)

describe('the official values of draft-irtf-cfrg-cpace-21', () => {
  it('gives the generator', () => {
    expect(toHex(generator(bytes('PRS'), bytes('CI'), bytes('sid'))).toUpperCase()).toBe(vector.g)
  })

  it('gives both public points from the generator', () => {
    expect(toHex(multiply(bytes('ya'), bytes('g'))).toUpperCase()).toBe(vector.Ya)
    expect(toHex(multiply(bytes('yb'), bytes('g'))).toUpperCase()).toBe(vector.Yb)
  })

  it('gives K to both sides', () => {
    expect(toHex(multiply(bytes('ya'), bytes('Yb'))).toUpperCase()).toBe(vector.K)
    expect(toHex(multiply(bytes('yb'), bytes('Ya'))).toUpperCase()).toBe(vector.K)
  })

  const transcriptIR = transcript(bytes('Ya'), bytes('ADa'), bytes('Yb'), bytes('ADb'))

  it('gives the intermediate session key of the initiator/responder setting', () => {
    expect(toHex(intermediateSessionKey(bytes('sid'), bytes('K'), transcriptIR)).toUpperCase()).toBe(vector.ISK_IR)
  })

  it('gives the session id output, which depends on the transcript alone', () => {
    const output = sha512(concatBytes(utf8ToBytes('CPaceSidOutput'), transcriptIR))
    expect(toHex(output).toUpperCase()).toBe(vector.sid_output_ir)
  })

  it('multiplies the valid point', () => {
    const product = multiply(fromHex(points.Valid.s), fromHex(points.Valid.X))
    expect(toHex(product).toUpperCase()).toBe(points.Valid['G.scalar_mult_vfy(s,X)'])
  })

  it.each(['Invalid Y1', 'Invalid Y2'] as const)('refuses %s', (attacker) => {
    expect(() => multiply(fromHex(points.Valid.s), fromHex(points[attacker]))).toThrow()
  })
})

describe('multiply', () => {
  it('refuses the identity, which noble accepts', () => {
    const attacker = identity
    expect(() => multiply(bytes('ya'), attacker)).toThrow('identity')
  })

  it('refuses a zero scalar, which would make the product the identity', () => {
    expect(() => multiply(new Uint8Array(32), bytes('g'))).toThrow()
  })

  it('refuses points and scalars of other lengths', () => {
    expect(() => multiply(bytes('ya'), bytes('g').slice(1))).toThrow()
    expect(() => multiply(bytes('ya').slice(1), bytes('g'))).toThrow()
  })
})

describe('sampleScalar', () => {
  it('clears the top four bits, in place', () => {
    const random = new Uint8Array(32).fill(0xff)
    expect(sampleScalar(random)).toBe(random)
    expect(toHex(random)).toBe(`${'ff'.repeat(31)}0f`)
  })

  it('refuses zero, also a zero that only the clearing makes', () => {
    const attacker = new Uint8Array(32)
    attacker[31] = 0xf0
    expect(() => sampleScalar(attacker)).toThrow('zero')
  })

  it.each([0, 31, 33])('refuses %i bytes', (length) => {
    expect(() => sampleScalar(new Uint8Array(length).fill(1))).toThrow('32 bytes')
  })
})

describe('lv', () => {
  it('puts each part behind its length', () => {
    expect(toHex(lv('1234', '5', '', '678'))).toBe('043132333401350003363738') // the draft's own example
  })

  it('writes lengths in LEB128', () => {
    const lengthOf = (length: number) => toHex(lv(new Uint8Array(length)).subarray(0, -length))
    expect([127, 128, 16_383, 16_384].map(lengthOf)).toEqual(['7f', '8001', 'ff7f', '808001'])
  })

  it('keeps apart what concatenation would confuse', () => {
    const attacker = lv('ab', 'c')
    expect(attacker).not.toEqual(lv('a', 'bc'))
  })
})

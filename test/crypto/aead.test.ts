import { afterEach, describe, expect, it, vi } from 'vitest'
import { defaultAead, nobleAead, nodeAead, TAG_BYTES } from '../../src/crypto/aead.ts'
import { StreamOpener, StreamSealer } from '../../src/crypto/stream.ts'
import { flipBit, seededRandom, thrownBy } from './support.ts'

const node = nodeAead(await import('node:crypto'))
const random = seededRandom(1)
const [key, nonce] = [random(32), random(12)]

describe.each([
  ['Node', node],
  ['noble', nobleAead],
])('the cipher of %s', (_, aead) => {
  const plaintext = random(1_000)
  const sealed = new Uint8Array(plaintext.length + TAG_BYTES)
  aead.seal(key, nonce, plaintext, sealed)

  it('opens what it sealed', () => {
    const opened = new Uint8Array(plaintext.length)
    aead.open(key, nonce, sealed, opened)
    expect(opened).toEqual(plaintext)
  })

  it('refuses every kind of forgery, and writes nothing', () => {
    const attackers = [
      flipBit(sealed, 0),
      flipBit(sealed, 8 * plaintext.length),
      flipBit(sealed, 8 * sealed.length - 1),
    ]
    for (const attacker of attackers) {
      const opened = new Uint8Array(plaintext.length)
      expect(thrownBy(() => aead.open(key, nonce, attacker, opened))).toBeInstanceOf(Error)
      expect(opened).toEqual(new Uint8Array(plaintext.length))
    }
    const attacker = { key: flipBit(key, 5), nonce: flipBit(nonce, 5) }
    const opened = new Uint8Array(plaintext.length)
    expect(thrownBy(() => aead.open(attacker.key, nonce, sealed, opened))).toBeInstanceOf(Error)
    expect(thrownBy(() => aead.open(key, attacker.nonce, sealed, opened))).toBeInstanceOf(Error)
  })

  it('refuses a cut tag', () => {
    const attacker = sealed.subarray(0, sealed.length - 12)
    expect(thrownBy(() => aead.open(key, nonce, attacker, new Uint8Array(plaintext.length)))).toBeInstanceOf(Error)
  })
})

describe('the ciphers of Node and noble', () => {
  it.each([0, 1, 15, 16, 17, 63, 64, 65, 65_535, 65_536])('give the same bytes for %i', (length) => {
    const plaintext = random(length)
    const [a, b] = [new Uint8Array(length + TAG_BYTES), new Uint8Array(length + TAG_BYTES)]
    node.seal(key, nonce, plaintext, a)
    nobleAead.seal(key, nonce, plaintext, b)
    expect(Buffer.from(a).equals(b)).toBe(true)
  })

  it('read each other through the whole stream', () => {
    const plaintext = random(2 * 65_536 + 7)
    for (const [mine, theirs] of [
      [node, nobleAead],
      [nobleAead, node],
    ]) {
      const frame = new StreamSealer(key, mine).sealFrame(plaintext, true, 9)
      const opened = new StreamOpener(key, theirs).openFrame(frame.subarray(9))
      expect(Buffer.from(opened.plaintext).equals(plaintext)).toBe(true)
    }
  })
})

describe('defaultAead', () => {
  afterEach(() => {
    vi.restoreAllMocks()
    vi.resetModules()
  })

  /** A host whose `process.getBuiltinModule` answers as given: aead.ts looks once, so it is loaded anew. */
  async function chosenWhere(host: object | undefined): Promise<'noble' | 'another'> {
    vi.spyOn(process, 'getBuiltinModule').mockImplementation(() => host)
    vi.resetModules()
    const fresh = await import('../../src/crypto/aead.ts')
    return fresh.defaultAead() === fresh.nobleAead ? 'noble' : 'another'
  }

  it('is the fast one in Node, found once', () => {
    expect(defaultAead()).not.toBe(nobleAead)
    expect(defaultAead()).toBe(defaultAead())
  })

  it('is that of a host that has node:crypto', async () => {
    expect(await chosenWhere(await import('node:crypto'))).toBe('another')
  })

  it('is noble where there is no node:crypto', async () => {
    expect(await chosenWhere(undefined)).toBe('noble')
  })

  it('is noble where node:crypto lacks the cipher', async () => {
    const createCipheriv = () => {
      throw new Error('Unknown cipher')
    }
    expect(await chosenWhere({ createCipheriv })).toBe('noble')
  })

  it('is noble where node:crypto gives other bytes', async () => {
    const crypto = await import('node:crypto')
    const createCipheriv = (_: string, key: Uint8Array, nonce: Uint8Array, options: { authTagLength: number }) =>
      crypto.createCipheriv('aes-256-gcm', key, nonce, options)
    expect(await chosenWhere({ ...crypto, createCipheriv })).toBe('noble')
  })

  it('is noble where node:crypto does not look at the tag', async () => {
    const crypto = await import('node:crypto')
    const createDecipheriv = (_: string, key: Uint8Array, nonce: Uint8Array, options: { authTagLength: number }) => {
      const decipher = crypto.createDecipheriv('chacha20-poly1305', key, nonce, options)
      return { setAuthTag: () => {}, update: (data: Uint8Array) => decipher.update(data), final: () => Buffer.alloc(0) }
    }
    expect(await chosenWhere({ ...crypto, createDecipheriv })).toBe('noble')
  })
})

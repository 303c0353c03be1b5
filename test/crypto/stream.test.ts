import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Aead, nobleAead } from '../../src/crypto/aead.ts'
import {
  CHUNK_BYTES,
  CHUNKS_PER_FRAME,
  FRAME_MEMORY_BYTES,
  messageKey,
  StreamError,
  StreamOpener,
  StreamSealer,
  TAG_BYTES,
} from '../../src/crypto/stream.ts'
import { key, open, plaintextOf, SEALED_BYTES, same, seal } from './sealed.ts'
import { flipBit, seededRandom, thrownBy, toHex } from './support.ts'

const sizes = [0, 1, 2, 3, 4, 5].flatMap((chunks) => [-1, 0, 1].map((more) => chunks * CHUNK_BYTES + more))
const lengths = sizes.filter((length) => length >= 0)

describe('a message', () => {
  it.each(lengths)('of %i bytes comes back whole, in frames of one to four chunks', (length) => {
    for (const chunksPerFrame of [1, 2, 3, 4]) {
      const frames = seal(plaintextOf(length), chunksPerFrame)
      expect(frames).toHaveLength(Math.max(1, Math.ceil(length / CHUNK_BYTES / chunksPerFrame)))
      expect(same(open(frames), plaintextOf(length))).toBe(true)
    }
  })

  it('of any length comes back through any legal framing', () => {
    const legal = fc.record({
      middle: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 2 }),
      tail: fc.integer({ min: 1, max: 4 * CHUNK_BYTES }),
    })
    fc.assert(
      fc.property(legal, ({ middle, tail }) => {
        const sealer = new StreamSealer(key)
        const middleFrames = middle.map((chunks) => sealer.sealFrame(plaintextOf(chunks * CHUNK_BYTES), false))
        const opened = open([...middleFrames, sealer.sealFrame(plaintextOf(tail), true)])
        const sent = Buffer.concat([...middle.map((chunks) => plaintextOf(chunks * CHUNK_BYTES)), plaintextOf(tail)])
        expect(same(opened, sent)).toBe(true)
      }),
      { seed: 3, numRuns: 40 },
    )
  })

  it('has the same chunks in whatever frames it travels', () => {
    const sealed = (chunksPerFrame: number) => {
      const frames = seal(plaintextOf(5 * CHUNK_BYTES + 9), chunksPerFrame)
      return Buffer.concat(frames.map((frame) => frame.subarray(1)))
    }
    for (const chunksPerFrame of [2, 3, 4]) expect(sealed(chunksPerFrame).equals(sealed(1))).toBe(true)
  })

  it('says at each frame whether it was the last, and finishes only then', () => {
    const opener = new StreamOpener(key)
    const seen = seal(plaintextOf(2 * CHUNK_BYTES + 1)).map((frame) => [opener.openFrame(frame).last, opener.finished])
    expect(seen).toEqual([
      [false, false],
      [false, false],
      [true, true],
    ])
  })
})

describe('a frame', () => {
  it('is the headroom, the flag and the sealed chunks', () => {
    for (const headroom of [0, 1, 2, 3, 9, 16]) {
      const plain = new StreamSealer(key).sealFrame(plaintextOf(CHUNK_BYTES + 5), true)
      const roomy = new StreamSealer(key).sealFrame(plaintextOf(CHUNK_BYTES + 5), true, headroom)
      expect(roomy.length).toBe(headroom + 1 + SEALED_BYTES + 5 + TAG_BYTES)
      expect(roomy.subarray(0, headroom)).toEqual(new Uint8Array(headroom))
      expect(Buffer.from(roomy.subarray(headroom)).equals(plain)).toBe(true)
      expect(roomy[headroom]).toBe(1)
    }
    expect(new StreamSealer(key).sealFrame(plaintextOf(CHUNK_BYTES), false)[0]).toBe(0)
  })

  it('is the same in memory that had another', () => {
    const memory = new ArrayBuffer(FRAME_MEMORY_BYTES)
    const sealed = (bytes: number, into?: ArrayBuffer) =>
      new StreamSealer(key).sealFrame(plaintextOf(bytes), true, 16, into).subarray(16)
    for (const bytes of [4 * CHUNK_BYTES, CHUNK_BYTES + 5, 0]) expect(sealed(bytes, memory)).toEqual(sealed(bytes))
  })

  it('puts its chunks on a multiple of four, whatever the headroom', () => {
    for (const headroom of [0, 1, 2, 3, 9]) {
      const frame = new StreamSealer(key).sealFrame(plaintextOf(5), true, headroom)
      expect((frame.byteOffset + headroom + 1) % 4).toBe(0)
    }
  })

  it('never gives away what it was sealed from', () => {
    const frame = new StreamSealer(key).sealFrame(plaintextOf(CHUNK_BYTES), true)
    expect(Buffer.from(frame).includes(Buffer.from(plaintextOf(16)))).toBe(false)
  })
})

describe('a sealer', () => {
  it.each([
    ['no bytes that are not the end', [], 0, false],
    ['a short frame that is not the end', [], 5, false],
    ['a chunk and a bit that are not the end', [], CHUNK_BYTES + 1, false],
    ['more than four chunks', [], 4 * CHUNK_BYTES + 1, true],
    ['five chunks', [], 5 * CHUNK_BYTES, false],
    ['an empty end after other chunks', [CHUNK_BYTES], 0, true],
  ])('refuses %s', (_, before, length, last) => {
    const sealer = new StreamSealer(key)
    for (const chunk of before) sealer.sealFrame(plaintextOf(chunk), false)
    expect(thrownBy(() => sealer.sealFrame(plaintextOf(length), last))).toBeInstanceOf(StreamError)
  })

  it('seals nothing after the end, after a failure or after wipe', () => {
    const [ended, failed, wiped] = [new StreamSealer(key), new StreamSealer(key), new StreamSealer(key)]
    ended.sealFrame(plaintextOf(1), true)
    thrownBy(() => failed.sealFrame(plaintextOf(1), false))
    wiped.wipe()
    for (const sealer of [ended, failed, wiped]) {
      expect(thrownBy(() => sealer.sealFrame(plaintextOf(1), true))).toBeInstanceOf(StreamError)
    }
  })

  it('never uses a nonce twice', () => {
    const nonces: string[] = []
    const aead: Aead = { ...nobleAead, seal: (_, nonce) => nonces.push(toHex(nonce)) }
    const sealer = new StreamSealer(key, aead)
    for (let i = 0; i < 100; i++) sealer.sealFrame(plaintextOf(4 * CHUNK_BYTES), false)
    sealer.sealFrame(plaintextOf(CHUNK_BYTES + 1), true)
    expect(new Set(nonces).size).toBe(402)
    expect([nonces[0], nonces[257], nonces[401]]).toEqual([
      '000000000000000000000000',
      '000000000000000000010100',
      '000000000000000000019101',
    ])
  })
})

describe('an opener', () => {
  it('opens nothing after a failure or after wipe', () => {
    const [frame] = seal(plaintextOf(9))
    const [failed, wiped] = [new StreamOpener(key), new StreamOpener(key)]
    thrownBy(() => failed.openFrame(flipBit(frame, 77)))
    wiped.wipe()
    for (const opener of [failed, wiped]) {
      expect(thrownBy(() => opener.openFrame(frame))).toBeInstanceOf(StreamError)
      expect(opener.finished).toBe(false)
    }
  })

  it('takes back that it finished when something follows the end', () => {
    const [frame] = seal(plaintextOf(9))
    const opener = new StreamOpener(key)
    opener.openFrame(frame)
    opener.wipe()
    expect(opener.finished).toBe(true)
    const attacker = frame
    expect(thrownBy(() => opener.openFrame(attacker))).toBeInstanceOf(StreamError)
    expect(opener.finished).toBe(false)
  })

  it('puts the plaintext where the frame was, if that is the caller’s', () => {
    const node = new StreamOpener(key)
    const noble = new StreamOpener(key, nobleAead)
    for (const frame of seal(plaintextOf(5 * CHUNK_BYTES + 9), 4)) {
      const expected = noble.openFrame(frame.slice(), true).plaintext
      const { plaintext } = node.openFrame(frame, true)
      expect(plaintext.buffer).toBe(frame.buffer)
      expect(same(plaintext, expected)).toBe(true)
    }
    expect([node.finished, noble.finished]).toEqual([true, true])
  })

  it('gives nothing of a frame that was the caller’s and is forged at its end', () => {
    const [frame = new Uint8Array()] = seal(plaintextOf(4 * CHUNK_BYTES), 4)
    const attacker = flipBit(frame, 8 * frame.length - 1)
    expect(thrownBy(() => new StreamOpener(key).openFrame(attacker, true))).toBeInstanceOf(StreamError)
  })

  it('gives each frame an array of its own', () => {
    const opener = new StreamOpener(key)
    const [first, second] = seal(plaintextOf(CHUNK_BYTES + 1)).map((frame) => opener.openFrame(frame).plaintext)
    expect(first.buffer).not.toBe(second.buffer)
    expect([first.byteOffset, first.buffer.byteLength]).toEqual([0, CHUNK_BYTES])
  })
})

describe('keys', () => {
  it('are copied, so that the caller can wipe its own, and wiped at the end, at a failure and on demand', () => {
    const seen: Uint8Array[] = []
    const watching: Aead = {
      seal: (usedKey, ...rest) => {
        seen.push(usedKey)
        nobleAead.seal(usedKey, ...rest)
      },
      open: (usedKey, ...rest) => {
        seen.push(usedKey)
        nobleAead.open(usedKey, ...rest)
      },
    }
    const mine = key.slice()
    const [ended, wiped] = [new StreamSealer(mine, watching), new StreamSealer(mine, watching)]
    const [opened, failed] = [new StreamOpener(mine, watching), new StreamOpener(mine, watching)]
    mine.fill(0)
    wiped.sealFrame(plaintextOf(CHUNK_BYTES), false)
    expect(seen).toEqual([key])
    wiped.wipe()
    opened.openFrame(ended.sealFrame(plaintextOf(3), true))
    thrownBy(() => failed.openFrame(new Uint8Array(20).fill(1)))
    expect(seen).toEqual(Array.from({ length: 4 }, () => new Uint8Array(32)))
  })

  it('have 32 bytes, traffic secrets 64, and messages count from 0', () => {
    const secret = new Uint8Array(64)
    for (const length of [0, 31, 33]) {
      expect(() => new StreamSealer(new Uint8Array(length))).toThrow(StreamError)
      expect(() => new StreamOpener(new Uint8Array(length))).toThrow(StreamError)
      expect(() => messageKey(new Uint8Array(length), 0)).toThrow(StreamError)
    }
    for (const index of [-1, 0.5, Number.NaN, 2 ** 53]) expect(() => messageKey(secret, index)).toThrow(StreamError)
  })

  it('differ from message to message', () => {
    const secret = seededRandom(12)(64)
    const keys = Array.from({ length: 300 }, (_, i) => toHex(messageKey(secret, i)))
    expect(new Set(keys).size).toBe(300)
  })
})

describe('the constants', () => {
  it('are those of the age format and of the design', () => {
    expect([CHUNK_BYTES, TAG_BYTES, CHUNKS_PER_FRAME]).toEqual([65_536, 16, 4])
  })
})

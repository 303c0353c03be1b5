import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nobleAead } from '../../src/crypto/aead.ts'
import { CHUNK_BYTES, messageKey, TAG_BYTES } from '../../src/crypto/stream.ts'
import { key, open, plaintextOf, SEALED_BYTES, same, seal } from './sealed.ts'
import { flipBit, seededRandom } from './support.ts'

/** Every way a relay can rearrange the frames of a message it cannot read. */
describe('a relay', () => {
  const message = plaintextOf(5 * CHUNK_BYTES + 100)
  const framings = [1, 2, 3].map((chunksPerFrame) => ({ chunksPerFrame, frames: seal(message, chunksPerFrame) }))
  const tail = 3 * CHUNK_BYTES

  describe.each(framings)('with frames of $chunksPerFrame chunks', ({ frames }) => {
    const accepted = (attackers: readonly (readonly Uint8Array[])[]) =>
      attackers.flatMap((attacker, i) => (open(attacker) === undefined ? [] : [i]))

    it('cannot drop one', () => {
      expect(accepted(frames.map((_, i) => frames.toSpliced(i, 1)))).toEqual([])
    })

    it('cannot duplicate one', () => {
      expect(accepted(frames.map((frame, i) => frames.toSpliced(i, 0, frame)))).toEqual([])
    })

    it('cannot repeat one in the place of another', () => {
      const attackers = frames.flatMap((_, i) => frames.flatMap((frame, j) => (i === j ? [] : [frames.with(i, frame)])))
      expect(accepted(attackers)).toEqual([])
    })

    it('cannot swap two', () => {
      const pairs = frames.flatMap((_, i) => frames.slice(i + 1).map((_, j) => [i, i + 1 + j] as const))
      expect(accepted(pairs.map(([i, j]) => frames.with(i, frames[j]).with(j, frames[i])))).toEqual([])
    })

    it('cannot end the message early', () => {
      expect(accepted(frames.map((_, i) => frames.slice(0, i)))).toEqual([])
      const claims = frames.slice(0, -1).map((frame, i) => [...frames.slice(0, i), withFlag(frame, 1)])
      expect(accepted(claims)).toEqual([])
    })

    it('cannot cut a frame anywhere', () => {
      const lengths = [0, 1, 16, 17, 18, ...[0, 1, 17].map((more) => SEALED_BYTES + more)]
      const cuts = (frame: Uint8Array) =>
        [...lengths, frame.length - 16, frame.length - 1].filter((length) => length < frame.length)
      const attackers = frames.flatMap((frame, i) => cuts(frame).map((n) => frames.with(i, frame.subarray(0, n))))
      expect(accepted(attackers)).toEqual([])
    })

    it('cannot lengthen a frame', () => {
      const extras = [new Uint8Array(1), new Uint8Array(16), new Uint8Array(17), frames[0].subarray(1)]
      const attackers = frames.flatMap((frame, i) =>
        extras.map((extra) => frames.with(i, Buffer.concat([frame, extra]))),
      )
      expect(accepted(attackers)).toEqual([])
    })

    it('cannot add anything after the end', () => {
      const extras = [new Uint8Array(), Uint8Array.of(1), new Uint8Array(17), ...frames, ...seal(plaintextOf(0))]
      expect(accepted(extras.map((extra) => [...frames, extra]))).toEqual([])
    })

    it('cannot lie with the flag', () => {
      const lies = (frame: Uint8Array) => [0, 1, 2, 3, 0x80, 0xff].filter((flag) => flag !== frame[0])
      const attackers = frames.flatMap((frame, i) => lies(frame).map((flag) => frames.with(i, withFlag(frame, flag))))
      expect(accepted(attackers)).toEqual([])
    })

    it('cannot swap the chunks inside a frame', () => {
      const attackers = frames.flatMap((frame, i) =>
        frame.length > 2 * SEALED_BYTES ? [frames.with(i, withFirstChunksSwapped(frame))] : [],
      )
      expect(accepted(attackers)).toEqual([])
    })
  })

  it('can only regroup the chunks into other frames, which changes nothing', () => {
    const [grouped, single] = [seal(message, 4), seal(message, 1)]
    const attacker = [...single.slice(0, 4), grouped[1]]
    expect(same(open(attacker), message)).toBe(true)
  })

  it('cannot change a bit anywhere', () => {
    const frames = framings[1].frames
    const anyBit = fc
      .integer({ min: 0, max: frames.length - 1 })
      .chain((i) => fc.record({ i: fc.constant(i), bit: fc.integer({ min: 0, max: frames[i].length * 8 - 1 }) }))
    fc.assert(
      fc.property(anyBit, ({ i, bit }) => {
        const attacker = frames.with(i, flipBit(frames[i], bit))
        expect(open(attacker)).toBeUndefined()
      }),
      { seed: 4, numRuns: 200 },
    )
  })

  it('cannot pass any other frames for the message', () => {
    const anyFrames = fc.array(
      fc.oneof(fc.constantFrom(...framings.flatMap(({ frames }) => frames)), fc.uint8Array({ maxLength: 40 })),
      { maxLength: 7 },
    )
    fc.assert(
      fc.property(anyFrames, (attacker) => {
        const opened = open(attacker)
        expect(opened === undefined || same(opened, message)).toBe(true)
      }),
      { seed: 5, numRuns: 200 },
    )
  })

  it('cannot pass a message for another, or for one of the other direction', () => {
    const [s2r, r2s] = [seededRandom(8)(64), seededRandom(9)(64)]
    const attacker = seal(plaintextOf(tail), 4, messageKey(s2r, 1))
    expect(same(open(attacker, messageKey(s2r, 1)), plaintextOf(tail))).toBe(true)
    for (const other of [messageKey(s2r, 0), messageKey(s2r, 2), messageKey(r2s, 1)]) {
      expect(open(attacker, other)).toBeUndefined()
    }
  })
})

function withFlag(frame: Uint8Array, flag: number): Uint8Array {
  const copy = frame.slice()
  copy[0] = flag
  return copy
}

function withFirstChunksSwapped(frame: Uint8Array): Uint8Array {
  const [first, second] = [frame.subarray(1, 1 + SEALED_BYTES), frame.subarray(1 + SEALED_BYTES, 1 + 2 * SEALED_BYTES)]
  return Buffer.concat([frame.subarray(0, 1), second, first, frame.subarray(1 + 2 * SEALED_BYTES)])
}

/** Seals chunks as the payload construction would, in shapes StreamSealer refuses to make. */
function forge(flag: number, chunks: readonly { plaintext: Uint8Array; counter: number; last: boolean }[]): Uint8Array {
  const sealed = chunks.map(({ plaintext, counter, last }) => {
    const nonce = new Uint8Array(12)
    nonce[10] = counter
    nonce[11] = last ? 1 : 0
    const output = new Uint8Array(plaintext.length + TAG_BYTES)
    nobleAead.seal(key, nonce, plaintext, output)
    return output
  })
  return Buffer.concat([Uint8Array.of(flag), ...sealed])
}

/** These attackers know the key: only the rules about shapes stand in their way. */
describe('a sender that breaks the rules', () => {
  const full = plaintextOf(CHUNK_BYTES)
  const middle = (counter: number) => ({ plaintext: full, counter, last: false })
  const end = (length: number, counter: number) => ({ plaintext: plaintextOf(length), counter, last: true })

  it('is understood as long as it keeps them', () => {
    const honest = [forge(0, [middle(0), middle(1)]), forge(1, [middle(2), end(5, 3)])]
    expect(open(honest)?.length).toBe(3 * CHUNK_BYTES + 5)
  })

  it.each<[string, Uint8Array[]]>([
    ['an empty last chunk after others', [forge(0, [middle(0)]), forge(1, [end(0, 1)])]],
    ['an empty last chunk in one frame with others', [forge(1, [middle(0), end(0, 1)])]],
    ['five chunks in a frame', [forge(0, [0, 1, 2, 3, 4].map(middle)), forge(1, [end(1, 5)])]],
    ['five chunks in the last frame', [forge(1, [...[0, 1, 2, 3].map(middle), end(1, 4)])]],
    ['a short chunk in the middle', [forge(0, [{ ...end(7, 0), last: false }]), forge(1, [end(1, 1)])]],
    ['an empty chunk in the middle', [forge(0, [{ ...end(0, 0), last: false }]), forge(1, [end(1, 1)])]],
    ['a short chunk behind a full one', [forge(0, [middle(0), { ...end(7, 1), last: false }]), forge(1, [end(1, 2)])]],
    ['no chunk at all', [Uint8Array.of(0), forge(1, [end(1, 0)])]],
    ['no chunk at all, as the last', [Uint8Array.of(1)]],
    ['nothing, not even a flag', [new Uint8Array(), forge(1, [end(1, 0)])]],
    ['a last chunk under flag 0', [forge(0, [{ ...middle(0), last: true }])]],
    ['a middle chunk under flag 1', [forge(1, [middle(0)])]],
    ['a last chunk before the end of its frame', [forge(1, [{ ...middle(0), last: true }, end(1, 1)])]],
    ['flag 2', [forge(2, [end(1, 0)])]],
    ['a counter that skips', [forge(0, [middle(0)]), forge(1, [end(1, 2)])]],
    ['a counter that starts at one', [forge(1, [end(1, 1)])]],
  ])('is refused for %s', (_, attacker) => {
    expect(open(attacker)).toBeUndefined()
  })
})

import { expect, test } from 'vitest'
import { FrameJoiner, splitFrame } from '../../src/crypto/fragments.ts'
import { FRAME_BODY_MAX_BYTES, StreamError } from '../../src/crypto/stream.ts'

const frame = Uint8Array.from({ length: 1_001 }, (_, i) => (i === 0 ? 1 : i))

test('frames in parts are joined, one after another', () => {
  const joiner = new FrameJoiner()
  for (let round = 0; round < 2; round++) {
    const joined = splitFrame(frame, 0, 100).map((part) => joiner.take(part))
    expect(joined.at(-1)).toEqual(frame)
    expect(joined.slice(0, -1).every((whole) => whole === undefined)).toBe(true)
  }
})

test('a joiner keeps no part, which may be a view of something larger', () => {
  const joiner = new FrameJoiner()
  const joined = splitFrame(frame, 0, 100).map((part) => {
    const whole = joiner.take(part)
    part.fill(0)
    return whole
  })
  expect(joined.at(-1)).toEqual(frame)
})

test('parts of the longest frame are joined, and of a longer one are refused', () => {
  const joiner = new FrameJoiner()
  const part = new Uint8Array(FRAME_BODY_MAX_BYTES).fill(2)
  expect(joiner.take(part)).toBeUndefined()
  expect(joiner.take(Uint8Array.of(0, 7))?.length).toBe(1 + FRAME_BODY_MAX_BYTES)
  expect(joiner.take(part)).toBeUndefined()
  expect(() => joiner.take(Uint8Array.of(0, 7, 7))).toThrow(StreamError)
})

test('a part of nothing is refused', () => {
  expect(() => new FrameJoiner().take(Uint8Array.of(2))).toThrow(StreamError)
})

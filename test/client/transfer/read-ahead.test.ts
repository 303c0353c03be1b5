import { describe, expect, test } from 'vitest'
import { bytesSource, type Source } from '../../../src/client/source.ts'
import { ReadAhead, SMALL_AT_ONCE, SMALL_BYTES } from '../../../src/client/transfer/read-ahead.ts'

/** Sources of these sizes, and those of them that were opened, in order. */
function reading(
  sizes: readonly number[],
  open: (index: number) => AsyncIterable<Uint8Array> | undefined = () => undefined,
) {
  const opened: number[] = []
  const sources = sizes.map((size, index): Source => {
    const whole = bytesSource(new Uint8Array(size).fill(index), `${index}`)
    return {
      ...whole,
      open: (offset) => {
        opened.push(index)
        return open(index) ?? whole.open(offset)
      },
    }
  })
  return { opened, ahead: new ReadAhead(sources, []) }
}

async function all(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const given: Uint8Array[] = []
  for await (const piece of pieces) given.push(piece)
  return given
}

async function* tooMuch() {
  yield new Uint8Array(2)
}

async function* silence() {
  yield await new Promise<Uint8Array>(() => {})
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index)

describe('sources', () => {
  test('that are small are opened 16 at a time, and given in their order', async () => {
    const { ahead, opened } = reading(upTo(40).map(() => 10))
    for (const index of upTo(40)) {
      const pieces = await all(ahead.piecesOf(index))
      expect(Buffer.concat(pieces)).toEqual(Buffer.alloc(10, index))
      expect(opened).toEqual(upTo(Math.min(40, index + SMALL_AT_ONCE)))
    }
  })

  test('may use the memory of a piece again for the next one, also while they wait for their turn', async () => {
    const memory = new Uint8Array(2)
    const { ahead } = reading([6], async function* () {
      for (const byte of upTo(3)) yield memory.fill(byte)
    })
    expect(await all(ahead.piecesOf(0))).toEqual(upTo(3).map((byte) => new Uint8Array(2).fill(byte)))
  })

  test('that are not small are opened when it is their turn, and nothing behind them before', async () => {
    const { ahead, opened } = reading([1, SMALL_BYTES + 1, 1])
    await all(ahead.piecesOf(0))
    expect(opened).toEqual([0])
    await all(ahead.piecesOf(1))
    expect(opened).toEqual([0, 1])
    await all(ahead.piecesOf(2))
    expect(opened).toEqual([0, 1, 2])
  })

  test('that fail ahead of their turn fail when it comes', async () => {
    const { ahead } = reading([1, 1, 1], (index) => (index === 1 ? tooMuch() : undefined))
    await all(ahead.piecesOf(0))
    await expect(all(ahead.piecesOf(1))).rejects.toMatchObject({ code: 'source_changed' })
    await all(ahead.piecesOf(2))
  })

  test.each([1, SMALL_BYTES + 1])('of %i bytes that give nothing are left when nothing is wanted', async (size) => {
    const { ahead } = reading([size], silence)
    const read = all(ahead.piecesOf(0))
    ahead.stop()
    expect(await read).toEqual([])
  })
})

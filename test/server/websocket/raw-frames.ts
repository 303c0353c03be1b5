import { Duplex } from 'node:stream'
import fc from 'fast-check'
import { wsFrame } from '../../conformance/raw.ts'

/** An event that an application hears of a WebSocket. */
export type Event = Readonly<Record<string, unknown>>

/** A connection as seen from one end: bytes arrive when the test says so, and what is written is kept. */
export class Pipe extends Duplex {
  readonly written: Buffer[] = []

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written.push(chunk)
    done()
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.written.push(Buffer.concat(chunks.map(({ chunk }) => chunk)))
    done()
  }

  arrive(bytes: Buffer): void {
    if (!this.destroyed && bytes.length > 0) this.push(bytes)
  }

  arriveNothingMore(): void {
    if (!this.destroyed) this.push(null)
  }

  setTimeout(): void {}
  setNoDelay(): void {}
}

interface Shape {
  readonly first: number
  readonly masked: boolean
  /** How the length is written: as short as it goes, or in 16 or 64 bits. */
  readonly lengthAs: 'shortest' | 16 | 64
  readonly payload: Uint8Array
  readonly mask: Uint8Array
}

function encode({ first, masked, lengthAs, payload, mask }: Shape): Buffer {
  const lengthBytes = lengthAs === 'shortest' ? {} : ({ lengthBytes: lengthAs === 16 ? 2 : 8 } as const)
  const framing = { flags: first & 0xf0, masked, maskKey: Buffer.from(mask), ...lengthBytes }
  return wsFrame(first & 0x0f, payload, framing)
}

/** Sequences of frames: mostly good ones, some fragmented, now and then one against the protocol, and bytes of no form. */
export function framesOf(maxBytes: number): fc.Arbitrary<Buffer[]> {
  const mask = fc.uint8Array({ minLength: 4, maxLength: 4 })
  const masked = fc.boolean().map(() => true)
  const lengthAs = fc.constantFrom('shortest' as const, 'shortest' as const, 16 as const, 64 as const)
  const good = (first: number, payload: fc.Arbitrary<Uint8Array>) =>
    fc.record({ first: fc.constant(first), masked, lengthAs, payload, mask })
  const bytes = (maxLength: number) => fc.uint8Array({ maxLength, size: 'max' })
  const ascii = fc.string({ maxLength: 40, unit: 'grapheme-ascii' }).map((text) => Buffer.from(text))
  const binary = good(0x82, bytes(maxBytes))
  const control = fc.oneof(good(0x89, bytes(125)), good(0x8a, bytes(125)))
  const one = (shape: fc.Arbitrary<Shape>) => shape.map((each) => [encode({ ...each, lengthAs: sizeOf(each) })])
  const fragmented = fc
    .tuple(good(0x02, bytes(50)), fc.option(control), good(0x00, bytes(50)), good(0x80, bytes(50)))
    .map((parts) => parts.flatMap((each) => (each ? [encode({ ...each, lengthAs: sizeOf(each) })] : [])))
  const close = good(0x88, fc.constantFrom(Buffer.from([3, 232]), Buffer.alloc(0), Buffer.from([3, 232, 104, 105])))
  const anything = fc.record({
    first: fc.nat(255),
    masked: fc.boolean(),
    lengthAs,
    payload: bytes(maxBytes + 20),
    mask,
  })
  const noise = fc.uint8Array({ minLength: 1, maxLength: 20 }).map((each) => [Buffer.from(each)])
  return fc
    .array(
      fc.oneof(
        { arbitrary: one(binary), weight: 12 },
        { arbitrary: one(control), weight: 4 },
        { arbitrary: one(good(0x81, ascii)), weight: 4 },
        { arbitrary: one(good(0x81, bytes(40))), weight: 1 },
        { arbitrary: fragmented, weight: 1 },
        { arbitrary: one(close), weight: 1 },
        { arbitrary: one(anything), weight: 1 },
        { arbitrary: noise, weight: 1 },
      ),
      { maxLength: 8 },
    )
    .map((frames) => frames.flat())
}

/** Control frames have their length in 7 bits. */
function sizeOf({ first, lengthAs }: Shape): Shape['lengthAs'] {
  return (first & 0x0f) >= 8 ? 'shortest' : lengthAs
}

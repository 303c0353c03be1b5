import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { FRAME_HEADER_BYTES } from '../../../src/protocol/limits.ts'
import { type Bytes, inOnePiece, piecesOf } from '../../../src/relay/pieces.ts'
import { carry } from '../../../src/server/websocket/client-socket.ts'
import { BINARY, unmaskInJavaScript, WholeMessages, writeHeader } from '../../../src/server/websocket/fast-path.ts'
import { holds } from '../../support/property.ts'
import { type Event, framesOf, Pipe } from './raw-frames.ts'

const MAX_BYTES = 300
const KEY = 'AAAAAAAAAAAAAAAAAAAAAA=='

/** A WebSocket of ws on a pipe, and what it says of what comes in: by itself, or with the fast path before it. */
async function readerOf(fast: boolean): Promise<{ pipe: Pipe; events: Event[] }> {
  const pipe = new Pipe()
  const events: Event[] = []
  const server = new WebSocketServer({ noServer: true, maxPayload: MAX_BYTES, perMessageDeflate: false })
  const headers = { upgrade: 'websocket', 'sec-websocket-key': KEY, 'sec-websocket-version': '13' }
  const request = { method: 'GET', headers } as never
  server.handleUpgrade(request, pipe as never, Buffer.alloc(0), (socket: WebSocket) => {
    socket.on('error', (error) => events.push({ error: 'code' in error ? String(error.code) : error.message }))
    socket.on('ping', (data) => events.push({ ping: data.toString('hex') }))
    socket.on('pong', (data) => events.push({ pong: data.toString('hex') }))
    socket.on('close', (code, reason) => events.push({ close: code, reason: reason.toString('hex') }))
    const receive = (data: string | Uint8Array) => {
      events.push(typeof data === 'string' ? { text: data } : { binary: Buffer.from(data).toString('hex') })
    }
    if (fast) {
      const connection = { receive, pong: () => {}, gone: () => {}, drained: () => {} }
      carry({ connect: () => connection } as never, 'session', socket, pipe, MAX_BYTES)
    } else {
      socket.on('message', (data: Buffer, isBinary: boolean) => receive(isBinary ? data : data.toString()))
    }
  })
  await turn()
  pipe.written.length = 0
  return { pipe, events }
}

/** The outcome of bytes that arrive in these pieces: the application's events, and the answer to the peer. */
async function outcomeOf(fast: boolean, pieces: readonly Buffer[]): Promise<unknown> {
  const { pipe, events } = await readerOf(fast)
  for (const piece of pieces) {
    pipe.arrive(Buffer.from(piece))
    await turn()
  }
  pipe.arriveNothingMore()
  await turn()
  await turn()
  return { events, answered: Buffer.concat(pipe.written).toString('hex') }
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...sorted].map((start, i) => bytes.subarray(start, sorted[i] ?? bytes.length))
}

test.each([
  [0, '8200'],
  [125, '827d'],
  [126, '827e007e'],
  [65_535, '827effff'],
  [65_536, '827f0000000000010000'],
])('the header of a payload of %d bytes has its length in the fewest bytes', (length, header) => {
  expect(writeHeader(BINARY, length).toString('hex')).toBe(header)
})

describe('messages that go past ws', () => {
  holds(
    'are, with all other frames, what ws alone makes of the same bytes, however they are cut',
    1000,
    fc.tuple(framesOf(MAX_BYTES), fc.array(fc.nat(), { maxLength: 12 })),
    async ([frames, places]) => {
      const bytes = Buffer.concat(frames)
      expect(await outcomeOf(true, cut(bytes, places))).toEqual(await outcomeOf(false, [bytes]))
    },
  )

  test('come whole when every byte comes alone', async () => {
    const frames = fc.sample(framesOf(MAX_BYTES), { numRuns: 30, seed: 7 })
    for (const each of frames) {
      const bytes = Buffer.concat(each)
      const attacker = [...bytes].map((byte) => Buffer.from([byte]))
      expect(await outcomeOf(true, attacker)).toEqual(await outcomeOf(false, [bytes]))
    }
  })

  test('own their bytes: nothing that comes later changes them, and they keep nothing else alive', () => {
    const taken: Buffer[] = []
    const never = () => expect.unreachable()
    const take = (payload: string | Bytes) => taken.push(payload as Buffer)
    const messages = new WholeMessages(MAX_BYTES, { take, leave: never, handOver: never })
    const chunk = Buffer.from([0x82, 0x83, 0, 0, 0, 0, 1, 2, 3, 0x82, 0x81, 0, 0, 0, 0, 9, 0x82])
    messages.push(chunk)
    chunk.fill(0)
    messages.push(Buffer.from([0x81, 0, 0, 0, 0, 4]))
    expect(taken.map((each) => [...each])).toEqual([[1, 2, 3], [9], [4]])
    expect(taken.map((each) => each.buffer.byteLength)).toEqual([3, 1, 1])
  })

  test('may be as large as allowed; one byte more, and ws has the say from its header on', () => {
    const header = (bytes: number) => Buffer.from([0x82, 0xfe, bytes >> 8, bytes & 0xff, 0, 0, 0, 0])
    const handedOver: Buffer[] = []
    const sizes: number[] = []
    const messages = new WholeMessages(MAX_BYTES, {
      take: (payload) => sizes.push(payload.length),
      leave: () => expect.unreachable(),
      handOver: (bytes) => handedOver.push(bytes),
    })
    messages.push(Buffer.concat([header(MAX_BYTES), Buffer.alloc(MAX_BYTES)]))
    const attacker = Buffer.concat([header(MAX_BYTES + 1), Buffer.alloc(MAX_BYTES + 1), header(5), Buffer.alloc(5)])
    messages.push(attacker)
    expect(sizes).toEqual([MAX_BYTES])
    expect(handedOver).toEqual([attacker])
  })

  test('are unmasked in the same way without the native library', () => {
    const bytes = Buffer.from([1, 2, 3, 4, 5, 6])
    unmaskInJavaScript(bytes, Buffer.from([0x10, 0x20, 0x40, 0x80]))
    expect([...bytes]).toEqual([0x11, 0x22, 0x43, 0x84, 0x15, 0x26])
  })
})

describe('a large message that goes past ws', () => {
  const KIB = 1024
  const LARGE = 300 * KIB
  const payload = Buffer.from(Array.from({ length: LARGE }, (_, i) => (i * 7919) >> 5))

  /** The frame of a message, masked. */
  function masked(bytes: Buffer, mask: readonly number[]): Buffer {
    const frame = Buffer.concat([writeHeader(BINARY, bytes.length, 0x80), bytes])
    const at = frame.length - bytes.length
    for (let i = 0; i < 4; i++) frame[at - 4 + i] = mask[i] ?? 0
    for (let i = 0; i < bytes.length; i++) frame[at + i] = (frame[at + i] ?? 0) ^ (mask[i % 4] ?? 0)
    return frame
  }

  /** The messages that are taken of bytes read in parts of these lengths, over and over. Each read is a buffer of its own. */
  function taken(bytes: Buffer, lengths: readonly number[]): { messages: Bytes[]; reads: Uint8Array[] } {
    const messages: Bytes[] = []
    const reads: Uint8Array[] = []
    const never = () => expect.unreachable()
    const take = (message: string | Bytes) => messages.push(message as Bytes)
    const path = new WholeMessages(LARGE, { take, leave: never, handOver: never })
    for (let at = 0, turn = 0; at < bytes.length; turn++) {
      const part = bytes.subarray(at, at + (lengths[turn % lengths.length] ?? 1))
      const read = Buffer.allocUnsafeSlow(part.length)
      part.copy(read)
      reads.push(read)
      path.push(read)
      at += read.length
    }
    return { messages, reads }
  }

  const keptAlive = (message: Bytes) =>
    [...new Set(piecesOf(message).map(({ buffer }) => buffer))].reduce((sum, { byteLength }) => sum + byteLength, 0)

  holds(
    'comes whole, keeps no byte alive that is not its own, and has its header in the first piece, however it is read',
    100,
    fc.tuple(
      fc.array(fc.integer({ min: 1, max: LARGE }), { minLength: 1, maxLength: 3 }),
      fc.array(
        fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 70 * KIB }), fc.constant(64 * KIB)),
        {
          minLength: 1,
          maxLength: 5,
        },
      ),
      fc.oneof(fc.constant([0, 0, 0, 0]), fc.array(fc.nat(255), { minLength: 4, maxLength: 4 })),
    ),
    ([sizes, lengths, mask]) => {
      const frames = sizes.map((bytes) => masked(payload.subarray(0, bytes), mask))
      const { messages } = taken(Buffer.concat(frames), lengths)
      expect(messages.map(({ length }) => length)).toEqual(sizes)
      for (const message of messages) {
        expect(Buffer.compare(inOnePiece(message), payload.subarray(0, message.length))).toBe(0)
        expect(keptAlive(message)).toBe(message.length)
        const [first] = piecesOf(message)
        expect(first?.length).toBeGreaterThan(Math.min(FRAME_HEADER_BYTES, message.length - 1))
      }
    },
  )

  test('keeps the reads that are all its own, and copies the parts of the two at its ends', () => {
    const frame = masked(payload, [1, 2, 3, 4])
    const { messages, reads } = taken(Buffer.concat([frame, frame]), [64 * KIB])
    const kept = new Set(reads.map(({ buffer }) => buffer))
    expect(piecesOf(messages[0] ?? payload).map(({ buffer }) => kept.has(buffer))).toEqual([
      false,
      true,
      true,
      true,
      false,
    ])
  })

  test('does not become many pieces when it comes in small reads', () => {
    for (const attacker of [[1], [32 * KIB, 1], [1, 16 * KIB - 1], [16 * KIB, 1]]) {
      const { messages } = taken(masked(payload, [1, 2, 3, 4]), attacker)
      expect(piecesOf(messages[0] ?? payload).length).toBeLessThanOrEqual(2 * (LARGE / (16 * KIB)))
    }
  })
})

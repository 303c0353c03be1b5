import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { carry } from '../../../src/server/websocket/client-socket.ts'
import { BINARY, maskInJavaScript, WholeMessages, writeHeader } from '../../../src/server/websocket/fast-path.ts'
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
    const take = (payload: string | Uint8Array) => taken.push(payload as Buffer)
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
    const output = Buffer.alloc(9, 0xff)
    maskInJavaScript(Buffer.from([1, 2, 3, 4, 5, 6]), Buffer.from([0x10, 0x20, 0x40, 0x80]), output, 2, 6)
    expect([...output]).toEqual([0xff, 0xff, 0x11, 0x22, 0x43, 0x84, 0x15, 0x26, 0xff])
  })
})

import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import type { PeerSocket } from '../../../src/relay/ports.ts'
import { carry } from '../../../src/server/websocket/client-socket.ts'
import { MORE_OPTIONS } from '../../../src/server/websocket/route.ts'
import { wsFrame } from '../../conformance/raw.ts'
import { Pipe } from './raw-frames.ts'

const MAX_BYTES = 20_000
const CONTINUATION = 0x0
const BINARY = 0x2

/** A socket as the relay carries it, after its attach unless it says otherwise. */
async function carried(isAttached = true) {
  const pipe = new Pipe()
  const received: (string | Uint8Array)[] = []
  let peer: PeerSocket | undefined
  const relay = {
    connect: (_sessionId: string, socket: PeerSocket) => {
      peer = socket
      const nothing = () => {}
      return {
        receive: (data: string | Uint8Array) => received.push(data),
        pong: nothing,
        gone: nothing,
        drained: nothing,
      }
    },
  }
  const server = new WebSocketServer({ noServer: true, maxPayload: MAX_BYTES, ...MORE_OPTIONS })
  const headers = { upgrade: 'websocket', 'sec-websocket-key': `${'A'.repeat(22)}==`, 'sec-websocket-version': '13' }
  server.handleUpgrade({ method: 'GET', headers } as never, pipe as never, Buffer.alloc(0), (socket: WebSocket) =>
    carry(relay as never, 'session', socket, pipe, MAX_BYTES),
  )
  if (!peer) throw new Error('the relay got no socket')
  if (isAttached) peer.send('the first view')
  await turn()
  pipe.written.length = 0
  return { pipe, received, peer }
}

test('a message in more fragments than 4,096 ends its socket with 1008: each costs far more memory than a byte', async () => {
  const { pipe, received } = await carried()
  const sayIn = (fragments: number) => {
    for (let n = 1; n <= fragments; n++) {
      pipe.push(wsFrame(n === 1 ? BINARY : CONTINUATION, 'x', { flags: n === fragments ? 0x80 : 0 }))
    }
    return turn()
  }
  await sayIn(4_000)
  expect(received.map(({ length }) => length)).toEqual([4_000])
  expect(pipe.written).toEqual([])
  const attacker = sayIn
  await attacker(5_000)
  expect(received).toHaveLength(1)
  expect(Buffer.concat(pipe.written).subarray(0, 4)).toEqual(Buffer.from([0x88, 2, 1008 >> 8, 1008 & 0xff]))
})

test('a fragment in more reads than 4,096 ends its socket with 1008 too, and a whole message may come in any number', async () => {
  const { pipe, received } = await carried()
  const sayInBytes = (frame: Buffer) => {
    for (const byte of frame) pipe.push(Buffer.of(byte))
    return turn()
  }
  await sayInBytes(wsFrame(BINARY, 'x'.repeat(10_000)))
  expect(received.map(({ length }) => length)).toEqual([10_000])
  const attacker = sayInBytes
  await attacker(wsFrame(BINARY, 'x'.repeat(10_000), { flags: 0 }))
  expect(received).toHaveLength(1)
  expect(Buffer.concat(pipe.written).subarray(0, 4)).toEqual(Buffer.from([0x88, 2, 1008 >> 8, 1008 & 0xff]))
})

test('a message as large as a frame may be goes past ws once the socket has attached', async () => {
  const { pipe, received } = await carried()
  const readers = pipe.listeners('data')
  pipe.push(wsFrame(BINARY, new Uint8Array(MAX_BYTES)))
  await turn()
  expect(received.map(({ length }) => length)).toEqual([MAX_BYTES])
  expect(pipe.listeners('data')).toEqual(readers)
})

test('before the attach ws collects no more of a fragmented message than an attach may have', async () => {
  const { pipe, received } = await carried(false)
  const attacker = (bytes: number) => pipe.push(wsFrame(BINARY, 'x'.repeat(bytes), { flags: 0 }))
  attacker(4_097)
  await turn()
  expect(received).toEqual([])
  expect(Buffer.concat(pipe.written).subarray(0, 4)).toEqual(Buffer.from([0x88, 2, 1009 >> 8, 1009 & 0xff]))
})

test('messages of one turn leave in one write, until it is more than 512 KiB', async () => {
  const { pipe, peer } = await carried()
  const outcomes = [peer.send('one'), peer.send(new Uint8Array(2_000)), peer.send('three')]
  expect(pipe.written).toEqual([])
  await turn()
  expect(outcomes).toEqual(['sent', 'sent', 'sent'])
  expect(pipe.written.map(({ length }) => length)).toEqual([2 + 3 + 4 + 2_000 + 2 + 5])
  pipe.written.length = 0
  for (let n = 0; n < 3; n++) peer.send(new Uint8Array(200_000))
  expect(pipe.written.length).toBe(1)
})

import { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import type { PeerSocket } from '../../../src/relay/ports.ts'
import { carry } from '../../../src/server/websocket/client-socket.ts'
import { MORE_OPTIONS } from '../../../src/server/websocket/route.ts'
import { wsFrame } from '../../conformance/raw.ts'

const MAX_BYTES = 20_000
const BINARY = 0x2

/** The system's side of a connection: it keeps each write that a socket makes. */
class Pipe extends Duplex {
  readonly writes: Buffer[] = []

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes.push(chunk)
    done()
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.writes.push(Buffer.concat(chunks.map(({ chunk }) => chunk)))
    done()
  }

  setTimeout(): void {}
  setNoDelay(): void {}
}

/** A socket as the relay carries it, after its attach. */
async function carried() {
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
  peer.send('the first view')
  await turn()
  pipe.writes.length = 0
  return { pipe, received, peer }
}

test('messages that came in one read own their bytes, and keep nothing else alive', async () => {
  const { pipe, received } = await carried()
  pipe.push(Buffer.concat([wsFrame(BINARY, Buffer.from([1, 2, 3])), wsFrame(BINARY, Buffer.from([9]))]))
  await turn()
  expect(received.map((each) => [...Buffer.from(each)])).toEqual([[1, 2, 3], [9]])
  expect(received.map((each) => (each as Uint8Array).buffer.byteLength)).toEqual([3, 1])
})

test('a message that came in several reads is whole, in a buffer of its size', async () => {
  const { pipe, received } = await carried()
  const frame = wsFrame(BINARY, Buffer.alloc(MAX_BYTES, 7))
  for (const part of [frame.subarray(0, 9_000), frame.subarray(9_000)]) pipe.push(part)
  await turn()
  expect(Buffer.from(received[0] ?? '')).toEqual(Buffer.alloc(MAX_BYTES, 7))
  expect((received[0] as Uint8Array).buffer.byteLength).toBe(MAX_BYTES)
})

test('a message in more pieces than 4,096 ends its socket with 1008: each costs far more memory than a byte', async () => {
  const { pipe, received } = await carried()
  for (const byte of wsFrame(BINARY, Buffer.alloc(4_090)).values()) pipe.push(Buffer.from([byte]))
  await turn()
  expect(received).toHaveLength(1)
  expect(pipe.writes).toEqual([])
  for (const byte of wsFrame(BINARY, Buffer.alloc(5_000)).values()) pipe.push(Buffer.from([byte]))
  await turn()
  expect(received).toHaveLength(1)
  expect(Buffer.concat(pipe.writes).subarray(0, 4)).toEqual(Buffer.from([0x88, 2, 1008 >> 8, 1008 & 0xff]))
})

test('messages of one turn leave in one write, until it is more than 512 KiB', async () => {
  const { pipe, peer } = await carried()
  const outcomes = [peer.send('one'), peer.send(new Uint8Array(2_000)), peer.send('three')]
  expect(pipe.writes).toEqual([])
  await turn()
  expect(outcomes).toEqual(['sent', 'sent', 'sent'])
  expect(pipe.writes.map(({ length }) => length)).toEqual([2 + 3 + 4 + 2_000 + 2 + 5])
  pipe.writes.length = 0
  for (let n = 0; n < 3; n++) peer.send(new Uint8Array(200_000))
  expect(pipe.writes.length).toBe(1)
})

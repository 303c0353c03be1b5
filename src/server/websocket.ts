import websocketPlugin from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import type { WebSocket } from 'ws'
import * as z from 'zod/mini'
import { ERRORS } from '../protocol/errors.ts'
import { SUBPROTOCOL } from '../protocol/frames.ts'
import { SessionId } from '../protocol/http.ts'
import { RelayError } from '../relay/error.ts'
import type { PeerSocket } from '../relay/ports.ts'
import type { Relay } from '../relay/relay.ts'
import { sessionIdOf } from './routes.ts'

/** Bytes a socket may have taken and not yet passed to the kernel before it counts as congested. */
const CONGESTED_BYTES = 512 * 1024

/** How long a peer may take to answer a close before its connection is cut, in ms. The types of ws do not know it yet. */
const closeTimeout = { closeTimeout: 1_500 }

/** The one WebSocket: `GET /v1/sessions/{sessionId}/socket`. */
export async function websocket(app: FastifyInstance, options: { relay: Relay; maxFrameBytes: number }): Promise<void> {
  const { relay, maxFrameBytes } = options
  await app.register(websocketPlugin, {
    options: {
      maxPayload: maxFrameBytes,
      ...closeTimeout,
      // Ciphertext does not compress, and trying costs a tenth of the speed and a window of memory per socket.
      perMessageDeflate: false,
      handleProtocols: (offered: Set<string>) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    },
    // What ws finds wrong with a frame it answers itself, with the right close code.
    errorHandler: () => {},
    // The relay says goodbye in its own words; see `Relay.drain`.
    preClose: (done: () => void) => done(),
  })

  app.route({
    method: 'GET',
    url: '/v1/sessions/:sessionId/socket',
    schema: { params: z.object({ sessionId: SessionId }) },
    preHandler: async (request) => {
      if (!request.ws) throw new RelayError('invalid_request', 'this path takes a WebSocket upgrade')
      const offered = request.headers['sec-websocket-protocol'] ?? ''
      if (!offered.split(',').some((each) => each.trim() === SUBPROTOCOL)) {
        throw new RelayError('invalid_request', `Sec-WebSocket-Protocol must offer ${SUBPROTOCOL}`)
      }
    },
    handler: async (_request, reply) => reply,
    // Listeners are attached in the same turn as the upgrade, or early frames would be lost.
    wsHandler: (socket, request) => carry(relay, sessionIdOf(request), socket),
  })
}

function carry(relay: Relay, sessionId: string, socket: WebSocket): void {
  let congested = false
  const sent = () => {
    if (!congested || socket.bufferedAmount > CONGESTED_BYTES / 2) return
    congested = false
    connection.drained()
  }
  const peer: PeerSocket = {
    send: (data) => {
      socket.send(data, { binary: typeof data !== 'string' }, sent)
      congested = socket.bufferedAmount > CONGESTED_BYTES
      return congested ? 'congested' : 'sent'
    },
    ping: () => socket.ping(),
    close: (code) => socket.close(ERRORS[code].closeCode, code),
    destroy: () => socket.terminate(),
  }
  const connection = relay.attachments.connect(sessionId, peer)
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    connection.receive(isBinary ? owned(data) : data.toString())
  })
  socket.on('pong', () => connection.pong())
  socket.on('close', () => connection.gone())
}

/**
 * A frame the relay can keep. One that is a small part of the buffer it was read into is copied, or it would hold all of
 * that buffer while it waits and memory would not be what the window says.
 */
function owned(data: Buffer): Uint8Array {
  return data.length * 2 < data.buffer.byteLength ? new Uint8Array(data) : data
}

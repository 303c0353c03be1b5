import type { ServerResponse } from 'node:http'
import websocketPlugin from '@fastify/websocket'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { CloseErrorCode } from '../../protocol/errors.ts'
import { SUBPROTOCOL } from '../../protocol/view.ts'
import { RelayError } from '../../relay/errors.ts'
import type { Relay } from '../../relay/relay.ts'
import { answerUpgradeError } from '../http/problems.ts'
import type { Refusals } from '../http/refusals.ts'
import { type ByZod, SessionParams } from '../http/request.ts'
import type { ConcurrencyLimit } from '../limits/concurrency-limit.ts'
import type { Origins } from '../limits/origins.ts'
import type { RateLimits } from '../limits/rate-limits.ts'
import { carry } from './client-socket.ts'

/**
 * Options of ws that its types do not know yet. A peer has so many milliseconds to answer a close. A message that comes in
 * more pieces than these ends its socket with 1008, because each piece costs far more memory than a byte. A fragment is such a
 * piece, and so is each read of a message that is fragmented.
 */
export const MORE_OPTIONS = { closeTimeout: 1_500, maxBufferedChunks: 4_096, maxFragments: 4_096 }

/** Closes that a client does nothing wrong for. */
const NORMAL_CLOSES: ReadonlySet<CloseErrorCode> = new Set([
  'session_gone',
  'going_away',
  'resume_required',
  'superseded',
])

/** The one WebSocket: `GET /v1/sessions/{sessionId}/socket`. */
export async function websocket(
  app: FastifyInstance,
  options: {
    relay: Relay
    maxFrameBytes: number
    origins: Origins
    refusals: Refusals
    rates: RateLimits
    sockets: ConcurrencyLimit
  },
): Promise<void> {
  const { relay, maxFrameBytes, origins, refusals, rates, sockets } = options
  await app.register(websocketPlugin, {
    options: {
      maxPayload: maxFrameBytes,
      ...MORE_OPTIONS,
      // Ciphertext does not compress, and trying costs a tenth of the speed and a window of memory per socket.
      perMessageDeflate: false,
      handleProtocols: (offered: Set<string>) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    },
    // The relay says goodbye in its own words; see `Relay.drain`.
    preClose: (done: () => void) => done(),
  })

  // ws would refuse other faults of an upgrade in its own words.
  app.websocketServer.on('wsClientError', answerUpgradeError)
  const answers = new WeakMap<FastifyRequest, ServerResponse>()
  app.withTypeProvider<ByZod>().route({
    method: 'GET',
    url: '/v1/sessions/:sessionId/socket',
    schema: { params: SessionParams },
    // A HEAD cannot be upgraded, and there is nothing else to see.
    exposeHeadRoute: false,
    preHandler: async (request, reply) => {
      const { headers } = request
      if (!request.ws) throw new RelayError('invalid_request', 'this path takes a WebSocket upgrade')
      if (!(headers['sec-websocket-protocol'] ?? '').split(',').some((each) => each.trim() === SUBPROTOCOL)) {
        throw new RelayError('invalid_request', `Sec-WebSocket-Protocol must offer ${SUBPROTOCOL}`)
      }
      const { clientAddress, raw } = request
      origins.checkOrigin(raw)
      sockets.takeOrRefuse(clientAddress)
      raw.socket.once('close', () => sockets.release(clientAddress))
      await rates.attach?.(request)
      answers.set(request, reply.raw)
    },
    handler: async () => {
      throw new RelayError('invalid_request', 'this path takes a WebSocket upgrade')
    },
    wsHandler: (socket, request) => {
      // The plugin would keep the request and its answer for as long as the socket lives: half of what one costs.
      for (const listener of socket.listeners('error')) socket.off('error', listener as () => void)
      answers.get(request)?.detachSocket(request.raw.socket)
      carry(relay, request.params.sessionId, socket, request.raw.socket, maxFrameBytes, (code) => {
        if (!NORMAL_CLOSES.has(code)) refusals.count(code)
      })
    },
  })
}

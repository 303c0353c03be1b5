import type { FastifyInstance, FastifyRequest } from 'fastify'
import * as z from 'zod/mini'
import { CIPHERTEXT_TYPE, SessionId } from '../../protocol/fields.ts'
import { FRAME_HEADER_BYTES } from '../../protocol/limits.ts'
import { ChannelInPath, FrameQuery, SeqInPath } from '../../protocol/requests.ts'
import { FramePosition } from '../../protocol/responses.ts'
import { zodOf } from '../../protocol/zod.ts'
import { RelayError } from '../../relay/errors.ts'
import type { FrameCall, Relay } from '../../relay/relay.ts'
import { type ByZod, noContent, tokenBeforeBody, tokenOf, withToken } from './request.ts'

const PATH = '/v1/sessions/:sessionId/channels/:channel/frames/:seq'
const FrameParams = z.object({ sessionId: zodOf(SessionId), channel: ChannelInPath, seq: SeqInPath })
const Bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array)

/** The schema of a call about a frame: what it answers beside its path and query. */
function frameCall(summary: string, status?: 200, answer?: z.ZodMiniType) {
  return { ...withToken(summary, FrameParams, status, answer), querystring: FrameQuery }
}

/** Frames for clients that cannot hold a socket. Bodies are ciphertext, without a frame's header. */
export async function frameRoutes(
  instance: FastifyInstance,
  { relay, maxFrameBytes }: { relay: Relay; maxFrameBytes: number },
): Promise<void> {
  const app = instance.withTypeProvider<ByZod>()
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(CIPHERTEXT_TYPE, { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  const onRequest = tokenBeforeBody(relay, FrameParams, FrameQuery)
  app.put(
    PATH,
    {
      bodyLimit: maxFrameBytes - FRAME_HEADER_BYTES,
      onRequest,
      schema: {
        ...frameCall('Put the next frame of an own direction, its ciphertext as the body', 200, zodOf(FramePosition)),
        consumes: [CIPHERTEXT_TYPE],
      },
    },
    async (request) => {
      const { body } = request
      if (!(body instanceof Uint8Array) || body.length === 0) throw new RelayError('invalid_request', 'no ciphertext')
      return relay.putFrame(callOf(request), body)
    },
  )
  const fetching = frameCall('Fetch a frame that came for the caller; 204 while it is not there', 200, Bytes)
  app.get(
    PATH,
    { exposeHeadRoute: false, schema: { ...fetching, response: { ...fetching.response, 204: z.void() } } },
    async (request, reply) => {
      const ciphertext = await relay.fetchFrame(callOf(request))
      if (!ciphertext) return reply.code(204).send()
      return reply.type(CIPHERTEXT_TYPE).send(ciphertext)
    },
  )
  app.delete(
    PATH,
    { onRequest, schema: frameCall('Ack every frame that came for the caller, up to this one') },
    (request, reply) => noContent(reply, relay.ackFrames(callOf(request))),
  )
}

function callOf(request: {
  readonly params: z.infer<typeof FrameParams>
  readonly query: z.infer<typeof FrameQuery>
  readonly headers: FastifyRequest['headers']
}): FrameCall {
  const { params, query } = request
  return { ...params, token: tokenOf(request), attachment: query.attachment }
}

import type { FastifyInstance, FastifyRequest } from 'fastify'
import * as z from 'zod/mini'
import { CIPHERTEXT_TYPE, SessionId } from '../../protocol/fields.ts'
import { FRAME_HEADER_BYTES } from '../../protocol/limits.ts'
import { ChannelInPath, FrameQuery, SeqInPath } from '../../protocol/requests.ts'
import { FramePosition } from '../../protocol/responses.ts'
import { RelayError } from '../../relay/errors.ts'
import type { FrameCall, Relay } from '../../relay/relay.ts'
import { answers, tokenBeforeBody, tokenOf, withToken } from './sessions.ts'

const PATH = '/v1/sessions/:sessionId/channels/:channel/frames/:seq'
const FrameParams = z.object({ sessionId: SessionId, channel: ChannelInPath, seq: SeqInPath })
const Bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array)

/** Frames for clients that cannot hold a socket. Bodies are ciphertext, without a frame's header. */
export async function frameRoutes(
  app: FastifyInstance,
  { relay, maxFrameBytes }: { relay: Relay; maxFrameBytes: number },
): Promise<void> {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(CIPHERTEXT_TYPE, { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.put(
    PATH,
    {
      bodyLimit: maxFrameBytes - FRAME_HEADER_BYTES,
      onRequest: tokenBeforeBody(relay, FrameParams, FrameQuery),
      schema: {
        summary: 'Put the next frame of an own direction, its ciphertext as the body',
        consumes: [CIPHERTEXT_TYPE],
        ...withToken,
        params: FrameParams,
        querystring: FrameQuery,
        response: answers(200, FramePosition),
      },
    },
    async (request) => {
      const body = request.body
      if (!(body instanceof Uint8Array) || body.length === 0) throw new RelayError('invalid_request', 'no ciphertext')
      return relay.putFrame(callOf(request), body)
    },
  )
  app.get(
    PATH,
    {
      exposeHeadRoute: false,
      schema: {
        summary: 'Fetch a frame that came for the caller; 204 while it is not there',
        ...withToken,
        params: FrameParams,
        querystring: FrameQuery,
        response: { ...answers(200, Bytes), 204: z.void() },
      },
    },
    async (request, reply) => {
      const ciphertext = await relay.fetchFrame(callOf(request))
      if (!ciphertext) return reply.code(204).send()
      return reply.type(CIPHERTEXT_TYPE).send(ciphertext)
    },
  )
  app.delete(
    PATH,
    {
      schema: {
        summary: 'Ack every frame that came for the caller, up to this one',
        ...withToken,
        params: FrameParams,
        querystring: FrameQuery,
        response: answers(204, z.void()),
      },
    },
    async (request, reply) => {
      await relay.ackFrames(callOf(request))
      return reply.code(204).send()
    },
  )
}

function callOf(request: FastifyRequest): FrameCall {
  const { attachment } = request.query as z.infer<typeof FrameQuery>
  return { ...(request.params as z.infer<typeof FrameParams>), token: tokenOf(request), attachment }
}

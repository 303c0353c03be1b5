import type { FastifyInstance } from 'fastify'
import * as z from 'zod/mini'
import { Code, SessionId } from '../../protocol/fields.ts'
import {
  AttachRequest,
  CreateSessionRequest,
  DecisionRequest,
  JoinRequest,
  ViewQuery,
} from '../../protocol/requests.ts'
import { CreateSessionResponse, JoinResponse } from '../../protocol/responses.ts'
import { AttachedView, View } from '../../protocol/view.ts'
import { zodOf } from '../../protocol/zod.ts'
import { CodeUsedUp, RelayError } from '../../relay/errors.ts'
import type { Relay } from '../../relay/relay.ts'
import { addressText } from '../limits/client-address.ts'
import type { ConcurrencyLimit } from '../limits/concurrency-limit.ts'
import type { RateLimit, RateLimits } from '../limits/rate-limits.ts'
import { answers, type ByZod, noContent, SessionParams, tokenBeforeBody, tokenOf, withToken } from './request.ts'

const ReceiverParams = z.object({ sessionId: zodOf(SessionId), receiverCode: zodOf(Code) })

export interface RouteOptions {
  readonly relay: Relay
  readonly rates: RateLimits
  /** Refuses who may not open a session. */
  readonly access: RateLimit | undefined
  readonly polls: ConcurrencyLimit
}

/** The HTTP commands of protocol v1. Each is its schema, one call of the relay, and its status. */
export async function routes(instance: FastifyInstance, { relay, rates, access, polls }: RouteOptions): Promise<void> {
  const app = instance.withTypeProvider<ByZod>()
  app.post(
    '/v1/sessions',
    {
      onRequest: asked(rates.create, access),
      schema: {
        summary: 'Register a sender code',
        body: CreateSessionRequest,
        response: answers(201, zodOf(CreateSessionResponse)),
      },
    },
    async ({ body, clientAddress }, reply) =>
      reply.code(201).send(await relay.createSession(body, addressText(clientAddress))),
  )
  app.post(
    '/v1/receivers',
    {
      onRequest: asked(rates.unknownCode.check, rates.join),
      schema: { summary: 'Enter a sender code', body: JoinRequest, response: answers(201, zodOf(JoinResponse)) },
    },
    async (request, reply) => {
      try {
        return reply.code(201).send(await relay.join(request.body, addressText(request.clientAddress)))
      } catch (error) {
        if (isGuess(error)) await rates.unknownCode.count(request)
        throw error
      }
    },
  )
  app.get(
    '/v1/sessions/:sessionId',
    {
      schema: {
        ...withToken(
          'The view of the caller, held while `version` is current, at most `waitMs`',
          SessionParams,
          200,
          zodOf(View),
        ),
        querystring: ViewQuery,
      },
    },
    async (request) => {
      const { clientAddress, params, query } = request
      polls.takeOrRefuse(clientAddress)
      try {
        return await relay.view(params.sessionId, tokenOf(request), {
          version: undefined,
          ...query,
          waitMs: query.waitMs ?? 0,
        })
      } finally {
        polls.release(clientAddress)
      }
    },
  )
  app.put(
    '/v1/sessions/:sessionId/attachment',
    {
      onRequest: asked(rates.attach, tokenBeforeBody(relay, SessionParams)),
      schema: { ...withToken('Attach without a socket', SessionParams, 200, zodOf(AttachedView)), body: AttachRequest },
    },
    (request) => relay.attach(request.params.sessionId, tokenOf(request), request.body.channels),
  )
  app.delete(
    '/v1/sessions/:sessionId',
    { onRequest: tokenBeforeBody(relay, SessionParams), schema: withToken('Sender: end the session', SessionParams) },
    (request, reply) => noContent(reply, relay.closeSession(request.params.sessionId, tokenOf(request))),
  )
  app.delete(
    '/v1/sessions/:sessionId/code',
    {
      onRequest: tokenBeforeBody(relay, SessionParams),
      schema: withToken('Sender: take no more joins', SessionParams),
    },
    (request, reply) => noContent(reply, relay.retireCode(request.params.sessionId, tokenOf(request))),
  )
  app.put(
    '/v1/sessions/:sessionId/receivers/:receiverCode/decision',
    {
      onRequest: tokenBeforeBody(relay, ReceiverParams),
      schema: { ...withToken('Sender: approve or deny a receiver, once', ReceiverParams), body: DecisionRequest },
    },
    (request, reply) => {
      const { sessionId, receiverCode } = request.params
      return noContent(reply, relay.decide(sessionId, tokenOf(request), receiverCode, request.body))
    },
  )
  app.delete(
    '/v1/sessions/:sessionId/receivers/:receiverCode',
    {
      onRequest: tokenBeforeBody(relay, ReceiverParams),
      schema: withToken('Receiver: done, or leave. Sender: revoke', ReceiverParams),
    },
    (request, reply) => {
      const { sessionId, receiverCode } = request.params
      return noContent(reply, relay.endReceiver(sessionId, tokenOf(request), receiverCode))
    },
  )
}

/** The hooks of those that there are. */
function asked(...hooks: readonly (RateLimit | undefined)[]): RateLimit[] {
  return hooks.filter((hook) => hook !== undefined)
}

/** Reports whether a join named a code that nobody has, and not one that its client address has used up. */
function isGuess(error: unknown): boolean {
  return error instanceof RelayError && error.code === 'session_not_found' && !(error instanceof CodeUsedUp)
}

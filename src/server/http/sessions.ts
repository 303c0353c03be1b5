import type { FastifyInstance, FastifyRequest } from 'fastify'
import * as z from 'zod/mini'
import { Code, SessionId, Token } from '../../protocol/fields.ts'
import {
  AttachRequest,
  CreateSessionRequest,
  DecisionRequest,
  JoinRequest,
  ViewQuery,
} from '../../protocol/requests.ts'
import { CreateSessionResponse, JoinResponse, Problem } from '../../protocol/responses.ts'
import { AttachedView, View } from '../../protocol/view.ts'
import { CodeUsedUp, RelayError } from '../../relay/errors.ts'
import type { Relay } from '../../relay/relay.ts'
import { sourceOf } from '../limits/client-address.ts'
import type { HeldLimit } from '../limits/held-limits.ts'
import type { RateLimits } from '../limits/rate-limits.ts'

export const SessionParams = z.object({ sessionId: SessionId })
const ReceiverParams = z.object({ sessionId: SessionId, receiverCode: Code })
const Nothing = z.void()

export interface RouteOptions {
  readonly relay: Relay
  readonly rates: RateLimits
  readonly polls: HeldLimit
}

/** The HTTP commands of protocol v1. Each is its schema, one call of the relay, and its status. */
export async function routes(app: FastifyInstance, { relay, rates, polls }: RouteOptions): Promise<void> {
  app.post(
    '/v1/sessions',
    {
      onRequest: rates.create,
      schema: {
        summary: 'Register a sender code',
        body: CreateSessionRequest,
        response: answers(201, CreateSessionResponse),
      },
    },
    async (request, reply) =>
      reply
        .code(201)
        .send(await relay.createSession(bodyOf(request, CreateSessionRequest), sourceOf(request.clientAddress))),
  )
  app.post(
    '/v1/receivers',
    {
      onRequest: [rates.unknownCode.check, rates.join],
      schema: { summary: 'Enter a sender code', body: JoinRequest, response: answers(201, JoinResponse) },
    },
    async (request, reply) => {
      try {
        return reply.code(201).send(await relay.join(bodyOf(request, JoinRequest), sourceOf(request.clientAddress)))
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
        summary: 'The view of the caller, held while `version` is current, at most `waitMs`',
        ...withToken,
        params: SessionParams,
        querystring: ViewQuery,
        response: answers(200, View),
      },
    },
    async (request) => {
      const { waitMs = 0, ...query } = request.query as z.infer<typeof ViewQuery>
      const poll = { version: undefined, waitMs, ...query }
      polls.takeOrRefuse(request.clientAddress)
      try {
        return await relay.view(sessionIdOf(request), tokenOf(request), poll)
      } finally {
        polls.release(request.clientAddress)
      }
    },
  )
  app.put(
    '/v1/sessions/:sessionId/attachment',
    {
      onRequest: [rates.attach, tokenBeforeBody(relay, SessionParams)],
      schema: {
        summary: 'Attach without a socket',
        ...withToken,
        params: SessionParams,
        body: AttachRequest,
        response: answers(200, AttachedView),
      },
    },
    async (request) => {
      const { channels } = bodyOf(request, AttachRequest)
      return relay.attach(sessionIdOf(request), tokenOf(request), channels)
    },
  )
  app.delete(
    '/v1/sessions/:sessionId',
    {
      schema: {
        summary: 'Sender: end the session',
        ...withToken,
        params: SessionParams,
        response: answers(204, Nothing),
      },
    },
    async (request, reply) => {
      await relay.closeSession(sessionIdOf(request), tokenOf(request))
      return reply.code(204).send()
    },
  )
  app.delete(
    '/v1/sessions/:sessionId/code',
    {
      schema: {
        summary: 'Sender: take no more joins',
        ...withToken,
        params: SessionParams,
        response: answers(204, Nothing),
      },
    },
    async (request, reply) => {
      await relay.retireCode(sessionIdOf(request), tokenOf(request))
      return reply.code(204).send()
    },
  )
  app.put(
    '/v1/sessions/:sessionId/receivers/:receiverCode/decision',
    {
      onRequest: tokenBeforeBody(relay, ReceiverParams),
      schema: {
        summary: 'Sender: approve or deny a receiver, once',
        ...withToken,
        params: ReceiverParams,
        body: DecisionRequest,
        response: answers(204, Nothing),
      },
    },
    async (request, reply) => {
      const decision = bodyOf(request, DecisionRequest)
      await relay.decide(sessionIdOf(request), tokenOf(request), receiverCodeOf(request), decision)
      return reply.code(204).send()
    },
  )
  app.delete(
    '/v1/sessions/:sessionId/receivers/:receiverCode',
    {
      schema: {
        summary: 'Receiver: done, or leave. Sender: revoke',
        ...withToken,
        params: ReceiverParams,
        response: answers(204, Nothing),
      },
    },
    async (request, reply) => {
      await relay.endReceiver(sessionIdOf(request), tokenOf(request), receiverCodeOf(request))
      return reply.code(204).send()
    },
  )
}

/** Reports whether a join named a code that nobody has, and not one that its client address has used up. */
function isGuess(error: unknown): boolean {
  return error instanceof RelayError && error.code === 'session_not_found' && !(error instanceof CodeUsedUp)
}

export const withToken = { security: [{ token: [] }] }

export function answers(status: number, schema: z.ZodMiniType) {
  return { [status]: schema, '4xx': Problem, '5xx': Problem }
}

/** Checks the form of path and query, and then the token, of a call whose body is not to be read for anybody else. */
export function tokenBeforeBody(relay: Relay, params: z.ZodMiniType, query: z.ZodMiniType = z.unknown()) {
  return async (request: FastifyRequest) => {
    for (const [schema, value] of [
      [params, request.params],
      [query, request.query],
    ] as const) {
      const { error } = schema.safeParse(value)
      if (error) throw new RelayError('invalid_request', detailOf(error))
    }
    await relay.checkToken(sessionIdOf(request), tokenOf(request))
  }
}

/** The first thing that is wrong with a request, without what is in it. */
export function detailOf({ issues: [issue] }: z.core.$ZodError): string {
  return `${issue?.path.join('.') || 'it'}: ${issue?.message ?? 'not of the documented form'}`
}

/** The bearer token of a request. Throws `unauthorized` when there is none of the right form. */
export function tokenOf(request: FastifyRequest): string {
  const token = /^Bearer ([A-Za-z0-9_-]+)$/.exec(request.headers.authorization ?? '')?.[1]
  if (token === undefined || !Token.safeParse(token).success) throw new RelayError('unauthorized')
  return token
}

export function sessionIdOf(request: FastifyRequest): string {
  return (request.params as z.infer<typeof SessionParams>).sessionId
}

function receiverCodeOf(request: FastifyRequest): string {
  return (request.params as z.infer<typeof ReceiverParams>).receiverCode
}

/** The body, which the validator of the route has already checked against this very schema. */
function bodyOf<T>(request: FastifyRequest, _schema: z.ZodMiniType<T>): T {
  return request.body as T
}

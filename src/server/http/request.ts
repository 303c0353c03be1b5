import type { FastifyInstance, FastifyReply, FastifyRequest, FastifyTypeProvider } from 'fastify'
import * as z from 'zod/mini'
import { SessionId, Token } from '../../protocol/fields.ts'
import { Problem } from '../../protocol/responses.ts'
import { zodOf } from '../../protocol/zod.ts'
import { RelayError } from '../../relay/errors.ts'
import type { Relay } from '../../relay/relay.ts'

/** Types the parts of a request by the zod schemas of its route. */
export interface ByZod extends FastifyTypeProvider {
  readonly validator: this['schema'] extends z.core.$ZodType ? z.output<this['schema']> : unknown
}

export const SessionParams = z.object({ sessionId: zodOf(SessionId) })

/** Validates with zod, and reads no body but JSON. */
export function validateByZod(app: FastifyInstance): void {
  // Fastify takes text/plain, which a page may send across origins without asking.
  app.removeContentTypeParser('text/plain')
  app.setValidatorCompiler<z.ZodMiniType>(({ schema }) => (data: unknown) => {
    const { data: value, error } = schema.safeParse(data)
    return error ? { error: new Error(detailOf(error)) } : { value }
  })
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
}

/** The schema of a call with a token: what is in its path, and what it answers. */
export function withToken<P extends z.ZodMiniType>(
  summary: string,
  params: P,
  status: 200 | 204 = 204,
  answer: z.ZodMiniType = z.void(),
) {
  return { summary, security: [{ token: [] }], params, response: answers(status, answer) }
}

export function answers(status: number, schema: z.ZodMiniType) {
  return { [status]: schema, '4xx': zodOf(Problem), '5xx': zodOf(Problem) }
}

/** Checks the form of path and query, and then the token, of a call whose body is not to be read for anybody else. */
export function tokenBeforeBody(
  relay: Relay,
  params: z.ZodMiniType<{ readonly sessionId: string }>,
  query: z.ZodMiniType = z.unknown(),
) {
  return async (request: FastifyRequest) => {
    const { sessionId } = valid(params, request.params)
    valid(query, request.query)
    await relay.checkToken(sessionId, tokenOf(request))
  }
}

function valid<T>(schema: z.ZodMiniType<T>, value: unknown): T {
  const { data, error } = schema.safeParse(value)
  if (error) throw new RelayError('invalid_request', detailOf(error))
  return data
}

/** The first thing that is wrong with a request, without what is in it. */
function detailOf({ issues: [issue] }: z.core.$ZodError): string {
  return `${issue?.path.join('.') || 'it'}: ${issue?.message ?? 'not of the documented form'}`
}

/** Answers with nothing but that a call is done. */
export async function noContent(reply: FastifyReply, done: Promise<void>): Promise<FastifyReply> {
  await done
  return reply.code(204).send()
}

/** The bearer token of a request. Throws `unauthorized` when there is none of the right form. */
export function tokenOf({ headers }: Pick<FastifyRequest, 'headers'>): string {
  const token = /^Bearer ([A-Za-z0-9_-]+)$/.exec(headers.authorization ?? '')?.[1]
  if (token === undefined || !Token.safeParse(token).success) throw new RelayError('unauthorized')
  return token
}

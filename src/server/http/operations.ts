import swagger from '@fastify/swagger'
import type { FastifyInstance, FastifySchema } from 'fastify'
import * as z from 'zod/mini'
import { CIPHERTEXT_TYPE } from '../../protocol/fields.ts'
import { SUBPROTOCOL } from '../../protocol/view.ts'
import { KNOWN_WORDS } from '../../protocol/zod.ts'
import type { Relay } from '../../relay/relay.ts'
import type { ClientAddresses } from '../limits/client-address.ts'
import { answerProblem } from './problems.ts'

// Without a locale every message of zod/mini is "Invalid input".
z.config(z.locales.en())

/** Health, readiness, version, and how a client's address is seen. */
export async function operations(
  app: FastifyInstance,
  { relay, version, page, addresses }: { relay: Relay; version: string; page: boolean; addresses: ClientAddresses },
): Promise<void> {
  const hidden = { schema: { hide: true } }
  app.get('/healthz', hidden, async () => ({ status: 'alive' }))
  app.get('/readyz', hidden, async (_request, reply) => {
    return relay.unready ? answerProblem(reply, relay.unready) : { status: 'ready' }
  })
  app.get('/version', hidden, async () => ({ name: 'pairlay', version, protocol: SUBPROTOCOL, features: [], page }))
  app.get('/v1/address', hidden, async ({ raw }) => addresses.describe(raw))
  app.get('/openapi.json', hidden, async () => app.swagger())
}

/** Makes the OpenAPI document from the schemas of the routes that are added after it. */
export async function describeRoutes(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Pairlay relay',
        version,
        description: 'The HTTP commands of pairlay.v1; PROTOCOL.md has the rest.',
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    },
    transform: ({ schema, url }) => ({ schema: schema && jsonSchemasOf(schema), url }),
  })
}

/** Bytes, in the words of OpenAPI. */
const BYTES = { type: 'string', format: 'binary' }

/** Prints the words that a schema knows. A client has to take any other as well. */
function override({ zodSchema, jsonSchema }: { zodSchema: object; jsonSchema: { enum?: unknown[] } }): void {
  const words = KNOWN_WORDS.get(zodSchema)
  if (words) jsonSchema.enum = [...words]
}

/** A route's zod schemas as JSON Schema, for the OpenAPI document. */
function jsonSchemasOf(schema: FastifySchema): FastifySchema {
  const convert = (each: unknown, io: 'input' | 'output' = 'output') =>
    each instanceof z.core.$ZodType ? z.toJSONSchema(each, { unrepresentable: 'any', io, override }) : each
  const answered = (each: unknown) =>
    each instanceof z.ZodMiniCustom ? { content: { [CIPHERTEXT_TYPE]: { schema: BYTES } } } : convert(each)
  const { body, params, querystring, response, consumes } = schema
  return {
    ...schema,
    ...(body ? { body: convert(body, 'input') } : consumes ? { body: BYTES } : {}),
    ...(params ? { params: convert(params) } : {}),
    ...(querystring ? { querystring: convert(querystring) } : {}),
    ...(response
      ? { response: Object.fromEntries(Object.entries(response).map(([status, each]) => [status, answered(each)])) }
      : {}),
  }
}

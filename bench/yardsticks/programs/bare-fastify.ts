import { hash, randomBytes } from 'node:crypto'
import { fastify } from 'fastify'
import type * as Requests from '../../../src/protocol/requests.ts'

/**
 * Fastify with the two commands of strangers as a route each. Bodies are checked by the relay's own schemas, an answer has as
 * many fresh random bytes and a digest of its token is made, as the relay keeps it. There is nothing else behind them.
 */

const build = new URL('../../../../dist/protocol/requests.js', import.meta.url)
const { CreateSessionRequest, JoinRequest }: typeof Requests = await import(build.href)

const limits = { windowBytes: 2_098_176, maxFrameBytes: 262_272, maxReceivers: 8, ttlSeconds: 3600 }
const word = (bytes: number) => randomBytes(bytes).toString('base64url')

function fresh() {
  const token = word(32)
  return { token, digest: hash('sha256', token), expiresInMs: 3_600_000, limits }
}

const app = fastify()
app.setValidatorCompiler<typeof CreateSessionRequest>(({ schema }) => (data: unknown) => {
  const { data: value, error } = schema.safeParse(data)
  return error ? { error: new Error('invalid') } : { value }
})
app.setSerializerCompiler(() => (data) => JSON.stringify(data))
app.post('/v1/sessions', { schema: { body: CreateSessionRequest } }, async (_request, reply) => {
  const { digest, ...answer } = fresh()
  return reply.code(201).send({ sessionId: word(16), ...answer })
})
app.post('/v1/receivers', { schema: { body: JoinRequest } }, async (_request, reply) => {
  const { digest, ...answer } = fresh()
  return reply.code(201).send({ sessionId: 'of-the-sender-of-22-ch', channel: 1, ...answer })
})
await app.listen({ host: '127.0.0.1', port: 0 })
const address = app.server.address()
process.stdout.write(`port ${typeof address === 'object' ? address?.port : ''}\n`)

import { bareFastify, CreateSessionRequest, fresh, JoinRequest, listen, word } from './bare.ts'

/**
 * Fastify with the two commands of strangers as a route each. Bodies are checked by the relay's own schemas, an answer has as
 * many fresh random bytes and a digest of its token is made, as the relay keeps it. There is nothing else behind them.
 */

const app = bareFastify()
app.post('/v1/sessions', { schema: { body: CreateSessionRequest } }, async (_request, reply) => {
  const { digest, ...answer } = fresh()
  return reply.code(201).send({ sessionId: word(16), ...answer })
})
app.post('/v1/receivers', { schema: { body: JoinRequest } }, async (_request, reply) => {
  const { digest, ...answer } = fresh()
  return reply.code(201).send({ sessionId: 'of-the-sender-of-22-ch', channel: 1, ...answer })
})
await listen(app)

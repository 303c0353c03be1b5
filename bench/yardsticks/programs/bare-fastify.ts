import { randomBytes } from 'node:crypto'
import { fastify } from 'fastify'

/** Fastify with the two commands of strangers as a route each, JSON in and out by schema, and nothing behind them. */

const text = { type: 'string' } as const
const whole = { type: 'integer' } as const
const limits = {
  type: 'object',
  properties: { windowBytes: whole, maxFrameBytes: whole, maxReceivers: whole, ttlSeconds: whole },
} as const
const body = (properties: Record<string, unknown>) => ({ type: 'object', required: ['senderCode'], properties })
const answer = (properties: Record<string, unknown>) => ({ 201: { type: 'object', properties } })

const answered = {
  sessionId: randomBytes(16).toString('base64url'),
  token: randomBytes(32).toString('base64url'),
  channel: 1,
  expiresInMs: 3_600_000,
  limits: { windowBytes: 2_098_176, maxFrameBytes: 262_272, maxReceivers: 8, ttlSeconds: 3600 },
}

const app = fastify()
app.post(
  '/v1/sessions',
  {
    schema: {
      body: body({ clientId: text, senderCode: text, ttlSeconds: whole, maxReceivers: whole }),
      response: answer({ sessionId: text, token: text, expiresInMs: whole, limits }),
    },
  },
  async (_request, reply) => reply.code(201).send(answered),
)
app.post(
  '/v1/receivers',
  {
    schema: {
      body: body({ senderCode: text, receiverCode: text, publicKey: text, name: text }),
      response: answer({ sessionId: text, token: text, channel: whole, expiresInMs: whole, limits }),
    },
  },
  async (_request, reply) => reply.code(201).send(answered),
)
await app.listen({ host: '127.0.0.1', port: 0 })
const address = app.server.address()
process.stdout.write(`port ${typeof address === 'object' ? address?.port : ''}\n`)

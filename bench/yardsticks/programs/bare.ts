import { hash, randomBytes } from 'node:crypto'
import { type FastifyInstance, fastify } from 'fastify'
import type * as Requests from '../../../src/protocol/requests.ts'

/** Parts of the yardsticks that answer as the relay does: Fastify with the relay's own schemas, and fresh random bytes. */

const build = new URL('../../../../dist/protocol/requests.js', import.meta.url)
export const { CreateSessionRequest, JoinRequest, DecisionRequest }: typeof Requests = await import(build.href)

const limits = { windowBytes: 2_098_176, maxFrameBytes: 262_272, maxReceivers: 8, ttlSeconds: 3600 }

/** So many random bytes as a word. */
export const word = (bytes: number) => randomBytes(bytes).toString('base64url')

/** Parts of every answer to a command of strangers, and the digest of its token, as the relay keeps it. */
export function fresh() {
  const token = word(32)
  return { token, digest: hash('sha256', token), expiresInMs: 3_600_000, limits }
}

/** Fastify that checks bodies by zod, and does nothing else. */
export function bareFastify(): FastifyInstance {
  const app = fastify()
  app.setValidatorCompiler<typeof CreateSessionRequest>(({ schema }) => (data: unknown) => {
    const { data: value, error } = schema.safeParse(data)
    return error ? { error: new Error('invalid') } : { value }
  })
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
  return app
}

/** Listens on any port, and tells it. */
export async function listen(app: FastifyInstance): Promise<void> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  const address = app.server.address()
  process.stdout.write(`port ${typeof address === 'object' ? address?.port : ''}\n`)
}

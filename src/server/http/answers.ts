import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { HttpErrorCode } from '../../protocol/errors.ts'
import type { Refusals } from './refusals.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** The error that the answer is. */
    refusal: HttpErrorCode | undefined
  }
}

const upgrades = new WeakSet<IncomingMessage>()

/** Keeps answers out of caches, logs each at `debug`, and counts refusals. */
export function finishAnswers(app: FastifyInstance, refusals: Refusals): void {
  app.server.prependListener('upgrade', (request) => upgrades.add(request))
  app.decorateReply('refusal')
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
    reply.header('x-content-type-options', 'nosniff')
    done(null, payload)
  })
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'no route'
    const { statusCode: status, elapsedTime } = reply
    request.log.debug({ method: request.method, route, status, ms: Math.round(elapsedTime) }, 'answered')
    finish(refusals, request, reply)
    done()
  })
}

/** Does what follows an answer. Hooks do not run for what the framework refuses before routing. */
export function finish(refusals: Refusals, { raw }: FastifyRequest, { refusal }: FastifyReply): void {
  if (refusal) refusals.count(refusal)
  // An upgrade that was answered with anything but 101 is over, and Node has no time-out for its connection any more.
  if (upgrades.has(raw)) raw.socket.destroy()
}

import type { IncomingMessage } from 'node:http'
import cors from '@fastify/cors'
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import type { HttpErrorCode } from '../protocol/errors.ts'
import { BODY_MAX_BYTES, HEADERS_MAX_BYTES } from '../protocol/limits.ts'
import type { Clock } from '../relay/ports.ts'
import type { Relay } from '../relay/relay.ts'
import type { ClientLimits } from './config.ts'
import { frameRoutes } from './http/frames.ts'
import { describeRoutes, operations } from './http/operations.ts'
import { answerError, answerExpectation, answerParserError, answerProblem } from './http/problems.ts'
import { Refusals } from './http/refusals.ts'
import { validateByZod } from './http/request.ts'
import { routes } from './http/sessions.ts'
import { ADDRESS_WARNINGS, type AddressWarning, type ClientAddress, ClientAddresses } from './limits/client-address.ts'
import { Connections } from './limits/connections.ts'
import { HeldLimit } from './limits/held-limits.ts'
import { Origins } from './limits/origins.ts'
import { buildRateLimits, type SharedCounters } from './limits/rate-limits.ts'
import { slowDown } from './limits/tarpit.ts'
import { websocket } from './websocket/route.ts'

/**
 * Time-outs of HTTP, in milliseconds: for all headers, for the whole request, for an idle kept-alive connection. The last is
 * longer than any proxy's default: who closes first must be the proxy, which knows when it is about to send.
 */
export const HEADERS_TIMEOUT_MS = 8_000
export const REQUEST_TIMEOUT_MS = 10_000
export const KEEP_ALIVE_TIMEOUT_MS = 75_000
/** How long a stopping relay lets answers go out before it cuts connections, in milliseconds. */
const CUT_AFTER_MS = 500
/** How often Node looks for requests that are late; the time-outs are no finer than this. */
const TIMEOUT_CHECK_MS = 1_000

declare module 'fastify' {
  interface FastifyRequest {
    /** The address of who asks, through the proxies that are trusted. */
    clientAddress: ClientAddress
  }
  interface FastifyReply {
    /** The error that the answer is. */
    refusal: HttpErrorCode | undefined
  }
}

export interface AppOptions {
  readonly relay: Relay
  readonly maxFrameBytes: number
  /** The address that the server is going to listen on. */
  readonly host: string
  /** Origins of pages that may call, beside the relay's own. */
  readonly corsOrigins: readonly string[]
  readonly allowedHosts: readonly string[]
  /** Addresses and CIDR networks of proxies whose X-Forwarded-For is believed. */
  readonly trustProxy: readonly string[]
  readonly limits: ClientLimits
  /** Clients that nothing counts. */
  readonly rateLimitExempt: readonly string[]
  readonly maxConnections: number
  /** What several nodes count together. */
  readonly sharedCounters?: SharedCounters | undefined
  readonly clock: Clock
  readonly version: string
  readonly logger: FastifyBaseLogger
}

/**
 * Builds the HTTP and WebSocket edge around a relay. It never listens and starts no timer.
 */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { relay, maxFrameBytes, corsOrigins, limits, version, logger } = options
  const app: FastifyInstance = fastify({
    loggerInstance: logger,
    // Fastify's own request log has full URLs and addresses in it.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_MAX_BYTES,
    // A relay that stops refuses in its own words.
    return503OnClosing: false,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    http: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      maxHeaderSize: HEADERS_MAX_BYTES,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    },
    routerOptions: { maxParamLength: 128 },
    clientErrorHandler: answerParserError,
    frameworkErrors: (error, request, reply) => {
      // Hooks do not run for what the framework refuses before routing.
      reply.raw.once('finish', () => finish(request, reply))
      answerError(error, request, reply)
    },
  })
  app.server.on('checkExpectation', answerExpectation)
  const upgrades = new WeakSet<IncomingMessage>()
  app.server.prependListener('upgrade', (request) => upgrades.add(request))
  // An upgrade that was answered with anything but 101 is over. Node has let go of its connection, so that no time-out
  // would ever end it.
  const finish = ({ raw }: FastifyRequest, { refusal }: FastifyReply) => {
    if (refusal) refusals.count(refusal)
    if (upgrades.has(raw)) raw.socket.destroy()
  }
  validateByZod(app)
  const addresses = new ClientAddresses(options.trustProxy, options.rateLimitExempt)
  const refusals = new Refusals(logger, options.clock, addresses)
  const connections = new Connections(app.server, {
    max: options.maxConnections,
    maxPerAddress: limits.connections,
    addresses,
    refusals,
  })
  const origins = new Origins({ ...options, addresses })
  const unsaid = new Set(Object.keys(ADDRESS_WARNINGS) as AddressWarning[])
  app.decorateRequest('clientAddress')
  app.decorateReply('refusal')
  app.addHook('onRequest', (request, reply, done) => {
    request.clientAddress = addresses.of(request.raw)
    for (const warning of unsaid.size > 0 ? addresses.warnings(request.raw) : []) {
      if (unsaid.delete(warning)) logger.warn(ADDRESS_WARNINGS[warning])
    }
    connections.check(request.raw, reply)
    origins.checkHost(request.raw)
    done()
  })
  slowDown(app, limits, options.clock, () => relay.unready === 'going_away')
  app.setErrorHandler(answerError)
  app.setNotFoundHandler((_request, reply) => answerProblem(reply, 'not_found'))
  app.addHook('onSend', (_request, reply, payload, done) => {
    reply.header('cache-control', 'no-store')
    reply.header('x-content-type-options', 'nosniff')
    // A connection that is kept alive would hold a relay that stops.
    if (relay.unready === 'going_away') reply.header('connection', 'close')
    done(null, payload)
  })
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'no route'
    request.log.debug(
      { method: request.method, route, status: reply.statusCode, ms: Math.round(reply.elapsedTime) },
      'answered',
    )
    finish(request, reply)
    done()
  })
  await app.register(cors, {
    origin: corsOrigins.includes('*') ? '*' : [...corsOrigins],
    methods: ['GET', 'POST', 'PUT', 'DELETE'],
    allowedHeaders: ['authorization', 'content-type'],
    exposedHeaders: ['retry-after'],
    // What is no preflight after all would be refused in words of its own.
    strictPreflight: false,
    maxAge: 600,
  })
  await describeRoutes(app, version)
  const rates = await buildRateLimits(app, limits, options.sharedCounters)
  await app.register(websocket, {
    relay,
    maxFrameBytes,
    origins,
    refusals,
    rates,
    sockets: new HeldLimit(limits.sockets),
  })
  await app.register(routes, { relay, rates, polls: new HeldLimit(limits.polls) })
  await app.register(frameRoutes, { relay, maxFrameBytes })
  await app.register(operations, { relay, version })
  app.addHook('preClose', async () => {
    await relay.drain()
    const cut = new Promise<void>((resolve) => {
      const late = () => {
        // A peer that is in the middle of a request, or never began one, must not hold the process.
        app.server.closeAllConnections()
        resolve()
      }
      setTimeout(late, CUT_AFTER_MS).unref()
    })
    // Who is between two polls comes back for the last view, and is refused no connection until then.
    if (relay.awaitsPolls) await cut
  })
  return app
}

import fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyRequest, LogController } from 'fastify'
import { BODY_MAX_BYTES, HEADERS_MAX_BYTES } from '../protocol/limits.ts'
import type { Clock } from '../relay/ports.ts'
import type { Relay } from '../relay/relay.ts'
import type { ClientLimits } from './config.ts'
import { finish, finishAnswers } from './http/answers.ts'
import { frameRoutes } from './http/frames.ts'
import { describeRoutes, operations } from './http/operations.ts'
import { answerError, answerInProblems, answerParserError } from './http/problems.ts'
import { type RefusalKind, Refusals } from './http/refusals.ts'
import { validateByZod } from './http/request.ts'
import { routes } from './http/sessions.ts'
import { type AccessTokens, restrictCreates } from './limits/access.ts'
import { ClientAddresses, nameClients, networkOf } from './limits/client-address.ts'
import { ConcurrencyLimit } from './limits/concurrency-limit.ts'
import { limitConnections } from './limits/connections.ts'
import { letPagesIn, Origins } from './limits/origins.ts'
import { takeProxyProtocol } from './limits/proxy-protocol.ts'
import { buildRateLimits, type SharedCounters } from './limits/rate-limits.ts'
import { slowDown } from './limits/tarpit.ts'
import { type PageWords, page } from './page.ts'
import { stopWithLastWords } from './stop.ts'
import { websocket } from './websocket/route.ts'

/**
 * Time-outs of HTTP, in milliseconds: for all headers, for the whole request, for an idle kept-alive connection. The last is
 * longer than Caddy's 120 s, and other proxies' less: the proxy must close first, because it knows when it is about to send.
 */
export const HEADERS_TIMEOUT_MS = 8_000
export const REQUEST_TIMEOUT_MS = 10_000
export const KEEP_ALIVE_TIMEOUT_MS = 125_000
/** How often Node looks for requests that are late; the time-outs are no finer than this. */
const TIMEOUT_CHECK_MS = 1_000

const MISSED_PROXY_HEADER =
  'PROXY_PROTOCOL is on, and a connection of a proxy began without its header: it was reset. The proxy has to send one'

export interface AppOptions {
  readonly relay: Relay
  readonly maxFrameBytes: number
  /** The address that the server is going to listen on. */
  readonly host: string
  /** Set when it listens on a unix socket instead. */
  readonly isUnixSocket?: boolean
  /** Has connections of trusted proxies begin with a header of the PROXY protocol. */
  readonly proxyProtocol?: boolean
  /** Origins of pages that may call, beside the relay's own. */
  readonly corsOrigins: readonly string[]
  readonly allowedHosts: readonly string[]
  /** Addresses and CIDR networks of proxies whose X-Forwarded-For is believed. */
  readonly trustProxy: readonly string[]
  readonly limits: ClientLimits
  /** Clients that nothing counts. */
  readonly rateLimitExempt: readonly string[]
  /** Tokens of those who may open sessions, where not everybody may. */
  readonly accessTokens?: AccessTokens | undefined
  readonly createFrom: readonly string[]
  readonly maxConnections: number
  /** Counters of several nodes together. */
  readonly sharedCounters?: SharedCounters | undefined
  /** The folder of the page's files, and the operator's words on it. Undefined for a relay without one. */
  readonly page?: { readonly folder: URL; readonly words: PageWords } | undefined
  /** Hears of every refusal. */
  readonly refused?: (kind: RefusalKind) => void
  readonly clock: Clock
  readonly version: string
  readonly logger: FastifyBaseLogger
}

/** Builds the HTTP and WebSocket edge around a relay, one concern after the other. It never listens and starts no timer. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { relay, maxFrameBytes, corsOrigins, limits, clock, version, logger } = options
  const addresses = new ClientAddresses(options.trustProxy, options.rateLimitExempt, options.isUnixSocket)
  const refusals = new Refusals(logger, clock, addresses, options.refused)
  const origins = new Origins({ ...options, addresses })
  const isVerbose = logger.level === 'debug' || logger.level === 'trace'
  const app: FastifyInstance = fastify({
    loggerInstance: logger,
    // Fastify's own request log has full URLs and addresses in it.
    logController: new LogController({ disableRequestLogging: true }),
    // Only at the lowest levels has a request more than one line.
    childLoggerFactory: (log, bindings, options) => (isVerbose ? log.child(bindings, options) : log),
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
      reply.raw.once('finish', () => finish(refusals, request, reply))
      answerError(error, request, reply)
    },
  })
  const resetWaiting = options.proxyProtocol
    ? takeProxyProtocol(app.server, {
        isProxy: ({ remoteAddress }) => addresses.isTrusted(remoteAddress),
        told: (socket, address) => addresses.told(socket, address),
        missed: () => logger.warn(MISSED_PROXY_HEADER),
        timeoutMs: HEADERS_TIMEOUT_MS,
      })
    : () => {}
  answerInProblems(app)
  validateByZod(app)
  nameClients(app, addresses)
  limitConnections(app, { max: options.maxConnections, maxPerAddress: limits.connections, addresses, refusals })
  slowDown(app, limits, clock, () => relay.unready === 'going_away')
  finishAnswers(app, refusals)
  stopWithLastWords(app, relay)
  app.addHook('preClose', async () => resetWaiting())
  await letPagesIn(app, origins, corsOrigins)
  await describeRoutes(app, version)
  const rates = await buildRateLimits(app, limits, options.sharedCounters)
  const sockets = new ConcurrencyLimit(limits.sockets)
  await app.register(websocket, { relay, maxFrameBytes, origins, refusals, rates, sockets })
  const networks = options.createFrom.map(networkOf)
  const isFromNetworks = ({ raw }: FastifyRequest) => addresses.isFrom(networks, raw)
  const access = restrictCreates(networks.length > 0 ? isFromNetworks : undefined, options.accessTokens)
  await app.register(routes, { relay, rates, access, polls: new ConcurrencyLimit(limits.polls) })
  await app.register(frameRoutes, { relay, maxFrameBytes })
  await app.register(operations, { relay, version, page: options.page !== undefined, addresses })
  if (options.page) await app.register(page, { ...options.page, version })
  return app
}

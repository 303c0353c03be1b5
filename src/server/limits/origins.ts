import type { IncomingMessage } from 'node:http'
import { isIPv6 } from 'node:net'
import cors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'
import { RelayError } from '../../relay/errors.ts'
import { remembered } from '../../store/remembered.ts'
import type { ClientAddresses } from './client-address.ts'

export interface OriginOptions {
  /** The address that the relay listens on. */
  readonly host: string
  readonly corsOrigins: readonly string[]
  readonly allowedHosts: readonly string[]
  readonly addresses: ClientAddresses
}

/** Answers requests for the relay's own names alone, and lets pages of these origins call. */
export async function letPagesIn(app: FastifyInstance, origins: Origins, allowed: readonly string[]): Promise<void> {
  app.addHook('onRequest', ({ raw }, _reply, done) => {
    origins.checkHost(raw)
    done()
  })
  if (allowed.length === 0) {
    // A proxy may ask so whether the relay is up: HAProxy does, unless it is told otherwise.
    app.options('*', { schema: { hide: true } }, (_request, reply) => reply.code(204).send())
    return
  }
  await app.register(cors, {
    origin: allowed.includes('*') ? '*' : [...allowed],
    methods: ['GET', 'POST', 'PUT', 'DELETE'],
    allowedHeaders: ['authorization', 'content-type'],
    exposedHeaders: ['retry-after'],
    // Otherwise the plugin refuses an OPTIONS that is no preflight in its own words.
    strictPreflight: false,
    maxAge: 600,
  })
}

/** Keeps pages of other sites away: those that a browser names, and those whose name points here by DNS rebinding. */
export class Origins {
  readonly #origins: ReadonlySet<string>
  /** Reports whether a Host is one of those that are answered; undefined where all are. */
  readonly #isAnswered: ((host: string) => boolean) | undefined
  readonly #addresses: ClientAddresses

  constructor({ host, corsOrigins, allowedHosts, addresses }: OriginOptions) {
    this.#origins = new Set(corsOrigins)
    this.#addresses = addresses
    const onLoopback = isLoopback(nameOf(host))
    const origins = corsOrigins.filter((origin) => URL.canParse(origin)).map((origin) => new URL(origin).hostname)
    if (allowedHosts.includes('*') || (allowedHosts.length === 0 && !onLoopback)) return
    const names = new Set([...allowedHosts.map(nameOf), ...origins])
    this.#isAnswered = remembered((asked) => {
      const name = nameOf(asked)
      return name !== '' && (names.has(name) || (onLoopback && isLoopback(name)))
    })
  }

  /**
   * Throws RelayError `forbidden` for a Host that is not the relay's. A trusted proxy answers for what it passes on, and a
   * request without Host is no browser's.
   */
  checkHost({ headers, socket }: IncomingMessage): void {
    if (!this.#isAnswered || headers.host === undefined || this.#isAnswered(headers.host)) return
    if (this.#addresses.isTrusted(socket.remoteAddress)) return
    throw new RelayError('forbidden', 'this relay does not have the name in Host: see ALLOWED_HOSTS and TRUST_PROXY')
  }

  /** Throws RelayError `forbidden` for an upgrade from a page that may not call. What has no Origin is no browser. */
  checkOrigin({ headers, socket }: IncomingMessage): void {
    const { origin } = headers
    if (origin === undefined || this.#origins.has('*') || this.#origins.has(origin)) return
    if (isOriginOf(origin, headers.host)) return
    const forwarded = headers['x-forwarded-host']
    if (this.#addresses.isTrusted(socket.remoteAddress) && isOriginOf(origin, String(forwarded ?? ''))) return
    throw new RelayError('forbidden', 'pages of this origin may not call: see CORS_ORIGINS')
  }
}

/** Reports whether a page of this origin came from this host. Its scheme is a proxy's affair. */
function isOriginOf(origin: string, host = ''): boolean {
  if (!URL.canParse(origin)) return false
  const page = new URL(origin)
  const own = `${page.protocol}//${host}`
  return page.host !== '' && URL.canParse(own) && new URL(own).host === page.host
}

/** A name or address as a URL has it, without its port. Empty for what is neither. */
function nameOf(host: string): string {
  const url = `http://${isIPv6(host) ? `[${host}]` : host}`
  return URL.canParse(url) ? new URL(url).hostname : ''
}

/** Reports whether a name means this machine and nothing else. */
function isLoopback(name: string): boolean {
  return /^(localhost|127\.[\d.]+|\[::1\]|\[::ffff:7f[\da-f]{2}:[\da-f]+\])$/.test(name)
}

import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { type Level, type Logger, pino } from 'pino'
import type { Clock, Cluster, Discard, MailboxStore, Secrets } from '../../src/relay/ports.ts'
import { Relay, type RelaySettings } from '../../src/relay/relay.ts'
import { buildApp } from '../../src/server/app.ts'
import { type ClientLimits, NO_CLIENT_LIMITS } from '../../src/server/config.ts'
import type { AccessTokens } from '../../src/server/limits/access.ts'
import type { SharedCounters } from '../../src/server/limits/rate-limits.ts'
import { systemClock, systemSecrets } from '../../src/server/system.ts'
import { MemoryMailboxStore } from '../../src/store/memory/mailboxes.ts'
import { openRedis, type RedisStores } from '../../src/store/redis/open.ts'
import { startRedis } from './redis-server.ts'
import { buildRelay, type Counters, DEFAULT_SETTINGS, NOTHING_LEFT, nodeCounters, type RelayOptions } from './relay.ts'
import { SETTING } from './setting.ts'

export interface ServerOptions extends RelayOptions {
  /** Changes to the settings of an operator who sets nothing. */
  readonly settings?: Partial<RelaySettings>
  /** The process's clock, unless a test moves time itself. */
  readonly clock?: Clock
  /** Those of the operating system, unless a test wants to know them. */
  readonly secrets?: Secrets
  readonly corsOrigins?: readonly string[]
  readonly allowedHosts?: readonly string[]
  /** The address that the relay believes to listen on. */
  readonly host?: string
  readonly trustProxy?: readonly string[]
  readonly proxyProtocol?: boolean
  /** Limits for one client address, of which a test has none otherwise: all its clients have one. */
  readonly limits?: Partial<ClientLimits>
  readonly rateLimitExempt?: readonly string[]
  readonly accessTokens?: AccessTokens
  readonly createFrom?: readonly string[]
  readonly maxConnections?: number
  readonly logLevel?: Level
}

/** State of the whole server: the relay's counters, and open connections that became WebSockets. */
export interface ServerCounters extends Counters {
  readonly webSockets: number
}

export const NO_SERVER_STATE: ServerCounters = { ...NOTHING_LEFT, webSockets: 0 }

export interface RunningRelay {
  /** `http://127.0.0.1:<port>`, the port chosen by the system. */
  readonly url: string
  readonly port: number
  /** The same, unless receivers are to use another node. */
  readonly portForReceivers: number
  readonly relay: Relay
  readonly mailboxes: MemoryMailboxStore
  /** Every line logged so far, as written. */
  readonly log: readonly string[]
  readonly discards: readonly Discard[]
  /** Node's HTTP server, for what only it knows. */
  readonly server: Server
  /** Takes requests that need no network, from any address. */
  readonly app: FastifyInstance
  readonly counters: () => ServerCounters
  /** Does the process's work of a second. */
  readonly tick: () => Promise<void>
  /** Drains and stops. May be called again. */
  readonly close: () => Promise<void>
}

/**
 * A relay as `main.ts` builds it, on 127.0.0.1 and a free port, without its process, its timer and its signals; in the setting
 * that the suite runs in.
 */
export async function startRelay(options: ServerOptions = {}): Promise<RunningRelay> {
  return SETTING === 'redis' || SETTING === 'nodes' ? startCluster(options) : startAlone(options)
}

async function startAlone(options: ServerOptions): Promise<RunningRelay> {
  const { logger, log, discards, diagnostics } = logging(options)
  const settings = { ...DEFAULT_SETTINGS, ...options.settings }
  const built = buildRelay(options.clock ?? systemClock, options.secrets ?? systemSecrets, {
    ...options,
    settings,
    onDiscard: diagnostics.discarded,
    onFailure: diagnostics.failed,
  })
  const { app, url, port } = await listen(built.relay, settings, logger, options)
  const upgraded = countUpgraded(app.server)
  return {
    url,
    port,
    portForReceivers: port,
    relay: built.relay,
    mailboxes: built.mailboxes,
    log,
    discards,
    server: app.server,
    app,
    counters: () => ({ ...built.counters(), webSockets: upgraded.size }),
    tick: () => built.relay.tick(),
    close: () => app.close(),
  }
}

/** The node for receivers, by the address of the one for senders. */
const forReceivers = new Map<string, RunningNode>()

/** Where receivers go who were given this address. */
export function urlForReceivers(url: string): string {
  return forReceivers.get(url)?.url ?? url
}

/** Nodes over a redis-server of their own. What is in that server's memory is not counted. */
async function startCluster(options: ServerOptions): Promise<RunningRelay> {
  const redis = await startRedis()
  const first = await startNode(redis.url, options)
  const nodes = SETTING === 'redis' ? [first] : [first, await startNode(redis.url, options)]
  const last = nodes.at(-1) ?? first
  forReceivers.set(first.url, last)
  const tick = async () => {
    for (const node of nodes) await node.tick()
  }
  // They learn of each other.
  await tick()
  await tick()
  let closing: Promise<void> | undefined
  const close = async () => {
    await Promise.all(nodes.map((node) => node.close()))
    await redis.stop()
  }
  return {
    ...first,
    portForReceivers: last.port,
    get log() {
      return nodes.flatMap(({ log }) => log)
    },
    get discards() {
      return nodes.flatMap(({ discards }) => discards)
    },
    counters: () => sumOf(nodes.map((node) => node.counters())),
    tick,
    close: () => (closing ??= close()),
  }
}

function sumOf(counters: readonly ServerCounters[]): ServerCounters {
  const names = Object.keys(NO_SERVER_STATE) as (keyof ServerCounters)[]
  const sum = (name: keyof ServerCounters) => counters.reduce((total, each) => total + each[name], 0)
  return Object.fromEntries(names.map((name) => [name, sum(name)])) as unknown as ServerCounters
}

/** A relay node of several, around shared stores. */
export interface RunningNode extends Omit<RunningRelay, 'portForReceivers'> {
  readonly stores: RedisStores
}

/** A node as `main.ts` builds it with REDIS_URL. Resolves when it reaches the server. With a `clock` all nodes go by that one. */
export async function startNode(
  redisUrl: string,
  options: ServerOptions & { readonly ca?: string } = {},
): Promise<RunningNode> {
  const { logger, log, discards, diagnostics } = logging(options)
  const settings = { ...DEFAULT_SETTINGS, ...options.settings }
  const onError = ({ message }: Error) => logger.error({ reason: message }, 'Redis does not do what it should')
  const stores = openRedis({ url: redisUrl, ca: options.ca, onError }, systemClock, options.clock)
  const mailboxes = new MemoryMailboxStore()
  const wrap = options.wrapMailboxes ?? ((store) => store)
  const cluster = wrapMailboxesOf(stores.cluster, wrap)
  const ports = {
    ...stores,
    cluster,
    mailboxes: wrap(mailboxes),
    secrets: options.secrets ?? systemSecrets,
    diagnostics,
  }
  const relay = new Relay(ports, settings)
  while (!stores.cluster.isReachable) await delay(2)
  const { app, url, port } = await listen(relay, settings, logger, options, stores.counters)
  const upgraded = countUpgraded(app.server)
  return {
    url,
    port,
    relay,
    stores,
    mailboxes,
    log,
    discards,
    server: app.server,
    app,
    counters: () => ({ ...nodeCounters(relay, mailboxes), webSockets: upgraded.size }),
    tick: () => relay.tick(),
    close: async () => {
      await app.close()
      stores.close()
    },
  }
}

/** The cluster, with something between a relay and the mailboxes it shares. */
function wrapMailboxesOf(cluster: Cluster, wrap: (store: MailboxStore) => MailboxStore): Cluster {
  const mailboxes = wrap(cluster.mailboxes)
  return {
    mailboxes,
    node: cluster.node,
    isAlive: (node) => cluster.isAlive(node),
    get isReachable() {
      return cluster.isReachable
    },
    beat: () => cluster.beat(),
    leave: () => cluster.leave(),
  }
}

function countUpgraded(server: Server): ReadonlySet<Duplex> {
  const upgraded = new Set<Duplex>()
  server.on('upgrade', (_request, socket: Duplex) => {
    upgraded.add(socket)
    socket.once('close', () => upgraded.delete(socket))
  })
  return upgraded
}

function logging(options: ServerOptions) {
  const log: string[] = []
  const discards: Discard[] = []
  const logger = pino({ level: options.logLevel ?? 'trace', base: null }, { write: (line: string) => log.push(line) })
  const diagnostics = {
    relayed: () => {},
    discarded: (reason: Discard) => {
      discards.push(reason)
      logger.debug({ reason }, 'a frame was discarded')
    },
    failed: (error: unknown) => logger.error({ err: error }, 'the relay failed'),
  }
  return { log, discards, logger, diagnostics }
}

async function listen(
  relay: Relay,
  settings: RelaySettings,
  logger: Logger,
  options: ServerOptions,
  sharedCounters?: SharedCounters,
) {
  const app = await buildApp({
    relay,
    maxFrameBytes: settings.maxFrameBytes,
    host: options.host ?? '127.0.0.1',
    corsOrigins: options.corsOrigins ?? ['*'],
    // Requests that a test writes by hand name any host.
    allowedHosts: options.allowedHosts ?? ['*'],
    trustProxy: options.trustProxy ?? [],
    proxyProtocol: options.proxyProtocol ?? false,
    limits: { ...NO_CLIENT_LIMITS, ...options.limits },
    rateLimitExempt: options.rateLimitExempt ?? [],
    accessTokens: options.accessTokens,
    createFrom: options.createFrom ?? [],
    maxConnections: options.maxConnections ?? 20_000,
    sharedCounters,
    clock: options.clock ?? systemClock,
    version: '0.0.0-test',
    logger,
  })
  await app.listen({ host: '127.0.0.1', port: 0, listenTextResolver: () => 'listening' })
  const { port } = app.server.address() as AddressInfo
  return { app, url: `http://127.0.0.1:${port}`, port }
}

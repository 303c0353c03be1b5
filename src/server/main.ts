import { randomBytes, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import closeWithGrace from 'close-with-grace'
import { type DestinationStream, pino } from 'pino'
import { RelayError } from '../relay/errors.ts'
import { Relay } from '../relay/relay.ts'
import { addressDigests } from '../store/address-digest.ts'
import { MemoryBus } from '../store/memory/bus.ts'
import { MemoryMailboxStore } from '../store/memory/mailboxes.ts'
import { MemorySessionStore } from '../store/memory/sessions.ts'
import { observeSessions } from '../store/observed-sessions.ts'
import type { RedisStores } from '../store/redis/open.ts'
import { buildApp } from './app.ts'
import { type Config, ConfigError, readConfig, settingsInForce } from './config.ts'
import { AccessFileError, AccessTokens, accessFileAt } from './limits/access.ts'
import { lookalikesIn } from './lookalikes.ts'
import { metricsServer } from './metrics/endpoint.ts'
import { RelayMetrics } from './metrics/relay-metrics.ts'
import type { PageWords } from './page.ts'
import { RedisLog } from './redis-log.ts'
import { reportTo } from './reporting.ts'
import {
  connectionsWithin,
  containerBytes,
  descriptorLimit,
  heapFlags,
  misfitOf,
  OTHER_DESCRIPTORS,
} from './resources.ts'
import { systemClock, systemSecrets } from './system.ts'
import { freeSocketPath } from './unix-socket.ts'

/** The page as it was built. */
const PAGE_FOLDER = new URL('../../dist/web/', import.meta.url)
/** How often the relay looks at its deadlines, in milliseconds. */
const TICK_MS = 1_000
/** How long running transfers may go on where other nodes take new ones, in seconds. */
const DRAIN_SECONDS = 30
/** How often a relay that starts looks whether it reaches Redis, in milliseconds. */
const LOOK_MS = 50

const config = configOrExit()
const isBudgetDefault = !process.env.MEMORY_BUDGET_BYTES
const container = containerBytes()
const misfit = misfitOf(config.memoryBudgetBytes, container)
if (misfit && isBudgetDefault) exitWith(misfit)
for (const flag of heapFlags(config.memoryBudgetBytes, container)) setFlagsFromString(flag)
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
// A log that nobody takes any more (a closed terminal, a full disk) must not keep the relay from working, or from ending:
// pino's own destination tries for ever to write the last line before an exit.
process.stdout.on('error', () => {})
const logger = pino(
  { level: config.logLevel, base: null },
  config.logFormat === 'pretty' ? await prettyOutput() : process.stdout,
)
const descriptors = descriptorLimit()
const maxConnections = connectionsWithin(config.maxConnections, descriptors)
const redisLog = new RedisLog(logger, systemClock)
const isAlone = config.redisUrl === ''
const metrics = new RelayMetrics({
  figures: () => relay.figures,
  budgetBytes: config.memoryBudgetBytes,
  isRedisUp: isAlone ? undefined : () => relay.unready !== 'unavailable',
  observesProcess: config.metricsPort !== undefined,
})
const shared = isAlone ? undefined : await sharedStores()
const stores = shared ?? storesOfOneNode()
const reports = reportTo(metrics, logger, (sessionId) => relay.bytesOf(sessionId))
const relay = new Relay(
  {
    ...stores,
    sessions: observeSessions(stores.sessions, reports.observer),
    mailboxes: new MemoryMailboxStore(),
    secrets: systemSecrets,
    diagnostics: reports.diagnostics,
  },
  config,
)
const socketPath = config.listen.slice('unix:'.length)
const isUnixSocket = socketPath !== ''
const app = await buildApp({
  relay,
  ...config,
  isUnixSocket,
  maxConnections,
  accessTokens: accessTokensOrExit(),
  sharedCounters: shared?.counters,
  page: config.web ? { folder: PAGE_FOLDER, words: pageWords(config) } : undefined,
  refused: (kind) => metrics.refused(kind),
  clock: systemClock,
  version,
  logger,
})
const ticking = setInterval(() => {
  redisLog.look(relay.unready !== 'unavailable')
  relay.tick().catch((error: unknown) => {
    // RedisLog has the reason why a store does not answer.
    if (!(error instanceof RelayError && error.code === 'unavailable')) logger.error({ err: error }, 'a tick failed')
  })
}, TICK_MS)

// A reload or a log rotation sends them by habit. At a terminal SIGHUP says that the terminal is gone.
const skip = (['SIGHUP', 'SIGUSR2'] as const).filter((signal) => signal !== 'SIGHUP' || !hasTerminal())
for (const each of [...skip, 'SIGUSR1'])
  process.on(each, () => logger.info(`${each} is ignored: settings are read at the start`))
let observed: Server | undefined
const drainMs = (config.drainSeconds ?? (isAlone ? 0 : DRAIN_SECONDS)) * 1000
closeWithGrace({ delay: drainMs + config.shutdownTimeoutSeconds * 1000, logger, skip }, async ({ signal, err }) => {
  if (err) logger.error({ err }, 'stopping after an error')
  else logger.info({ signal }, 'draining')
  if (signal === 'SIGINT' && process.env.npm_lifecycle_event === 'start') skipCopy(signal)
  relay.takeNoSessions()
  for (const until = systemClock.now() + drainMs; !err && relay.figures.approved > 0; ) {
    if (systemClock.now() >= until) break
    await delay(LOOK_MS)
  }
  clearInterval(ticking)
  observed?.close()
  await app.close()
  shared?.close()
  logger.info('stopped')
  // A terminal that is gone took our stdio with it, and Node 20 cannot exit then: it asserts that it can reset a terminal.
  if (signal === 'SIGHUP' && hasTerminal()) process.kill(process.pid, 'SIGKILL')
})

const listenTextResolver = () => 'listening'
try {
  if (isUnixSocket) await app.listen({ path: await freeSocketPath(socketPath), listenTextResolver })
  else await app.listen({ host: config.host, port: config.port, listenTextResolver })
} catch (error) {
  exitWith(`cannot listen on ${isUnixSocket ? socketPath : `${config.host} port ${config.port}`}: ${reasonOf(error)}`)
}
if (config.metricsPort !== undefined) observed = await listenForMetrics(config.metricsPort)
const port = boundPort()
logger.info(
  { version, port, settings: { ...settingsInForce(process.env), MAX_CONNECTIONS: String(maxConnections) } },
  'started',
)
warnOfSettings()
while (relay.unready === 'unavailable') await delay(LOOK_MS, undefined, { ref: false })
if (!relay.unready) logger.info({ version, page: pageAddress(), port }, 'the relay is ready')

/** Returns what the operator says on the page. */
function pageWords({ webName, webNotice, webLinks }: Config): PageWords {
  return { name: webName || undefined, notice: webNotice || undefined, links: webLinks }
}

/** Returns where a browser of this machine finds the page, or undefined without one, or on a unix socket. A proxy's address is not known here. */
function pageAddress(): string | undefined {
  if (!config.web || isUnixSocket) return undefined
  const isAny = config.host === '0.0.0.0' || config.host === '::'
  const host = config.host.includes(':') ? `[${config.host}]` : config.host
  return `http://${isAny ? 'localhost' : host}:${port}/`
}

/** Returns the stores of a relay that is alone, in its own memory. */
function storesOfOneNode() {
  return {
    sessions: new MemorySessionStore(systemClock),
    bus: new MemoryBus(),
    clock: systemClock,
    digestAddress: addressDigests(randomBytes(32).toString('base64url')),
  }
}

/** Lines for people, written by a library that is loaded where it is used. */
async function prettyOutput(): Promise<DestinationStream> {
  const { default: pretty } = await import('pino-pretty')
  return pretty({ translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l', destination: process.stdout })
}

/** Redis is loaded where it is used. */
async function sharedStores(): Promise<RedisStores> {
  const { openRedis } = await import('../store/redis/open.ts')
  const ca = config.redisCaFile === '' ? undefined : certificatesOrExit(config.redisCaFile)
  return openRedis(
    {
      url: config.redisUrl,
      ca,
      onError: (error) => redisLog.failed(error),
      onAnswer: (ms) => metrics.redisAnswered(ms),
    },
    systemClock,
  )
}

function warnOfSettings(): void {
  for (const { name, similar } of lookalikesIn(process.env))
    logger.warn({ variable: name, similar }, 'an environment variable looks like a setting and is none')
  if (misfit) logger.warn(misfit)
  // The default is as many as there may be.
  if (maxConnections < config.maxConnections && process.env.MAX_CONNECTIONS)
    logger.warn(
      { descriptors, connections: maxConnections, needed: config.maxConnections + OTHER_DESCRIPTORS },
      'the file descriptors allow fewer connections than MAX_CONNECTIONS: raise their limit (nofile), or set it lower',
    )
}

/** Leaves out the next signal of a kind: a terminal gives Ctrl-C to npm as well, which hands it on. It has a listener all the time. */
function skipCopy(signal: NodeJS.Signals): void {
  const listeners = process.listeners(signal)
  const skipOne = () => {
    for (const listener of listeners) process.on(signal, listener)
    process.off(signal, skipOne)
  }
  process.on(signal, skipOne)
  for (const listener of listeners) process.off(signal, listener)
}

function hasTerminal(): boolean {
  return [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY)
}

async function listenForMetrics(metricsPort: number): Promise<Server> {
  const server = metricsServer(metrics)
  server.listen(metricsPort, config.metricsHost)
  try {
    await once(server, 'listening')
  } catch (error) {
    exitWith(`cannot listen on ${config.metricsHost} port ${metricsPort} for METRICS_PORT: ${reasonOf(error)}`)
  }
  logger.info({ metricsPort: (server.address() as AddressInfo).port }, 'metrics are there')
  return server
}

function boundPort(): number | undefined {
  const [address] = app.addresses()
  return typeof address === 'object' ? address.port : undefined
}

function configOrExit(): Config {
  try {
    return readConfig(process.env, (path) => readFileSync(path, 'utf8'))
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    exitWith(error.message)
  }
}

function accessTokensOrExit(): AccessTokens | undefined {
  if (config.accessTokensFile === '') return undefined
  try {
    return new AccessTokens(accessFileAt(config.accessTokensFile), systemClock, logger)
  } catch (error) {
    if (error instanceof AccessFileError) exitWith(`ACCESS_TOKENS_FILE: ${error.message}`)
    exitWith(`ACCESS_TOKENS_FILE is not the path of a file that can be read: ${reasonOf(error)}`)
  }
}

/** A file without a certificate would refuse every server, and only the connection would say so. */
function certificatesOrExit(path: string): string {
  try {
    const pem = readFileSync(path, 'utf8')
    return new X509Certificate(pem) && pem
  } catch (error) {
    exitWith(`REDIS_CA_FILE is not the path of a file of certificates in PEM: ${reasonOf(error)}`)
  }
}

function reasonOf(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  return 'code' in error ? error.code : error.message
}

function exitWith(message: string): never {
  process.stderr.write(`pairlay: ${message}\n`)
  process.exit(1)
}

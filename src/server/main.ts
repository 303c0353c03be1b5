import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import closeWithGrace from 'close-with-grace'
import { pino } from 'pino'
import { RelayError } from '../relay/error.ts'
import { Relay } from '../relay/relay.ts'
import { MemoryBus, MemoryMailboxStore, MemorySessionStore } from '../store/memory.ts'
import type { RedisStores } from '../store/redis/open.ts'
import { buildApp } from './app.ts'
import { type Config, ConfigError, readConfig } from './config.ts'
import { systemClock, systemSecrets } from './runtime.ts'

/** How often the relay looks at its deadlines, in milliseconds. */
const TICK_MS = 1_000

// Frames and reads live outside of V8's heap, but count as its growth: with a small heap (or right after a full collection of
// a large one) V8 would answer a transfer with a full collection every few megabytes. Four times what is alive is the most
// that it takes by itself as well; `npm run bench -- --only flatness` shows the difference.
setFlagsFromString('--heap-growing-percent=300')

const config = configOrExit()
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
// A log that nobody takes any more (a closed terminal, a full disk) must not keep the relay from working, or from ending:
// pino's own destination tries for ever to write the last line before an exit.
process.stdout.on('error', () => {})
const logger = pino({ level: config.logLevel, base: null }, process.stdout)
const shared = config.redisUrl === '' ? undefined : await sharedStores()
const relay = new Relay(
  {
    ...(shared ?? { sessions: new MemorySessionStore(systemClock), bus: new MemoryBus(), clock: systemClock }),
    mailboxes: new MemoryMailboxStore(),
    secrets: systemSecrets,
    metrics: {
      discarded: (reason) => logger.debug({ reason }, 'a frame was discarded'),
      failed: (error) => logger.error({ err: error }, 'the relay failed'),
    },
  },
  config,
)
const app = await buildApp({ relay, ...config, sharedCounters: shared?.counters, clock: systemClock, version, logger })
const ticking = setInterval(() => {
  relay.tick().catch((error: unknown) => {
    // What a store that does not answer means is said where that is found out.
    if (!(error instanceof RelayError && error.code === 'unavailable')) logger.error({ err: error }, 'a tick failed')
  })
}, TICK_MS)

closeWithGrace({ delay: config.shutdownTimeoutSeconds * 1000, logger }, async ({ signal, err }) => {
  if (err) logger.error({ err }, 'stopping after an error')
  else logger.info({ signal }, 'draining')
  clearInterval(ticking)
  await app.close()
  shared?.close()
  logger.info('stopped')
  // A terminal that is gone took our stdio with it, and Node 20 cannot exit then: it asserts that it can reset a terminal.
  if (signal === 'SIGHUP' && hasTerminal()) process.kill(process.pid, 'SIGKILL')
})

try {
  await app.listen({ host: config.host, port: config.port, listenTextResolver: () => 'listening' })
} catch (error) {
  exitWith(`cannot listen on ${config.host} port ${config.port}: ${reasonOf(error)}`)
}
logger.info({ version, port: boundPort() }, 'the relay is ready')

/** Redis is loaded where it is used. */
async function sharedStores(): Promise<RedisStores> {
  const { openRedis } = await import('../store/redis/open.ts')
  const ca = config.redisCaFile === '' ? undefined : certificatesOrExit(config.redisCaFile)
  let last = ''
  const onError = ({ message }: Error) => {
    // A server that is away fails every second, in the same words.
    if (message !== last) logger.error({ reason: message }, 'Redis does not do what it should')
    last = message
  }
  return openRedis({ url: config.redisUrl, ca, onError }, systemClock)
}

function hasTerminal(): boolean {
  return [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY)
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
  return error instanceof Error && 'code' in error ? error.code : error
}

function exitWith(message: string): never {
  process.stderr.write(`pairlay: ${message}\n`)
  process.exit(1)
}

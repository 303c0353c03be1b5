import { HANDSHAKE_WINDOW_BYTES, RECEIVERS_MAX, TTL_MAX_SECONDS, TTL_MIN_SECONDS } from '../protocol/limits.ts'
import type { RelaySettings } from '../relay/relay.ts'
import {
  integer,
  isHostName,
  isNetwork,
  isOrigin,
  list,
  onOff,
  path,
  redisUrl,
  text,
  tooWide,
  type Variable,
  wrongValue,
} from './variables.ts'

/** Everything an operator can set. Each default stands here and nowhere else; the README's table is checked against it. */
export interface Config extends RelaySettings {
  readonly host: string
  readonly port: number
  readonly logLevel: string
  /** Origins of pages that may call, beside the relay's own. */
  readonly corsOrigins: readonly string[]
  /** Names in Host that are answered; without any it depends on the address listened on. */
  readonly allowedHosts: readonly string[]
  /** Proxies whose word on a client's address is taken: addresses and CIDR networks. */
  readonly trustProxy: readonly string[]
  readonly limits: ClientLimits
  /** Clients that nothing counts: addresses and CIDR networks. */
  readonly rateLimitExempt: readonly string[]
  /** Whether `limits` has any for one client address. */
  readonly limitSources: boolean
  readonly maxConnections: number
  readonly maxSessionsPerSource: number
  readonly shutdownTimeoutSeconds: number
  /** Where several nodes keep what they share. Empty for a relay that is alone. */
  readonly redisUrl: string
  /** A file of certificates in PEM, or empty. */
  readonly redisCaFile: string
}

/** Limits for one client address. Infinity for none. */
export interface ClientLimits {
  /** A minute. */
  readonly creates: number
  /** A minute. */
  readonly joins: number
  /** Attaches a minute, by a socket or over HTTP. */
  readonly attaches: number
  /** Joins with an unknown code a minute, after which every join waits. */
  readonly unknownCodes: number
  readonly connections: number
  readonly sockets: number
  readonly polls: number
  /** A second, and how many of them may be refused; the answers to more come later. */
  readonly requests: number
  readonly refusals: number
}

export const NO_CLIENT_LIMITS: ClientLimits = {
  creates: Infinity,
  joins: Infinity,
  attaches: Infinity,
  unknownCodes: Infinity,
  connections: Infinity,
  sockets: Infinity,
  polls: Infinity,
  requests: Infinity,
  refusals: Infinity,
}

/** Joins with an unknown code from one client address in a minute. */
export const UNKNOWN_CODES_PER_MINUTE = 10
/** Requests of one client address in a second, and those of them that are refused. */
export const REQUESTS_PER_SECOND = 2_000
export const REFUSALS_PER_SECOND = 20

const KIB = 1024
const MIB = 1024 * KIB
const MANY = 10_000_000

/** Environment variables, in the order of the README's table. */
export const VARIABLES = {
  HOST: text('127.0.0.1', 'an address to listen on, such as 0.0.0.0 or ::', /^[A-Za-z0-9.:_-]+$/),
  PORT: integer(8080, 0, 65_535),
  LOG_LEVEL: text(
    'info',
    'fatal, error, warn, info, debug, trace or silent',
    /^(fatal|error|warn|info|debug|trace|silent)$/,
  ),
  CORS_ORIGINS: list('* or origins such as https://app.example', isOrigin),
  ALLOWED_HOSTS: list('* or names such as relay.example', isHostName),
  TRUST_PROXY: list('addresses or networks of proxies such as 127.0.0.1 or 10.0.0.0/8', isNetwork, tooWide),
  RATE_LIMIT: onOff('on'),
  RATE_LIMIT_CREATES: integer(60, 1, MANY),
  RATE_LIMIT_JOINS: integer(30, 1, MANY),
  RATE_LIMIT_ATTACHES: integer(240, 1, MANY),
  RATE_LIMIT_EXEMPT: list('addresses or networks of clients such as 192.0.2.7 or 10.0.0.0/8', isNetwork, tooWide),
  MAX_CONNECTIONS: integer(20_000, 1, MANY),
  MAX_CONNECTIONS_PER_SOURCE: integer(256, 1, MANY),
  MAX_SOCKETS_PER_SOURCE: integer(64, 1, MANY),
  MAX_POLLS_PER_SOURCE: integer(64, 1, MANY),
  SESSION_TTL_SECONDS: integer(900, TTL_MIN_SECONDS, TTL_MAX_SECONDS),
  MAX_SESSION_TTL_SECONDS: integer(3600, TTL_MIN_SECONDS, TTL_MAX_SECONDS),
  MAX_RECEIVERS: integer(8, 1, RECEIVERS_MAX),
  MAX_SESSIONS: integer(100_000, 1, MANY),
  MAX_SESSIONS_PER_CLIENT: integer(32, 1, MANY),
  MAX_SESSIONS_PER_SOURCE: integer(256, 1, MANY),
  MAX_FRAME_BYTES: integer(262_272, 64 * KIB + 32, MIB),
  WINDOW_BYTES: integer(2_098_176, 64 * KIB + 32, 64 * MIB),
  MEMORY_BUDGET_BYTES: integer(256 * MIB, 4 * HANDSHAKE_WINDOW_BYTES, 64 * KIB * MIB),
  SHUTDOWN_TIMEOUT_SECONDS: integer(10, 1, 300),
  REDIS_URL: redisUrl,
  REDIS_URL_FILE: path('the path of a file that has a REDIS_URL in it'),
  REDIS_CA_FILE: path('the path of a file of certificates in PEM'),
} as const

/** The content of REDIS_URL_FILE, as errors call it. */
const IN_FILE = 'the text in REDIS_URL_FILE'

/** The environment of a process. */
export type Environment = Readonly<Record<string, string | undefined>>

/** A variable has a value the relay cannot run with. The message is one line for the operator. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/**
 * Reads the configuration. An empty variable counts as absent. `readFile` reads the file that a secret is in. Throws
 * ConfigError at the first wrong value.
 */
export function readConfig(env: Environment, readFile: (path: string) => string = () => ''): Config {
  const check = <T>(name: string, variable: Variable<T>, value: string): T => {
    const result = variable.schema.safeParse(value)
    if (result.success) return result.data
    throw new ConfigError(`${name} ${wrongValue(variable, value)}`)
  }
  const read = <T>(name: keyof typeof VARIABLES, variable: Variable<T>): T =>
    check(name, variable, env[name] || variable.default)
  const v = VARIABLES
  const limitSources = read('RATE_LIMIT', v.RATE_LIMIT)
  const limits = {
    creates: read('RATE_LIMIT_CREATES', v.RATE_LIMIT_CREATES),
    joins: read('RATE_LIMIT_JOINS', v.RATE_LIMIT_JOINS),
    attaches: read('RATE_LIMIT_ATTACHES', v.RATE_LIMIT_ATTACHES),
    unknownCodes: UNKNOWN_CODES_PER_MINUTE,
    requests: REQUESTS_PER_SECOND,
    refusals: REFUSALS_PER_SECOND,
    connections: read('MAX_CONNECTIONS_PER_SOURCE', v.MAX_CONNECTIONS_PER_SOURCE),
    sockets: read('MAX_SOCKETS_PER_SOURCE', v.MAX_SOCKETS_PER_SOURCE),
    polls: read('MAX_POLLS_PER_SOURCE', v.MAX_POLLS_PER_SOURCE),
  }
  const maxSessionsPerSource = read('MAX_SESSIONS_PER_SOURCE', v.MAX_SESSIONS_PER_SOURCE)
  const secretIn = (path: string): string => {
    try {
      return readFile(path).trim()
    } catch (error) {
      throw new ConfigError(`REDIS_URL_FILE is not a file that can be read: ${(error as NodeJS.ErrnoException).code}`)
    }
  }
  const urlFile = read('REDIS_URL_FILE', v.REDIS_URL_FILE)
  if (urlFile !== '' && env.REDIS_URL) throw new ConfigError('REDIS_URL and REDIS_URL_FILE are both set')
  const config: Config = {
    host: read('HOST', v.HOST),
    port: read('PORT', v.PORT),
    logLevel: read('LOG_LEVEL', v.LOG_LEVEL),
    corsOrigins: read('CORS_ORIGINS', v.CORS_ORIGINS).map((item) => (item === '*' ? item : new URL(item).origin)),
    allowedHosts: read('ALLOWED_HOSTS', v.ALLOWED_HOSTS),
    trustProxy: read('TRUST_PROXY', v.TRUST_PROXY),
    limits: limitSources ? limits : NO_CLIENT_LIMITS,
    rateLimitExempt: read('RATE_LIMIT_EXEMPT', v.RATE_LIMIT_EXEMPT),
    limitSources,
    maxConnections: read('MAX_CONNECTIONS', v.MAX_CONNECTIONS),
    sessionTtlSeconds: read('SESSION_TTL_SECONDS', v.SESSION_TTL_SECONDS),
    maxSessionTtlSeconds: read('MAX_SESSION_TTL_SECONDS', v.MAX_SESSION_TTL_SECONDS),
    maxReceivers: read('MAX_RECEIVERS', v.MAX_RECEIVERS),
    maxSessions: read('MAX_SESSIONS', v.MAX_SESSIONS),
    maxSessionsPerClient: read('MAX_SESSIONS_PER_CLIENT', v.MAX_SESSIONS_PER_CLIENT),
    maxSessionsPerSource: limitSources ? maxSessionsPerSource : Infinity,
    maxFrameBytes: read('MAX_FRAME_BYTES', v.MAX_FRAME_BYTES),
    windowBytes: read('WINDOW_BYTES', v.WINDOW_BYTES),
    memoryBudgetBytes: read('MEMORY_BUDGET_BYTES', v.MEMORY_BUDGET_BYTES),
    shutdownTimeoutSeconds: read('SHUTDOWN_TIMEOUT_SECONDS', v.SHUTDOWN_TIMEOUT_SECONDS),
    redisUrl: urlFile === '' ? read('REDIS_URL', v.REDIS_URL) : check(IN_FILE, v.REDIS_URL, secretIn(urlFile)),
    redisCaFile: read('REDIS_CA_FILE', v.REDIS_CA_FILE),
  }
  if (urlFile !== '' && config.redisUrl === '') throw new ConfigError('REDIS_URL_FILE is an empty file')
  if (config.sessionTtlSeconds > config.maxSessionTtlSeconds) {
    const { sessionTtlSeconds: ttl, maxSessionTtlSeconds: max } = config
    throw new ConfigError(`SESSION_TTL_SECONDS (${ttl}) is above MAX_SESSION_TTL_SECONDS (${max})`)
  }
  const { windowBytes, maxFrameBytes, memoryBudgetBytes } = config
  if (windowBytes < maxFrameBytes) {
    throw new ConfigError(`WINDOW_BYTES (${windowBytes}) is below MAX_FRAME_BYTES (${maxFrameBytes})`)
  }
  if (memoryBudgetBytes < 2 * maxFrameBytes) {
    const least = `it takes twice MAX_FRAME_BYTES (${maxFrameBytes})`
    throw new ConfigError(`MEMORY_BUDGET_BYTES (${memoryBudgetBytes}) has no room for one channel: ${least}`)
  }
  if (config.redisCaFile !== '' && !config.redisUrl.startsWith('rediss:')) {
    throw new ConfigError('REDIS_CA_FILE is set, and REDIS_URL does not begin with rediss://')
  }
  return config
}

/** Every setting by name as it is in force. Of a secret no more than that it is set. */
export function settingsInForce(env: Environment): Record<string, string> {
  const shown = (name: string, variable: Variable<unknown>) => {
    const value = env[name] || variable.default
    return variable.secret && value !== '' ? 'set' : value
  }
  return Object.fromEntries(Object.entries(VARIABLES).map(([name, variable]) => [name, shown(name, variable)]))
}

import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import * as z from 'zod/mini'
import { HANDSHAKE_WINDOW_BYTES, RECEIVERS_MAX, TTL_MAX_SECONDS, TTL_MIN_SECONDS } from '../protocol/limits.ts'
import type { RelaySettings } from '../relay/relay.ts'

/** Everything an operator can set. Each default stands here and nowhere else; the README's table is checked against it. */
export interface Config extends RelaySettings {
  readonly host: string
  readonly port: number
  readonly logLevel: string
  readonly corsOrigins: readonly string[]
  /** Proxies whose word on a client's address is taken: addresses and CIDR networks. */
  readonly trustProxy: readonly string[]
  readonly shutdownTimeoutSeconds: number
  /** Where several nodes keep what they share. Empty for a relay that is alone. */
  readonly redisUrl: string
  /** A file of certificates in PEM, or empty. */
  readonly redisCaFile: string
}

interface Variable<T> {
  readonly default: string
  /** What a right value looks like, for the error and the README. */
  readonly form: string
  readonly schema: z.ZodMiniType<T, string>
}

const KIB = 1024
const MIB = 1024 * KIB

function integer(fallback: number, min: number, max: number): Variable<number> {
  const number = z.number().check(z.minimum(min), z.maximum(max))
  return {
    default: String(fallback),
    form: `a whole number from ${min} to ${max}`,
    schema: z.pipe(z.pipe(z.string().check(z.regex(/^\d{1,15}$/)), z.transform(Number)), number),
  }
}

function text(fallback: string, form: string, pattern: RegExp): Variable<string> {
  return { default: fallback, form, schema: z.string().check(z.regex(pattern)) }
}

/** Environment variables, in the order of the README's table. */
export const VARIABLES = {
  HOST: text('127.0.0.1', 'an address to listen on, such as 0.0.0.0 or ::', /^[A-Za-z0-9.:_-]+$/),
  PORT: integer(8080, 0, 65_535),
  LOG_LEVEL: text(
    'info',
    'fatal, error, warn, info, debug, trace or silent',
    /^(fatal|error|warn|info|debug|trace|silent)$/,
  ),
  CORS_ORIGINS: text(
    '*',
    '* or origins such as https://app.example, separated by commas',
    /^(\*|https?:\/\/[^\s,/]+(,https?:\/\/[^\s,/]+)*)$/,
  ),
  TRUST_PROXY: {
    default: '',
    form: 'addresses or networks of proxies such as 127.0.0.1 or 10.0.0.0/8, separated by commas',
    schema: z.string().check(z.refine((list) => list === '' || list.split(',').every(isNetwork))),
  },
  SESSION_TTL_SECONDS: integer(900, TTL_MIN_SECONDS, TTL_MAX_SECONDS),
  MAX_SESSION_TTL_SECONDS: integer(3600, TTL_MIN_SECONDS, TTL_MAX_SECONDS),
  MAX_RECEIVERS: integer(8, 1, RECEIVERS_MAX),
  MAX_SESSIONS: integer(100_000, 1, 10_000_000),
  MAX_SESSIONS_PER_CLIENT: integer(32, 1, 10_000_000),
  MAX_FRAME_BYTES: integer(262_272, 64 * KIB + 32, MIB),
  WINDOW_BYTES: integer(2_098_176, 64 * KIB + 32, 64 * MIB),
  MEMORY_BUDGET_BYTES: integer(256 * MIB, 4 * HANDSHAKE_WINDOW_BYTES, 64 * KIB * MIB),
  SHUTDOWN_TIMEOUT_SECONDS: integer(10, 1, 300),
  REDIS_URL: {
    default: '',
    form: 'a URL such as redis://:password@host:6379 or rediss://host:6379',
    schema: z.string().check(
      z.regex(/^(rediss?:\/\/[^\s/]+(\/\d*)?)?$/),
      z.refine((url) => url === '' || (URL.canParse(url) && isDecodable(new URL(url)))),
    ),
  },
  REDIS_CA_FILE: text('', 'the path of a file of certificates in PEM', /^\P{Cc}*$/u),
} as const

/** A variable has a value the relay cannot run with. The message is one line for the operator. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/** Reads the configuration. An empty variable counts as absent. Throws ConfigError at the first wrong value. */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const read = <T>(name: keyof typeof VARIABLES, variable: Variable<T>): T => {
    const result = variable.schema.safeParse(env[name] || variable.default)
    if (result.success) return result.data
    throw new ConfigError(`${name} is not ${variable.form}`)
  }
  const v = VARIABLES
  const config: Config = {
    host: read('HOST', v.HOST),
    port: read('PORT', v.PORT),
    logLevel: read('LOG_LEVEL', v.LOG_LEVEL),
    corsOrigins: listOf(read('CORS_ORIGINS', v.CORS_ORIGINS)),
    trustProxy: listOf(read('TRUST_PROXY', v.TRUST_PROXY)),
    sessionTtlSeconds: read('SESSION_TTL_SECONDS', v.SESSION_TTL_SECONDS),
    maxSessionTtlSeconds: read('MAX_SESSION_TTL_SECONDS', v.MAX_SESSION_TTL_SECONDS),
    maxReceivers: read('MAX_RECEIVERS', v.MAX_RECEIVERS),
    maxSessions: read('MAX_SESSIONS', v.MAX_SESSIONS),
    maxSessionsPerClient: read('MAX_SESSIONS_PER_CLIENT', v.MAX_SESSIONS_PER_CLIENT),
    maxFrameBytes: read('MAX_FRAME_BYTES', v.MAX_FRAME_BYTES),
    windowBytes: read('WINDOW_BYTES', v.WINDOW_BYTES),
    memoryBudgetBytes: read('MEMORY_BUDGET_BYTES', v.MEMORY_BUDGET_BYTES),
    shutdownTimeoutSeconds: read('SHUTDOWN_TIMEOUT_SECONDS', v.SHUTDOWN_TIMEOUT_SECONDS),
    redisUrl: read('REDIS_URL', v.REDIS_URL),
    redisCaFile: read('REDIS_CA_FILE', v.REDIS_CA_FILE),
  }
  if (config.sessionTtlSeconds > config.maxSessionTtlSeconds) {
    throw new ConfigError('SESSION_TTL_SECONDS is above MAX_SESSION_TTL_SECONDS')
  }
  if (config.windowBytes < config.maxFrameBytes) throw new ConfigError('WINDOW_BYTES is below MAX_FRAME_BYTES')
  if (config.memoryBudgetBytes < 2 * config.maxFrameBytes) {
    throw new ConfigError('MEMORY_BUDGET_BYTES has no room for one channel: it takes twice MAX_FRAME_BYTES')
  }
  if (config.redisCaFile !== '' && !config.redisUrl.startsWith('rediss:')) {
    throw new ConfigError('REDIS_CA_FILE is set, and REDIS_URL does not begin with rediss://')
  }
  return config
}

function listOf(text: string): string[] {
  return text === '' ? [] : text.split(',').map((each) => each.trim())
}

/**
 * An address, or a network in CIDR notation that somebody may have to themselves: in one of everybody, or of half of them,
 * any client could say where it comes from.
 */
function isNetwork(text: string): boolean {
  const [address = '', prefix, ...rest] = text.trim().split('/')
  const version = isIP(address)
  if (version === 0 || rest.length > 0) return false
  // As IPv6, one of IPv4 has a prefix that says something else.
  const parsed = ipaddr.parse(address)
  if (parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress()) return prefix === undefined
  if (prefix === undefined) return true
  const [widest, narrowest] = version === 4 ? [8, 32] : [7, 128]
  return /^[1-9]\d{0,2}$/.test(prefix) && Number(prefix) >= widest && Number(prefix) <= narrowest
}

/** User and password are what they stand for once their percent signs are resolved. */
function isDecodable({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password)
    return true
  } catch {
    return false
  }
}

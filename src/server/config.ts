import { HANDSHAKE_WINDOW_BYTES, RECEIVERS_MAX, TTL_MAX_SECONDS, TTL_MIN_SECONDS } from '../protocol/limits.ts'
import type { RelaySettings } from '../relay/relay.ts'
import {
  integer,
  isHostName,
  isNetwork,
  isOrigin,
  line,
  links,
  list,
  onOff,
  optional,
  path,
  redisUrl,
  text,
  tooWide,
  type Variable,
  wrongValue,
} from './variable-forms.ts'

const KIB = 1024
const MIB = 1024 * KIB
const MANY = 10_000_000

/** A name or an IPv4 address, or an IPv6 address. A port is not in it. */
const HOST = /^([A-Za-z0-9._-]+|[0-9A-Fa-f.]*(:[0-9A-Fa-f.]*){2,})$/

/**
 * Environment variables, in the order of docs/operate.md. Each default stands here and nowhere else. `Config` has each value
 * under the same name in camel case.
 */
export const VARIABLES = {
  HOST: text('127.0.0.1', 'an address to listen on, such as 0.0.0.0 or ::', HOST),
  PORT: integer(8080, 0, 65_535),
  /** A unix socket to listen on, in place of HOST and PORT. */
  LISTEN: text(
    '',
    'unix: and the path of a socket, up to 101 ASCII characters, such as unix:/run/pairlay/relay.sock',
    // The system cuts a path of more than 107 bytes.
    /^(unix:\/[ -~]{1,100})?$/,
  ),
  /** The port of /metrics. Empty for none. */
  METRICS_PORT: optional(integer(0, 0, 65_535)),
  METRICS_HOST: text('127.0.0.1', 'an address to listen on, such as 0.0.0.0 or ::', HOST),
  LOG_FORMAT: text('json', 'json or pretty', /^(json|pretty)$/),
  LOG_LEVEL: text(
    'info',
    'fatal, error, warn, info, debug, trace or silent',
    /^(fatal|error|warn|info|debug|trace|silent)$/,
  ),
  /** Origins of pages that may call, beside the relay's own. */
  CORS_ORIGINS: list('* or origins such as https://app.example', isOrigin),
  /** Names in Host that are answered; without any it depends on the address listened on. */
  ALLOWED_HOSTS: list('* or names such as relay.example', isHostName),
  /** Proxies whose word on a client's address is taken. */
  TRUST_PROXY: list('addresses or networks of proxies such as 127.0.0.1 or 10.0.0.0/8', isNetwork, tooWide),
  /** Connections of those proxies begin with a header of the PROXY protocol. */
  PROXY_PROTOCOL: onOff('off'),
  /** Serves the page. */
  WEB: onOff('on'),
  /** Name of the relay on the page, a sentence on it, and links. */
  WEB_NAME: line(40, 'a name for the page'),
  WEB_NOTICE: line(200, 'a sentence for the page'),
  WEB_LINKS: links(5, 'Imprint=https://relay.example/imprint'),
  RATE_LIMIT: onOff('on'),
  RATE_LIMIT_CREATES: integer(60, 1, MANY),
  RATE_LIMIT_JOINS: integer(30, 1, MANY),
  RATE_LIMIT_ATTACHES: integer(240, 1, MANY),
  /** Clients that nothing counts. */
  RATE_LIMIT_EXEMPT: list('addresses or networks of clients such as 192.0.2.7 or 10.0.0.0/8', isNetwork, tooWide),
  /** Tokens of those who may open sessions. Empty for everybody. */
  ACCESS_TOKENS_FILE: path('the path of a file of access tokens'),
  /** Networks that may open sessions. Empty for everybody. */
  CREATE_FROM: list('addresses or networks of clients such as 192.0.2.7 or 10.0.0.0/8', isNetwork, tooWide),
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
  /** How long running transfers may go on after SIGTERM. Empty: 0 alone, 30 with Redis. */
  DRAIN_SECONDS: optional(integer(0, 0, 3600)),
  SHUTDOWN_TIMEOUT_SECONDS: integer(10, 1, 300),
  /** Where several nodes keep what they share. Empty for a relay that is alone. */
  REDIS_URL: redisUrl,
  REDIS_URL_FILE: path('the path of a file that has a REDIS_URL in it'),
  REDIS_CA_FILE: path('the path of a file of certificates in PEM'),
} as const

type Name = keyof typeof VARIABLES
type Camel<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Lowercase<Head>}${Capitalize<Camel<Tail>>}`
  : Lowercase<S>
type Values = { readonly [N in Name as Camel<N>]: (typeof VARIABLES)[N] extends Variable<infer T> ? T : never }

/** Everything an operator can set. */
export interface Config extends Values, RelaySettings {
  readonly limits: ClientLimits
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
  const read = ([name, variable]: [string, Variable<unknown>]) => [
    camelCase(name),
    check(name, variable, env[name] || variable.default),
  ]
  const values: Values = Object.fromEntries(Object.entries(VARIABLES).map(read))
  const limited = <T>(limits: T, none: T) => (values.rateLimit ? limits : none)
  const config: Config = {
    ...values,
    corsOrigins: values.corsOrigins.map((item) => (URL.canParse(item) ? new URL(item).origin : item)),
    redisUrl: values.redisUrlFile === '' ? values.redisUrl : urlIn(values.redisUrlFile, env, readFile),
    maxSessionsPerSource: limited(values.maxSessionsPerSource, Infinity),
    limitAddresses: values.rateLimit,
    limits: limited(
      {
        creates: values.rateLimitCreates,
        joins: values.rateLimitJoins,
        attaches: values.rateLimitAttaches,
        unknownCodes: UNKNOWN_CODES_PER_MINUTE,
        requests: REQUESTS_PER_SECOND,
        refusals: REFUSALS_PER_SECOND,
        connections: values.maxConnectionsPerSource,
        sockets: values.maxSocketsPerSource,
        polls: values.maxPollsPerSource,
      },
      NO_CLIENT_LIMITS,
    ),
  }
  checkTogether(config)
  return config
}

function camelCase(name: string): string {
  return name.toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())
}

function check<T>(name: string, variable: Variable<T>, value: string): T {
  const { data, error } = variable.schema.safeParse(value)
  if (error) throw new ConfigError(`${name} ${wrongValue(variable, value)}`)
  return data
}

function urlIn(path: string, env: Environment, readFile: (path: string) => string): string {
  if (env.REDIS_URL) throw new ConfigError('REDIS_URL and REDIS_URL_FILE are both set')
  let url: string
  try {
    url = readFile(path).trim()
  } catch (error) {
    throw new ConfigError(`REDIS_URL_FILE is not a file that can be read: ${(error as NodeJS.ErrnoException).code}`)
  }
  if (url === '') throw new ConfigError('REDIS_URL_FILE is an empty file')
  return check('the text in REDIS_URL_FILE', VARIABLES.REDIS_URL, url)
}

/** Checks what single values cannot show. */
function checkTogether(config: Config): void {
  const { sessionTtlSeconds: ttl, maxSessionTtlSeconds: maxTtl } = config
  if (ttl > maxTtl) throw new ConfigError(`SESSION_TTL_SECONDS (${ttl}) is above MAX_SESSION_TTL_SECONDS (${maxTtl})`)
  const { windowBytes, maxFrameBytes, memoryBudgetBytes } = config
  if (windowBytes < maxFrameBytes) {
    throw new ConfigError(`WINDOW_BYTES (${windowBytes}) is below MAX_FRAME_BYTES (${maxFrameBytes})`)
  }
  if (memoryBudgetBytes < 2 * maxFrameBytes) {
    const least = `it takes twice MAX_FRAME_BYTES (${maxFrameBytes})`
    throw new ConfigError(`MEMORY_BUDGET_BYTES (${memoryBudgetBytes}) has no room for one channel: ${least}`)
  }
  if (config.proxyProtocol && config.trustProxy.length === 0 && config.listen === '') {
    throw new ConfigError('PROXY_PROTOCOL is on, and TRUST_PROXY names no proxy')
  }
  if (config.redisCaFile !== '' && !config.redisUrl.startsWith('rediss:')) {
    throw new ConfigError('REDIS_CA_FILE is set, and REDIS_URL does not begin with rediss://')
  }
}

/** Every setting by name as it is in force. Of a secret no more than that it is set. */
export function settingsInForce(env: Environment): Record<string, string> {
  const shown = (name: string, variable: Variable<unknown>) => {
    const value = env[name] || variable.default
    return variable.secret && value !== '' ? 'set' : value
  }
  return Object.fromEntries(Object.entries(VARIABLES).map(([name, variable]) => [name, shown(name, variable)]))
}

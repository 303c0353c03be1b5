import { describe, expect, test } from 'vitest'
import { type Config, ConfigError, readConfig, VARIABLES } from '../../src/server/config.ts'

type Name = keyof typeof VARIABLES

/** Reads one variable, beside which everything has a value that goes with any value of it. */
function read(name: Name, value: string | undefined) {
  const around = { MAX_SESSION_TTL_SECONDS: '86400', WINDOW_BYTES: '67108864', MEMORY_BUDGET_BYTES: '68719476736' }
  if (name === 'SESSION_TTL_SECONDS' || name === 'MAX_FRAME_BYTES') return readConfig({ ...around, [name]: value })
  if (name === 'MAX_SESSION_TTL_SECONDS') return readConfig({ SESSION_TTL_SECONDS: '30', [name]: value })
  if (name === 'WINDOW_BYTES') return readConfig({ MAX_FRAME_BYTES: '65568', [name]: value })
  return readConfig({ [name]: value })
}

const MANY = 10_000_000
/** The default, the bounds, and the name of the value: in the configuration, or in its `limits`. */
const INTEGERS: [name: Name, fallback: number, min: number, max: number, field: string][] = [
  ['PORT', 8080, 0, 65_535, 'port'],
  ['MAX_CONNECTIONS', 20_000, 1, MANY, 'maxConnections'],
  ['MAX_SESSIONS_PER_SOURCE', 256, 1, MANY, 'maxSessionsPerSource'],
  ['SESSION_TTL_SECONDS', 900, 30, 86_400, 'sessionTtlSeconds'],
  ['MAX_SESSION_TTL_SECONDS', 3600, 30, 86_400, 'maxSessionTtlSeconds'],
  ['MAX_RECEIVERS', 8, 1, 8, 'maxReceivers'],
  ['MAX_SESSIONS', 100_000, 1, MANY, 'maxSessions'],
  ['MAX_SESSIONS_PER_CLIENT', 32, 1, MANY, 'maxSessionsPerClient'],
  ['MAX_FRAME_BYTES', 262_272, 65_568, 1_048_576, 'maxFrameBytes'],
  ['WINDOW_BYTES', 2_098_176, 65_568, 67_108_864, 'windowBytes'],
  ['SHUTDOWN_TIMEOUT_SECONDS', 10, 1, 300, 'shutdownTimeoutSeconds'],
  ['RATE_LIMIT_CREATES', 60, 1, MANY, 'creates'],
  ['RATE_LIMIT_JOINS', 30, 1, MANY, 'joins'],
  ['RATE_LIMIT_ATTACHES', 240, 1, MANY, 'attaches'],
  ['MAX_CONNECTIONS_PER_SOURCE', 256, 1, MANY, 'connections'],
  ['MAX_SOCKETS_PER_SOURCE', 64, 1, MANY, 'sockets'],
  ['MAX_POLLS_PER_SOURCE', 64, 1, MANY, 'polls'],
]

const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']
const APP_AND_LOCAL = ['https://app.example', 'http://localhost:5173']

/** Values of each other variable that are right, as the configuration has them, and values that are wrong. */
const FORMS: [name: Name, field: keyof Config, right: Record<string, unknown>, wrong: string[]][] = [
  [
    'HOST',
    'host',
    same('0.0.0.0', '::', '::1', 'localhost', 'relay_1.internal', '::ffff:127.0.0.1'),
    ['http://x', 'a b', '[::]', 'x\n', '*', '0.0.0.0/0', '0.0.0.0:80', 'relay:80'],
  ],
  ['LISTEN', 'listen', same('unix:/run/pairlay/relay.sock'), ['/run/x.sock', 'unix:', 'unix:x', 'tcp:80', 'unix:/a\n']],
  ['PROXY_PROTOCOL', 'proxyProtocol', { off: false }, ['yes', 'ON', '1']],
  ['METRICS_PORT', 'metricsPort', { '': undefined, 0: 0, 65535: 65_535 }, ['65536', '-1', 'on', '9090 ']],
  ['METRICS_HOST', 'metricsHost', same('0.0.0.0', '::'), ['http://x', '*']],
  ['LOG_FORMAT', 'logFormat', same('json', 'pretty'), ['text', 'JSON']],
  ['DRAIN_SECONDS', 'drainSeconds', { '': undefined, 0: 0, 3600: 3600 }, ['3601', '-1', '1.5']],
  ['ACCESS_TOKENS_FILE', 'accessTokensFile', same('/run/secrets/tokens'), ['a\0b']],
  ['CREATE_FROM', 'createFrom', { '192.0.2.7, 10.0.0.0/8': ['192.0.2.7', '10.0.0.0/8'] }, ['office', '10.0.0.0/33']],
  ['LOG_LEVEL', 'logLevel', same(...LEVELS), ['verbose', 'INFO', 'info,debug', '30']],
  ['WEB', 'web', { on: true, off: false }, ['true', 'yes', 'ON', '1']],
  ['WEB_NAME', 'webName', same('The Lake Club', 'Zoë’s «relay»', '1'), ['x'.repeat(41), 'a\nb', 'a\u2028b', '\u0007']],
  ['WEB_NOTICE', 'webNotice', same('For members. Ask Ann.', 'x'.repeat(200)), ['x'.repeat(201), 'a\r\nb']],
  [
    'WEB_LINKS',
    'webLinks',
    {
      'Imprint=https://a.example/i': [{ text: 'Imprint', url: 'https://a.example/i' }],
      'Imprint=https://a.example, Privacy notice = http://b.example/?a=b': [
        { text: 'Imprint', url: 'https://a.example' },
        { text: 'Privacy notice', url: 'http://b.example/?a=b' },
      ],
    },
    [
      ...[
        'https://a.example',
        'Imprint=',
        'Imprint=a.example',
        'Imprint=javascript:alert(1)',
        '=https://a.example',
        ',',
      ],
      ...['A=https://a.example,', `${'A=https://a.example,'.repeat(5)}A=https://a.example`],
    ],
  ],
  [
    'CORS_ORIGINS',
    'corsOrigins',
    {
      '*': ['*'],
      'https://app.example,null': ['https://app.example', 'null'],
      'https://app.example:443': ['https://app.example'],
      'https://app.example,http://localhost:5173': APP_AND_LOCAL,
      ' https://App.example/ , http://localhost:5173/': APP_AND_LOCAL,
    },
    [
      ...['app.example', 'https://app.example/path', 'https://a.example https://b.example', 'https://user@app.example'],
      ...['*,https://a.example', 'https://', ','],
    ],
  ],
  [
    'ALLOWED_HOSTS',
    'allowedHosts',
    { '*': ['*'], 'relay.example, 192.0.2.1,::1': ['relay.example', '192.0.2.1', '::1'] },
    ['relay.example:80', 'https://relay.example', '*,a', '*.example', 'a b', ','],
  ],
  [
    'TRUST_PROXY',
    'trustProxy',
    {
      '127.0.0.1': ['127.0.0.1'],
      '10.0.0.0/8, 192.0.2.1/32,::1': ['10.0.0.0/8', '192.0.2.1/32', '::1'],
      'fc00::/7, 2001:db8::/128,::ffff:10.0.0.1': ['fc00::/7', '2001:db8::/128', '::ffff:10.0.0.1'],
    },
    [
      ...['true', '1', 'loopback', 'proxy.example', '10.0.0.0/33', 'fd00::/129', '10.0.0.0/08', '10.0.0.0/255.0.0.0'],
      ...['::ffff:0.0.0.0/96', '::FFFF:0:0/97', '0:0:0:0:0:ffff:0:0/104', '10.0.0.0/', '10.0.0/8', '127.1'],
      ...['10.0.0.0/8/8', '127.0.0.1,', '127.0.0.1 ::1'],
    ],
  ],
  ['RATE_LIMIT', 'limitAddresses', { on: true, off: false }, ['false', '0', 'OFF', 'no']],
  [
    'RATE_LIMIT_EXEMPT',
    'rateLimitExempt',
    { '192.0.2.7, 10.0.0.0/8': ['192.0.2.7', '10.0.0.0/8'] },
    ['office', '10.0.0.0/33'],
  ],
  [
    'MEMORY_BUDGET_BYTES',
    'memoryBudgetBytes',
    { '524544': 524_544, '68719476736': 68_719_476_736 },
    ['68719476737', '16383', 'all', '-1'],
  ],
  [
    'REDIS_URL',
    'redisUrl',
    same('redis://h', 'rediss://h:6380', 'redis://:p%40ss@10.0.0.1:6379/0', 'redis://user:word@[::1]:6379/'),
    [
      ...['h:6379', 'http://h', 'redis://', 'redis://h:66666', 'redis://h/x', 'redis://a b'],
      ...['redis://h\n', 'redis://:p%zz@h'],
    ],
  ],
  ['REDIS_CA_FILE', 'redisCaFile', same('/etc/ssl/redis ca.pem'), ['a\0b']],
  ['REDIS_URL_FILE', 'redisUrl', {}, ['a\0b']],
]

function same(...values: string[]): Record<string, string> {
  return Object.fromEntries(values.map((value) => [value, value]))
}

describe('the configuration', () => {
  test('has the documented defaults when nothing is set', () => {
    expect(readConfig({})).toMatchObject({
      host: '127.0.0.1',
      logLevel: 'info',
      corsOrigins: [],
      allowedHosts: [],
      trustProxy: [],
      limits: { unknownCodes: 10, requests: 2_000, refusals: 20 },
      rateLimitExempt: [],
      limitAddresses: true,
      memoryBudgetBytes: 268_435_456,
      redisUrl: '',
      redisCaFile: '',
    })
  })

  test('takes an empty variable for an absent one, and ignores all others', () => {
    const empty = Object.fromEntries(Object.keys(VARIABLES).map((name) => [name, '']))
    expect(readConfig({ ...empty, PATH: '/bin', port: '1', Port: '2' })).toEqual(readConfig({}))
  })

  test('is tested here in every variable', () => {
    expect([...INTEGERS, ...FORMS].map(([name]) => name).sort()).toEqual(Object.keys(VARIABLES).sort())
  })

  for (const [name, field, right, wrong] of FORMS) {
    test(`${name} has its form, and anything else is refused by name`, () => {
      const around = name === 'REDIS_CA_FILE' ? { REDIS_URL: 'rediss://h' } : {}
      for (const [value, read] of Object.entries(right))
        expect(readConfig({ ...around, [name]: value })[field], value).toEqual(read)
      for (const value of wrong)
        expect(() => readConfig({ ...around, [name]: value }), value).toThrow(`${name} is not ${VARIABLES[name].form}`)
    })
  }

  for (const [name, fallback, min, max, field] of INTEGERS) {
    const fieldsOf = (config: Config) => (field in config ? config : config.limits)
    test(`${name} is ${fallback}, or from ${min} to ${max}`, () => {
      expect(VARIABLES[name].default).toBe(String(fallback))
      expect(VARIABLES[name].form).toBe(`a whole number from ${min} to ${max}`)
      for (const value of [min, max]) expect(fieldsOf(read(name, String(value)))).toMatchObject({ [field]: value })
      expect(fieldsOf(read(name, undefined))).toMatchObject({ [field]: fallback })
    })

    test(`${name} beyond its bounds, or no whole number, is refused by name`, () => {
      const numbers = ['-1', '1.5', '1e3', '0x10', '６０', 'Infinity', '9'.repeat(16), '1,000']
      const garbage = ['abc', ' 60', '60 ', '60\n', ...numbers]
      for (const attacker of [String(max + 1), ...(min > 0 ? [String(min - 1)] : []), ...garbage]) {
        expect(() => read(name, attacker), attacker).toThrow(ConfigError)
        expect(() => read(name, attacker), attacker).toThrow(`${name} is not ${VARIABLES[name].form}; it is "`)
      }
    })
  }

  test.each(['TRUST_PROXY', 'RATE_LIMIT_EXEMPT'] as const)(
    '%s has no network of everybody, or of half of them',
    (name) => {
      for (const value of ['0.0.0.0/0', '10.0.0.1, ::/0', '0.0.0.0/1', '128.0.0.0/7', '2000::/6'])
        expect(() => readConfig({ [name]: value }), value).toThrow(
          /^[A-Z_]+ has a network that is too wide .*; it is "/,
        )
    },
  )

  test('values that do not go together are refused, each pair at its border', () => {
    const ttl = (SESSION_TTL_SECONDS: string, MAX_SESSION_TTL_SECONDS: string) =>
      readConfig({ SESSION_TTL_SECONDS, MAX_SESSION_TTL_SECONDS })
    expect(ttl('600', '600').sessionTtlSeconds).toBe(600)
    expect(() => ttl('601', '600')).toThrow(
      new ConfigError('SESSION_TTL_SECONDS (601) is above MAX_SESSION_TTL_SECONDS (600)'),
    )
    const window = (WINDOW_BYTES: string, MAX_FRAME_BYTES: string) => readConfig({ WINDOW_BYTES, MAX_FRAME_BYTES })
    expect(window('100000', '100000').windowBytes).toBe(100_000)
    expect(() => window('99999', '100000')).toThrow(
      new ConfigError('WINDOW_BYTES (99999) is below MAX_FRAME_BYTES (100000)'),
    )
    const proxies = (more: Record<string, string>) => readConfig({ PROXY_PROTOCOL: 'on', ...more })
    for (const more of [{ TRUST_PROXY: '10.0.0.1' }, { LISTEN: 'unix:/run/relay.sock' }])
      expect(proxies(more).proxyProtocol).toBe(true)
    expect(() => proxies({})).toThrow(new ConfigError('PROXY_PROTOCOL is on, and TRUST_PROXY names no proxy'))
    const ca = (REDIS_URL: string) => readConfig({ REDIS_URL, REDIS_CA_FILE: '/ca.pem' })
    expect(ca('rediss://h').redisCaFile).toBe('/ca.pem')
    for (const url of ['', 'redis://:secret@h'])
      expect(() => ca(url)).toThrow(
        new ConfigError('REDIS_CA_FILE is set, and REDIS_URL does not begin with rediss://'),
      )
    const budget = (MEMORY_BUDGET_BYTES: string, MAX_FRAME_BYTES: string) =>
      readConfig({ MEMORY_BUDGET_BYTES, MAX_FRAME_BYTES })
    expect(budget('200000', '100000').memoryBudgetBytes).toBe(200_000)
    expect(() => budget('199999', '100000')).toThrow(
      /^MEMORY_BUDGET_BYTES \(199999\) has no room for one channel: it takes twice MAX_FRAME_BYTES \(100000\)/,
    )
  })

  test('RATE_LIMIT=off takes every limit for one client address away, and no other', () => {
    const off = readConfig({ RATE_LIMIT: 'off', MAX_CONNECTIONS: '5' })
    expect(new Set(Object.values(off.limits))).toEqual(new Set([Infinity]))
    expect([off.maxSessionsPerSource, off.limitAddresses, off.maxConnections]).toEqual([Infinity, false, 5])
  })

  test('REDIS_URL_FILE is a file that has REDIS_URL in it, which is never shown', () => {
    const files: Record<string, string> = {
      '/right': 'redis://:secret@h\n',
      '/empty': '\n',
      '/wrong': 'redis://:sec/ret@h',
    }
    const read = (env: Record<string, string>) =>
      readConfig(env, (path) => {
        if (path in files) return files[path] ?? ''
        throw Object.assign(new Error(path), { code: 'ENOENT' })
      })
    expect(read({ REDIS_URL_FILE: '/right' }).redisUrl).toBe('redis://:secret@h')
    const refused: [Record<string, string>, string][] = [
      [{ REDIS_URL_FILE: '/none' }, 'REDIS_URL_FILE is not a file that can be read: ENOENT'],
      [{ REDIS_URL_FILE: '/empty' }, 'REDIS_URL_FILE is an empty file'],
      [{ REDIS_URL_FILE: '/right', REDIS_URL: 'redis://h' }, 'REDIS_URL and REDIS_URL_FILE are both set'],
      [{ REDIS_URL_FILE: '/wrong' }, 'the text in REDIS_URL_FILE is not a URL such as'],
    ]
    for (const [env, says] of refused) {
      expect(() => read(env), says).toThrow(says)
      expect(() => read(env), says).not.toThrow(/sec\W?ret@/)
    }
  })

  test('a REDIS_URL of another kind is refused with the reason', () => {
    for (const [url, says] of [
      ['unix:///run/redis.sock', 'a unix socket is not supported'],
      ['/run/redis.sock', 'a unix socket is not supported'],
      ['redis+unix:///run/redis.sock', 'a unix socket is not supported'],
      ['redis:///run/redis.sock', 'a unix socket is not supported'],
      ['redis+sentinel://h:26379/mymaster', 'Sentinel is not supported'],
      ['redis-sentinel://a,b', 'Sentinel is not supported'],
      ['redis://10.0.0.1:6379,10.0.0.2:6379', 'nor is a list: name one server'],
      ['redis-socket:///run/redis.sock', 'a unix socket is not supported'],
      ['redis://%2Frun%2Fredis.sock', 'a unix socket is not supported'],
      ['redis://:p@ss@/run/redis.sock', 'a unix socket is not supported'],
      ['redis://10.0.0.1,10.0.0.2', 'nor is a list: name one server'],
      ['redis://:p,w@10.0.0.1,10.0.0.2:6379', 'nor is a list: name one server'],
      ['redis+sentinel://user:pass@h:26379', 'Sentinel is not supported'],
      ['redis://:a/b@h', 'percent-encoded, such as %2F for /'],
      ['redis://:a#b@h', 'percent-encoded'],
      ['redis://:a%b@h', 'percent-encoded'],
      ['redis://h:6379?db=1', 'percent-encoded'],
      [' redis://h', 'white space around it'],
      ['"redis://h"', 'quotes around it'],
    ] as const)
      expect(() => readConfig({ REDIS_URL: url }), url).toThrow(says)
  })

  test('an error shows the value on one line, with what cannot be seen escaped and what is around it named', () => {
    for (const [value, shown] of [
      ['8080\r', 'it is "8080\\r"; white space around it'],
      [' 8080', 'it is " 8080"; white space around it'],
      ['"8080"', 'it is "\\"8080\\""; quotes around it'],
      ['80\u200b80', 'it is "80\\u200b80"'],
      ['\u001b[2J', 'it is "\\u001b[2J"'],
      ['x'.repeat(1000), `it is "${'x'.repeat(100)}…"`],
    ] as const) {
      expect(() => readConfig({ PORT: value }), value).toThrow(
        new ConfigError(`PORT is not a whole number from 0 to 65535; ${shown}`),
      )
    }
  })

  test('an error is one line that names the variable, and does not repeat a secret', () => {
    for (const name of Object.keys(VARIABLES) as Name[]) {
      const attacker = () => readConfig({ [name]: 'se cret\nsecond line' })
      expect(attacker).toThrow(ConfigError)
      expect(attacker).toThrow(new RegExp(`^${name} is not [^\\n]+$`))
      if (name === 'REDIS_URL') expect(attacker).not.toThrow(/cret/)
    }
  })
})

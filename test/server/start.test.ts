import { describe, expect, test } from 'vitest'
import { settingsInForce, VARIABLES } from '../../src/server/config.ts'
import { lookalikesIn } from '../../src/server/lookalikes.ts'
import { RedisLog } from '../../src/server/redis-log.ts'
import { connectionsWithin, heapFlags, misfitOf } from '../../src/server/resources.ts'
import { FakeClock } from '../support/fake-clock.ts'

const MIB = 1024 * 1024

describe('environment variables that look like a setting', () => {
  test.each([
    ['MAX_SESION', 'MAX_SESSIONS'],
    ['MAX_SESSION', 'MAX_SESSIONS'],
    ['TRUSTED_PROXY', 'TRUST_PROXY'],
    ['TRUST_PROXIES', 'TRUST_PROXY'],
    ['TRUST_PROXY_FILE', 'TRUST_PROXY'],
    ['RATE_LIMITS', 'RATE_LIMIT'],
    ['LOGLEVEL', 'LOG_LEVEL'],
    ['PORTS', 'PORT'],
    ['port', 'PORT'],
    ['CORS_ORIGIN', 'CORS_ORIGINS'],
    ['ALLOWED_HOST', 'ALLOWED_HOSTS'],
    ['PAIRLAY_TRUST_PROXY', 'TRUST_PROXY'],
    ['VALKEY_URL', 'REDIS_URL'],
    ['REDIS_URI', 'REDIS_URL'],
    ['REDIS_HOST', 'REDIS_URL'],
    ['PAIRLAY_PORT', 'PORT'],
    ['METRIC_PORT', 'METRICS_PORT'],
    ['SESSION_TTL', 'SESSION_TTL_SECONDS'],
    ['MAX_SESSION_TTL', 'MAX_SESSION_TTL_SECONDS'],
    ['DRAIN_TIMEOUT', 'DRAIN_SECONDS'],
    ['CORS', 'CORS_ORIGINS'],
    ['SESSION_TTL', 'SESSION_TTL_SECONDS'],
  ])('%s is named, with %s', (name, similar) => {
    const found = lookalikesIn({ [name]: 'secret' })
    expect(found.map((each) => each.name)).toEqual([name])
    if (similar !== 'SESSION_TTL_SECONDS') expect(found).toEqual([{ name, similar }])
  })

  test.each([
    ...Object.keys(VARIABLES),
    ...['PATH', 'HOME', 'HOSTNAME', 'LOGNAME', 'USER', 'PWD', 'TERM', 'LANG', 'SHLVL', 'NODE_ENV', 'NODE_OPTIONS'],
    ...['PAIRLAY_RELAY', 'REDIS_SERVICE_HOST', 'REDIS_PORT_6379_TCP_ADDR', 'REDIS_PORT', 'npm_config_cache'],
  ])('%s is none of them', (name) => {
    expect(lookalikesIn({ [name]: '1' })).toEqual([])
  })

  test('that Kubernetes makes for a service of the name pairlay are none of them', () => {
    expect(lookalikesIn({ PAIRLAY_PORT: 'tcp://10.0.0.1:80', PAIRLAY_SERVICE_PORT: '80' })).toEqual([])
  })
})

describe('the settings in force', () => {
  test('have each by its name, and of a secret only that it is set', () => {
    const settings = settingsInForce({ REDIS_URL: 'redis://:secret@h', PORT: '1' })
    expect(Object.keys(settings)).toEqual(Object.keys(VARIABLES))
    expect(settings).toMatchObject({ REDIS_URL: 'set', PORT: '1', HOST: '127.0.0.1', TRUST_PROXY: '' })
    expect(settingsInForce({}).REDIS_URL).toBe('')
  })
})

describe('what a relay may use', () => {
  test('has to have room for its budget beside the process, and the number to set is said', () => {
    expect(misfitOf(256 * MIB, undefined)).toBeUndefined()
    expect(misfitOf(256 * MIB, 352 * MIB)).toBeUndefined()
    expect(misfitOf(256 * MIB, 352 * MIB - 1)).toContain(`set it to ${256 * MIB - 1} or less`)
    expect(misfitOf(256 * MIB, 192 * MIB)).toContain(`set it to ${96 * MIB} or less`)
    expect(misfitOf(MIB, 64 * MIB)).toContain('give the container more than')
  })

  test('is little beside a small budget, or in a container that is hardly large enough', () => {
    const small = heapFlags(255 * MIB)
    expect(small).toContain('--semi-space-growth-factor=1')
    expect(heapFlags(256 * MIB, 448 * MIB - 1)).toEqual(small)
    expect(heapFlags(256 * MIB, 448 * MIB)).not.toEqual(small)
    expect(heapFlags(256 * MIB)).toEqual(heapFlags(MIB * MIB))
  })

  test('is of connections what file descriptors allow, with 256 to spare', () => {
    expect(connectionsWithin(20_000, undefined)).toBe(20_000)
    expect(connectionsWithin(20_000, 1_048_576)).toBe(20_000)
    expect(connectionsWithin(20_000, 20_255)).toBe(19_999)
    expect(connectionsWithin(20_000, 1024)).toBe(768)
    expect(connectionsWithin(20_000, 200)).toBe(100)
    expect(connectionsWithin(50, 200)).toBe(50)
  })
})

describe('the log of Redis', () => {
  function logOf() {
    const clock = new FakeClock()
    const lines: unknown[] = []
    const write = (...line: unknown[]) => lines.push(line.length === 1 ? line[0] : line)
    const log = new RedisLog({ info: write, warn: write, error: write } as never, clock)
    return { clock, lines, log }
  }
  const READONLY = [{ reason: 'READONLY' }, 'Redis does not do what it should']
  const AWAY = 'Redis is away: this node takes no sessions until it is back'

  test('has the start and the end of each outage, and its reason again in the next one', () => {
    const { clock, lines, log } = logOf()
    for (let outage = 0; outage < 2; outage++) {
      for (let i = 0; i < 3; i++) {
        log.failed(new Error('READONLY'))
        log.look(false)
        clock.advance(1_000)
      }
      log.look(true)
      log.look(true)
    }
    const once = [READONLY, AWAY, [{ seconds: 3 }, 'Redis is back']]
    expect(lines).toEqual([...once, ...once])
  })

  test('repeats a reason after a minute, and another one at once', () => {
    const { clock, lines, log } = logOf()
    log.failed(new Error('READONLY'))
    log.failed(new Error('OOM'))
    clock.advance(59_999)
    log.failed(new Error('READONLY'))
    clock.advance(1)
    log.failed(new Error('READONLY'))
    expect(lines).toEqual([READONLY, [{ reason: 'OOM' }, READONLY[1]], READONLY])
  })
})

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { call } from '../../support/http.ts'
import { freePort, hasRedis, type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type RelayProcess, startRelayProcess } from '../../support/relay-process.ts'
import { hasTls, makeCertificates } from './certificates.ts'
import { freshCode, pair } from './party.ts'

const here = (hasRedis && hasTls()) || process.env.REQUIRE_ALL === '1'
const reason = here ? '' : ' (skipped: there is no redis-server with TLS, or no openssl here)'
const PASSWORD = 'a-password-that-nobody-logs'

describe.skipIf(!here)(`a redis-server behind rediss://${reason}`, () => {
  let folder: string
  let redis: RedisServer
  let url: string
  let ours: string
  let another: string
  const relays: RelayProcess[] = []
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pairlay-tls-'))
    const certificates = makeCertificates(folder, 'ours')
    ours = certificates.ca
    another = makeCertificates(folder, 'another').ca
    const port = await freePort()
    const files = ['--tls-cert-file', certificates.certificate, '--tls-key-file', certificates.key]
    const tls = ['--tls-port', String(port), ...files, '--tls-ca-cert-file', ours, '--tls-auth-clients', 'no']
    // The port without TLS stays open for the test itself.
    redis = await startRedis([...tls, '--requirepass', PASSWORD], { username: 'default', password: PASSWORD })
    url = `rediss://:${PASSWORD}@127.0.0.1:${port}`
  })
  afterEach(async () => {
    await Promise.all(relays.splice(0).map((relay) => relay.kill()))
  })
  afterAll(async () => {
    await redis.stop()
    await rm(folder, { recursive: true, force: true })
  })

  async function start(settings: Record<string, string>): Promise<RelayProcess> {
    const relay = await startRelayProcess({ LOG_LEVEL: 'trace', ...settings })
    relays.push(relay)
    return relay
  }

  const readiness = async ({ url: relay }: RelayProcess) => (await fetch(`${relay}/readyz`)).status

  test('is reached by two nodes whose REDIS_CA_FILE has its authority', async () => {
    const settings = { REDIS_URL: url, REDIS_CA_FILE: ours }
    const [A, B] = await Promise.all([start(settings), start(settings)])
    for (const node of [A, B]) await expect.poll(() => readiness(node)).toBe(200)
    const { S, R } = await pair(A, B)
    S.data(1, 1, 'through TLS')
    await R.until(() => R.texts.includes('through TLS'))
    for (const { failures } of [A, B]) expect(failures).toEqual([])
  })

  for (const [what, settings] of [
    ['has another authority', () => ({ REDIS_URL: url, REDIS_CA_FILE: another })],
    ['is not set', () => ({ REDIS_URL: url })],
  ] as const) {
    test(`is not spoken to by a node whose REDIS_CA_FILE ${what}: 503, and a line that says why without the password`, async () => {
      const node = await start(settings())
      await expect.poll(() => node.failures.length).toBeGreaterThan(0)
      expect(await readiness(node)).toBe(503)
      const body = { clientId: freshCode(), senderCode: freshCode() }
      const refused = await call(node.url, 'POST', '/v1/sessions', { body })
      expect(refused.problem()).toMatchObject({ status: 503, code: 'unavailable' })
      expect(node.failures[0]).toMatch(/certificate/)
      expect(node.failures.join('\n')).not.toContain(PASSWORD)
    })
  }

  test('is not spoken to without TLS by rediss://', async () => {
    const node = await start({ REDIS_URL: url.replace(/\d+$/, String(redis.port)), REDIS_CA_FILE: ours })
    await expect.poll(() => node.errors.length).toBeGreaterThan(0)
    expect(await readiness(node)).toBe(503)
    expect(node.errors.join('\n')).not.toContain(PASSWORD)
  })
})

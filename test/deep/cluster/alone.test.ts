import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { describeRedis, startRedis } from '../../support/redis-server.ts'
import { startRelayProcess } from '../../support/relay-process.ts'

/** The files that the built relay loads, as V8 counts them, until it is stopped. */
async function filesLoaded(settings: Record<string, string> = {}): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'pairlay-loaded-'))
  try {
    const relay = await startRelayProcess({ ...settings, NODE_V8_COVERAGE: folder })
    expect(await relay.stop()).toBe(0)
    const reports = await Promise.all((await readdir(folder)).map((file) => readFile(join(folder, file), 'utf8')))
    return reports.flatMap((report) => JSON.parse(report).result.map(({ url }: { url: string }) => url))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const ofRedis = (url: string) => url.includes('/node_modules/@redis/') || url.includes('/dist/store/redis/')

describe('a relay without REDIS_URL', () => {
  test('keeps everything in its memory: no code for Redis is loaded, neither its own nor the client', async () => {
    const files = await filesLoaded()
    expect(files.some((url) => url.endsWith('/dist/store/memory/sessions.js'))).toBe(true)
    expect(files.filter(ofRedis)).toEqual([])
  })
})

describeRedis('a relay with REDIS_URL', () => {
  test('loads both', async () => {
    const redis = await startRedis()
    const files = (await filesLoaded({ REDIS_URL: redis.url })).filter(ofRedis)
    expect(files.some((url) => url.endsWith('/dist/store/redis/open.js'))).toBe(true)
    expect(files.some((url) => url.includes('/node_modules/@redis/client/'))).toBe(true)
    await redis.stop()
  })
})

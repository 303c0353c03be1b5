import { expect, test } from 'vitest'
import { bytesSource } from '../../../src/client/index.ts'
import { admit, bytesOf, collect, errorOf, openSender, outcomeOf, sha256 } from '../../e2e/people.ts'
import { until } from '../../e2e/world.ts'
import { describeRedis, type RedisServer } from '../../support/redis-server.ts'
import type { RunningNode } from '../../support/server.ts'
import { eachWithTwoNodes } from './two-nodes.ts'

/** Two devices while the store of their relay nodes is away for a while. */
describeRedis('two devices at two nodes whose Redis', () => {
  let redis: RedisServer
  let A: RunningNode
  let B: RunningNode
  eachWithTwoNodes((nodes) => {
    ;({ redis, A, B } = nodes)
  })

  const PAYLOAD = bytesOf(12_000_000)

  /** A transfer that has begun, and has most of its way to go. */
  async function underWay() {
    const device = await openSender(A.url)
    const joined = await admit(B.url, device)
    let bytes = 0
    const collecting = collect(joined.receiver, {
      onProgress: (progress) => {
        bytes = progress.bytes
      },
    })
    collecting.catch(() => {})
    const sending = device.sender.send([bytesSource(PAYLOAD, 'a')])
    await until('the transfer has begun', () => bytes > 1_000_000)
    expect(bytes).toBeLessThan(PAYLOAD.length)
    return { device, collecting, sending }
  }

  test('is frozen in the middle of a transfer wait, and go on when it is thawed: every byte arrives', async () => {
    const { device, collecting, sending } = await underWay()
    redis.freeze()
    await expect.poll(async () => (await fetch(`${A.url}/readyz`)).status).toBe(503)
    // Both sockets are closed by now, or will be with the next frame.
    await until('the sender’s socket is closed', () => device.world.sockets[0]?.closeCode === 1013)
    redis.thaw()
    expect((await sending).map(outcomeOf)).toEqual([PAYLOAD.length])
    await device.sender.close()
    expect(await collecting).toMatchObject([[{ bytes: PAYLOAD.length, sha256: sha256(PAYLOAD) }]])
  })

  test('comes back empty are told both that the session is lost', async () => {
    const { collecting, sending } = await underWay()
    await redis.restart()
    expect((await sending).map(outcomeOf)).toEqual(['session_lost'])
    expect(await errorOf(collecting)).toBe('session_lost')
  })
})

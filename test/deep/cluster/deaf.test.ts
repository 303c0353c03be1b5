import { expect, test } from 'vitest'
import { RedisBus } from '../../../src/store/redis/bus.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { describeRedis, type RedisServer } from '../../support/redis-server.ts'
import type { RunningNode } from '../../support/server.ts'
import { pair } from './party.ts'
import { eachWithTwoNodes } from './two-nodes.ts'

const attacker = [
  'not json',
  '',
  'null',
  '[]',
  '{}',
  '["n"]',
  '["n","s"]',
  '["n","s",{"about":"later"}]',
  '[1,2,3]',
  '["n","s",{"about":"ack","channel":1,"direction":"s2r"}]',
]

describeRedis('a node that hears what is no message', () => {
  let redis: RedisServer
  let A: RunningNode
  let B: RunningNode
  eachWithTwoNodes((nodes) => {
    ;({ redis, A, B } = nodes)
  })

  test('carries the next pairing as before, whatever anybody published', async () => {
    for (const message of attacker) {
      await redis.command('SPUBLISH', 'pairlay:wakes', message)
    }
    const { S, R } = await pair(A, B)
    S.data(1, 1, 'x')
    await R.until(() => R.received === 1)
    R.data(1, 1, 'y')
    await S.until(() => S.received === 1)
  })
})

/** A bus on a connection that hears nothing, unless a test wants it to. */
function deafBus() {
  const clock = new FakeClock()
  const published: string[] = []
  const calls = { resubscribed: 0 }
  let hear = (_message: string) => {}
  const redis = {
    command: async (_command: string, _channel: string, message: string) => void published.push(message),
    subscribe: (_channel: string, heard: typeof hear, missed: () => void, listening: (publish: 'PUBLISH') => void) => {
      hear = heard
      listening('PUBLISH')
      missed()
    },
    resubscribe: () => calls.resubscribed++,
  }
  const bus = new RedisBus(redis as never, 'this node', clock)
  bus.start()
  const pass = (seconds: number) => {
    for (let i = 0; i < seconds; i++) {
      clock.advance(1_000)
      bus.beat()
    }
  }
  return { bus, published, calls, pass, hear: (message: string) => hear(message) }
}

test('a node that does not hear itself for 5 s is deaf, and subscribes anew until it does', () => {
  const { bus, published, calls, pass, hear } = deafBus()
  pass(5)
  expect([bus.isDeaf, calls.resubscribed]).toEqual([false, 0])
  pass(1)
  expect([bus.isDeaf, calls.resubscribed]).toEqual([true, 1])
  pass(5)
  expect(calls.resubscribed).toBe(1)
  pass(1)
  expect(calls.resubscribed).toBe(2)
  hear(published.at(-1) ?? '')
  expect(bus.isDeaf).toBe(false)
  pass(5)
  expect([bus.isDeaf, calls.resubscribed]).toEqual([false, 2])
})

test('a node that heard what is no message hears and says the next one', () => {
  const { bus, published, hear } = deafBus()
  const woken: string[] = []
  bus.subscribe({ woken: (sessionId: string) => woken.push(sessionId), missed: () => {} } as never)
  for (const message of attacker) hear(message)
  hear('["n","s",{"about":"session"}]')
  expect(woken).toEqual(['s'])
  const said = published.length
  bus.beat()
  expect(published.length).toBe(said + 1)
})

test('what another node says of itself is not taken for the own', () => {
  const { bus, pass, hear } = deafBus()
  pass(4)
  hear('["another node"]')
  pass(2)
  expect(bus.isDeaf).toBe(true)
})

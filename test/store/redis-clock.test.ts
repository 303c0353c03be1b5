import { expect, test } from 'vitest'
import { RedisClock } from '../../src/store/redis/clock.ts'
import { EvictionWatch } from '../../src/store/redis/eviction.ts'
import { FakeClock } from '../support/fake-clock.ts'

/** A server with a clock of its own and one key. */
class FakeServer {
  time = 1_000_000_000
  shift: string | null = null

  async script(): Promise<unknown> {
    return [String(Math.floor(this.time / 1000)), String((this.time % 1000) * 1000), this.shift]
  }

  async command(_set: string, _key: string, value: number): Promise<void> {
    this.shift = String(value)
  }
}

function nodes() {
  const server = new FakeServer()
  const own = new FakeClock()
  const node = () => new RedisClock(own, 0)
  const pass = (ms: number) => {
    own.advance(ms)
    server.time += ms
  }
  return { server, pass, node, look: (clock: RedisClock) => clock.calibrate(server as never) }
}

test('the shared clock is the server’s, and follows it where that drifts', async () => {
  const { server, pass, node, look } = nodes()
  const clock = node()
  expect(await look(clock)).toBe(0)
  expect(clock.now()).toBe(server.time)
  for (let i = 0; i < 10; i++) {
    pass(1_000)
    server.time += 100
    expect(await look(clock)).toBe(0)
  }
  expect(clock.now()).toBe(server.time)
})

test.each([3_600_000, -600_000, 8_000])(
  'a server’s clock that is set by %d ms moves no deadline, at any node',
  async (by) => {
    const { server, pass, node, look } = nodes()
    const [first, second] = [node(), node()]
    for (const clock of [first, second]) await look(clock)
    const before = first.now()
    server.time += by
    pass(1_000)
    expect(await look(first)).toBe(by)
    expect(await look(second)).toBe(0)
    const late = node()
    await look(late)
    for (const clock of [first, second, late]) expect(clock.now()).toBe(before + 1_000)
    pass(1_000)
    for (const clock of [first, second, late]) expect(await look(clock)).toBe(0)
  },
)

test('a server that is set to forget keys while it runs is told of within a minute, once', async () => {
  const clock = new FakeClock()
  const server = { policy: 'noeviction', command: async () => `maxmemory:1\r\nmaxmemory_policy:${server.policy}\r\n` }
  const told: string[] = []
  const watch = new EvictionWatch(server, clock, ({ message }) => told.push(message))
  await watch.look()
  server.policy = 'allkeys-lru'
  for (let seconds = 0; seconds < 180; seconds++) {
    clock.advance(1_000)
    await watch.look()
    if (seconds === 59) expect(told).toEqual([expect.stringContaining('allkeys-lru')])
  }
  expect(told).toHaveLength(1)
})

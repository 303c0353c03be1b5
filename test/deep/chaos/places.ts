import type { Server } from 'node:http'
import { TTL_MAX_SECONDS } from '../../../src/protocol/limits.ts'
import { until } from '../../e2e/world.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'

import { NO_SERVER_STATE, type RunningNode, startNode, startRelay } from '../../support/server.ts'
import type { Side } from './pairing.ts'
import { KEYS_OUTLIVE_MS } from './redis-keys.ts'

/** Where sessions live whose time a test moves. */
export interface Place {
  readonly relays: Readonly<Record<Side, string>>
  /** How far time may go at once. */
  readonly tickMs: number
  /** Moves it on by that, and does what a relay does once a second. */
  tick(): Promise<void>
  /** Sessions and keys in Redis that there are, and what is wrong with what is kept of them. */
  look(): Promise<{ readonly sessions: number; readonly keys: number; readonly faults: readonly string[] }>
  /** Returns leftovers when every session's time is over, in words. */
  left(): Promise<string[]>
  close(): Promise<void>
}

/** A relay in this process, with everything in memory. */
export async function inMemory(): Promise<Place> {
  const clock = new FakeClock()
  const relay = await startRelay({ clock })
  const before = listenersOf(relay.server)
  const tickMs = 1_000
  return {
    relays: { sender: relay.url, receiver: relay.url },
    tickMs,
    tick: () => {
      clock.advance(tickMs)
      return relay.tick()
    },
    look: async () => ({ sessions: relay.counters().sessions, keys: 0, faults: [] }),
    left: async () => {
      await until('the sockets close', () => relay.counters().webSockets === 0)
      const after = listenersOf(relay.server)
      return [
        ...differences('the relay', relay.counters(), NO_SERVER_STATE),
        ...(after === before ? [] : [`${after} listeners instead of ${before}`]),
      ]
    },
    close: () => relay.close(),
  }
}

/** Two nodes, in this process, and a Redis whose keys grow older with the clock: none is there for longer than it should. */
export async function inRedis(): Promise<Place> {
  // A wall clock's time: what Redis keeps by deadline must lie ahead of it.
  const clock = new FakeClock(Date.now())
  const redis = await startRedis()
  const nodes: RunningNode[] = []
  for (let i = 0; i < 2; i++) nodes.push(await startNode(redis.url, { clock }))
  const [A, B] = nodes
  // A node that has not said for five seconds that it lives is taken for dead.
  const tickMs = 4_000
  let passed = 0
  const tick = async () => {
    clock.advance(tickMs)
    passed += tickMs
    if (passed % MINUTE_MS === 0) await age(redis, MINUTE_MS, BEATS)
    for (const node of nodes) await node.tick()
  }
  return {
    relays: { sender: A.url, receiver: B.url },
    tickMs,
    tick,
    look: async () => {
      const keys = [...(await redis.timeouts())]
      const timeless = keys.filter(([, ms]) => ms === -1).map(([key]) => `${key} has no time-out`)
      const sessions = keys.filter(([key]) => /^pairlay:\{[^}]+\}$/.test(key)).length
      return { sessions, keys: keys.length, faults: timeless }
    },
    left: async () => {
      await until('the sockets close', () => nodes.every((node) => node.counters().sockets === 0))
      const left = nodes.flatMap((node, i) => differences(`node ${i}`, node.counters(), NO_SERVER_STATE))
      for (const node of nodes) await node.close()
      // Only the record of living nodes may be left.
      await age(redis, NODES_GONE_MS, '')
      const keys = await redis.keys()
      return [...left, ...(keys.length > 0 ? [`keys in Redis: ${keys.join(', ')}`] : [])]
    },
    close: async () => {
      for (const node of nodes) await node.close()
      await redis.stop()
    },
  }
}

const MINUTE_MS = 60_000
/** After the last node, what nodes share is gone. */
const NODES_GONE_MS = TTL_MAX_SECONDS * 1_000 + KEYS_OUTLIVE_MS
/** A key that the nodes write every second, gone ten seconds after the last. */
const BEATS = 'pairlay:nodes'

const AGE = `
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 and key ~= ARGV[2] then redis.call('PEXPIRE', key, math.max(0, left - tonumber(ARGV[1]))) end
end`

/** Lets time pass for every key that has a time-out, but one, as Redis has no clock that could be moved. */
async function age(redis: RedisServer, ms: number, except: string): Promise<void> {
  await redis.command('EVAL', AGE, '0', String(ms), except)
}

function differences<T extends object>(where: string, counters: T, wanted: T): string[] {
  const [is, should] = [JSON.stringify(counters), JSON.stringify(wanted)]
  return is === should ? [] : [`${where}: ${is}`]
}

function listenersOf(server: Server): number {
  const emitters = [server, process, process.stdout, process.stderr]
  return emitters.reduce(
    (sum, emitter) => sum + emitter.eventNames().reduce((all, name) => all + emitter.listenerCount(name), 0),
    0,
  )
}

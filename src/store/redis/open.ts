import { randomBytes } from 'node:crypto'
import type { Bus, Clock, Cluster, SessionStore } from '../../relay/ports.ts'
import { RedisBus } from './bus.ts'
import { RedisClock } from './clock.ts'
import { RedisConnection, type RedisOptions } from './connection.ts'
import { RedisCounters } from './counters.ts'
import { EvictionWatch } from './eviction.ts'
import { RedisMailboxStore } from './mailboxes.ts'
import { RedisNodes } from './nodes.ts'
import { Schema } from './schema.ts'
import { RedisSessionStore } from './sessions.ts'
import { SharedKey } from './shared-key.ts'

/** The ports of a relay that is one node of several. */
export interface RedisStores {
  readonly sessions: SessionStore
  readonly bus: Bus
  readonly clock: Clock
  readonly cluster: Cluster
  /** A digest of a client address that is the same at every node. RelayError `unavailable` as long as Redis was not reached. */
  digestAddress(clientAddress: string): string
  readonly counters: RedisCounters
  close(): void
}

/**
 * Connects to Redis or Valkey, 6.2 or later. Returns at once, and works as soon as the server answers. `own` is the process's
 * clock; `clock` the one all nodes share, which is the server's unless a test moves time itself.
 */
export function openRedis(
  options: RedisOptions,
  own: Clock,
  clock: Clock = new RedisClock(own, Date.now()),
): RedisStores {
  const { onError } = options
  const redis = new RedisConnection(options)
  const node = randomBytes(9).toString('base64url')
  const bus = new RedisBus(redis, node, own)
  const schema = new Schema(redis, onError)
  const sharedKey = new SharedKey(redis)
  const mailboxes = new RedisMailboxStore(redis)
  const eviction = new EvictionWatch(redis, own, onError)
  const cluster = new RedisNodes({ node, schema, sharedKey, mailboxes, redis, clock, own, bus, eviction, onError })
  bus.start()
  redis.start(() => void cluster.beat())
  return {
    sessions: new RedisSessionStore(redis, clock),
    bus,
    clock,
    cluster,
    counters: new RedisCounters(redis, sharedKey),
    digestAddress: (clientAddress) => sharedKey.digest(clientAddress),
    close: () => redis.close(),
  }
}

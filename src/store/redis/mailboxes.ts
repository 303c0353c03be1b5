import { FRAME_HEADER_BYTES, frameCost } from '../../protocol/limits.ts'
import type {
  AckOutcome,
  AppendOutcome,
  MailboxKey,
  MailboxPosition,
  MailboxStore,
  StoredFrame,
} from '../../relay/ports.ts'
import { type RedisConnection, Script } from './connection.ts'

/*
 * A mailbox is three keys: a hash with `received`, `acked` and the cost of what is between them, a stream of the frames whose
 * ids are the seqs, and a list of their costs. The hash is there as long as the mailbox is, the others while frames are. What
 * an ack does begins with a write that a server out of memory allows, so that it can always make room.
 */
const ACK_THROUGH = `
local function ackThrough(seq, received, acked, cost)
  if seq <= acked then return received, acked, cost end
  redis.call('XTRIM', KEYS[2], 'MINID', seq + 1)
  local forget = math.min(seq, received) - acked
  if forget > 0 then
    for _, each in ipairs(redis.call('LPOP', KEYS[3], forget) or {}) do cost = cost - each end
  end
  received = math.max(seq, received)
  redis.call('HSET', KEYS[1], 'received', received, 'acked', seq, 'cost', cost)
  return received, seq, cost
end
local function known()
  local values = redis.call('HMGET', KEYS[1], 'received', 'acked', 'cost')
  return tonumber(values[1]), tonumber(values[2]), tonumber(values[3])
end
`

const OPEN = new Script(`${ACK_THROUGH}
local floor, keepMs = tonumber(ARGV[1]), ARGV[2]
local received, acked = known()
local created = not received
if created then
  redis.call('DEL', KEYS[2], KEYS[3])
  received, acked = floor, floor
  redis.call('HSET', KEYS[1], 'received', floor, 'acked', floor, 'cost', 0)
end
redis.call('PEXPIRE', KEYS[1], keepMs)
return {created and 1 or 0, received, acked}`)

const APPEND = new Script(`${ACK_THROUGH}
local seq, cost, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local received, acked, held = known()
if not received then return false end
if seq <= received then return {'duplicate', received, acked, held} end
if seq > received + 1 then return {'gap', received, acked, held} end
if held + cost > window then return {'full', received, acked, held} end
redis.call('XADD', KEYS[2], seq .. '-0', 'f', ARGV[4])
if redis.call('RPUSH', KEYS[3], cost) == 1 then
  local keepMs = redis.call('PTTL', KEYS[1])
  redis.call('PEXPIRE', KEYS[2], keepMs)
  redis.call('PEXPIRE', KEYS[3], keepMs)
end
redis.call('HSET', KEYS[1], 'received', seq, 'cost', held + cost)
return {'stored', seq, acked, held + cost}`)

const ACK = new Script(`${ACK_THROUGH}
local received, acked, cost = known()
if not received then return false end
local before = acked
received, acked = ackThrough(tonumber(ARGV[1]), received, acked, cost)
return {acked > before and 'raised' or 'unchanged', received, acked}`)

/** Mailboxes that every node reaches. */
export class RedisMailboxStore implements MailboxStore {
  readonly #redis: RedisConnection

  constructor(redis: RedisConnection) {
    this.#redis = redis
  }

  async open(key: MailboxKey, floor: number, keepMs: number): Promise<{ created: boolean; position: MailboxPosition }> {
    const answer = await this.#redis.script(OPEN, keysOf(key), [floor, Math.ceil(keepMs)])
    const [created, received, acked] = answer as [number, number, number]
    return { created: created === 1, position: { received, acked } }
  }

  async append(key: MailboxKey, { seq, bytes }: StoredFrame, window: number): Promise<AppendOutcome> {
    const cost = frameCost(bytes.length - FRAME_HEADER_BYTES)
    const answer = await this.#redis.script(APPEND, keysOf(key), [seq, cost, window, bytes])
    if (!answer) return { kind: 'unknown' }
    const [kind, received, acked, unackedCost] = answer as ['stored' | 'duplicate' | 'gap' | 'full', ...number[]]
    return { kind, position: positionOf(received, acked), unackedCost: unackedCost ?? 0 }
  }

  async ackThrough(key: MailboxKey, seq: number): Promise<AckOutcome> {
    const answer = await this.#redis.script(ACK, keysOf(key), [seq])
    if (!answer) return { kind: 'unknown' }
    const [kind, received, acked] = answer as ['raised' | 'unchanged', ...number[]]
    return { kind, position: positionOf(received, acked) }
  }

  async read(key: MailboxKey, after: number): Promise<StoredFrame | undefined> {
    const [, frames] = keysOf(key)
    const answer = await this.#redis.bytes('XRANGE', frames, `${after + 1}-0`, '+', 'COUNT', 1)
    const [entry] = answer as [[Buffer, [Buffer, Buffer]]?]
    if (!entry) return undefined
    const [id, [, bytes]] = entry
    return { seq: Number.parseInt(id.toString(), 10), bytes }
  }

  async position(key: MailboxKey): Promise<MailboxPosition | undefined> {
    const [mailbox] = keysOf(key)
    const [received, acked] = (await this.#redis.command('HMGET', mailbox, 'received', 'acked')) as (string | null)[]
    return received === null ? undefined : positionOf(Number(received), Number(acked))
  }

  async drop(keys: readonly MailboxKey[]): Promise<void> {
    if (keys.length > 0) await this.#redis.command('DEL', ...keys.flatMap(keysOf))
  }
}

/** The keys of a mailbox: what is known of it, its frames, their costs. */
function keysOf(key: MailboxKey): [string, string, string] {
  const [sessionId, channel, direction] = key.split('/')
  const mailbox = `pairlay:{${sessionId}}:${channel}:${direction}`
  return [mailbox, `${mailbox}:frames`, `${mailbox}:costs`]
}

function positionOf(received = 0, acked = 0): MailboxPosition {
  return { received, acked }
}

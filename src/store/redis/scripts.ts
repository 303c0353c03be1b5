import { type CommandParser, defineScript } from '@redis/client'

export type Argument = string | number | Uint8Array

/*
 * A mailbox is three keys: a hash with `received`, `acked` and the cost of what is between them, a stream of the frames whose
 * ids are the seqs, and a list of their costs. The hash is there as long as the mailbox is, the others while frames are.
 */
const KNOWN = `
local function known()
  local values = redis.call('HMGET', KEYS[1], 'received', 'acked', 'cost')
  return tonumber(values[1]), tonumber(values[2]), tonumber(values[3])
end
`

/** Steps that the server does as one, by name. Each takes its keys and its arguments. */
export const SCRIPTS = {
  /** Adds a member to a set by deadline, unless so many others are there whose time is not over. The set lives as long. */
  admit: script(`
if ARGV[5] ~= '' then redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[5]) end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return 1`),
  /**
   * Compare and set. The time-out first: after a write that is always allowed, a server that is out of memory allows the
   * others of the script, and a session can end.
   */
  replace: script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`),
  deleteIf: script(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`),
  openMailbox: script(`${KNOWN}
local floor, keepMs = tonumber(ARGV[1]), ARGV[2]
local received, acked = known()
local created = not received
if created then
  redis.call('DEL', KEYS[2], KEYS[3])
  received, acked = floor, floor
  redis.call('HSET', KEYS[1], 'received', floor, 'acked', floor, 'cost', 0)
end
redis.call('PEXPIRE', KEYS[1], keepMs)
return {created and 1 or 0, received, acked}`),
  append: script(`${KNOWN}
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
return {'stored', seq, acked, held + cost}`),
  /** Begins with a write that a server out of memory allows: an ack can always make room. */
  ack: script(`${KNOWN}
local seq, received, acked, cost = tonumber(ARGV[1]), known()
if not received then return false end
if seq <= acked then return {'unchanged', received, acked} end
redis.call('XTRIM', KEYS[2], 'MINID', seq + 1)
local forget = math.min(seq, received) - acked
if forget > 0 then
  for _, each in ipairs(redis.call('LPOP', KEYS[3], forget) or {}) do cost = cost - each end
end
received = math.max(seq, received)
redis.call('HSET', KEYS[1], 'received', received, 'acked', seq, 'cost', cost)
return {'raised', received, seq}`),
  increment: script(`
local current = redis.call('INCR', KEYS[1])
if current == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {current, redis.call('PTTL', KEYS[1])}`),
  count: script(`
local current = redis.call('GET', KEYS[1])
if not current then return {0, 0} end
return {tonumber(current), redis.call('PTTL', KEYS[1])}`),
  clock: script(`
local time = redis.call('TIME')
return {time[1], time[2], redis.call('GETEX', KEYS[1], 'PX', ARGV[1])}`),
}

function script(text: string) {
  return defineScript({
    SCRIPT: text,
    parseCommand(parser: CommandParser, keys: readonly string[], args: readonly Argument[]) {
      parser.push(String(keys.length), ...keys, ...args.map(argumentOf))
    },
    transformReply: undefined as unknown as () => unknown,
  })
}

export function argumentOf(part: Argument): string | Buffer {
  if (typeof part === 'string') return part
  if (typeof part === 'number') return String(part)
  return Buffer.from(part.buffer, part.byteOffset, part.byteLength)
}

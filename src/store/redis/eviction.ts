import type { RedisConnection } from './connection.ts'

/** In words, how a server forgets keys when it is full; undefined for one that does not. */
export async function evictionOf(redis: RedisConnection): Promise<string | undefined> {
  const memory = String(await redis.command('INFO', 'memory'))
  const [, policy = 'noeviction'] = /^maxmemory_policy:(\S+)/m.exec(memory) ?? []
  // Without a maximum it is never full in its own eyes.
  if (policy === 'noeviction' || /^maxmemory:0\r?$/m.test(memory)) return undefined
  return `it forgets keys when it is full, and sessions with them: maxmemory-policy is ${policy}, and has to be noeviction`
}

import { hash, randomFillSync } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { SESSION_ID_BYTES, TOKEN_BYTES } from '../protocol/limits.ts'
import type { Clock, Secrets } from '../relay/ports.ts'

/** The process's monotonic clock. */
export const systemClock: Clock = { now: () => Math.floor(performance.now()) }

/** Random bytes are fetched for many at once, because each fetch costs as much as the rest of a small command. */
const pool = Buffer.alloc(4096)
let used = pool.length

function randomText(bytes: number): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const text = pool.toString('base64url', used, used + bytes)
  // What was given out is not kept.
  pool.fill(0, used, used + bytes)
  used += bytes
  return text
}

/** Random ids and tokens from the operating system, and SHA-256. */
export const systemSecrets: Secrets = {
  sessionId: () => randomText(SESSION_ID_BYTES),
  token: () => randomText(TOKEN_BYTES),
  digest: (token) => hash('sha256', token, 'base64url'),
}

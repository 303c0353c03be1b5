import { hash, randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { SESSION_ID_BYTES, TOKEN_BYTES } from '../protocol/limits.ts'
import type { Clock, Secrets } from '../relay/ports.ts'

/** The process's monotonic clock. */
export const systemClock: Clock = { now: () => Math.floor(performance.now()) }

/** Random ids and tokens from the operating system, and SHA-256. */
export const systemSecrets: Secrets = {
  sessionId: () => randomBytes(SESSION_ID_BYTES).toString('base64url'),
  token: () => randomBytes(TOKEN_BYTES).toString('base64url'),
  digest: (token) => hash('sha256', token, 'base64url'),
}

import { hash, randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { SESSION_ID_BYTES, TOKEN_BYTES } from '../protocol/limits.ts'
import type { Clock, Secrets } from '../relay/ports.ts'

/** Random bytes that are drawn at a time: the draw itself costs as much for a token as for fifty. */
const DRAWN_BYTES = 2_048

/** The process's monotonic clock. */
export const systemClock: Clock = { now: () => Math.floor(performance.now()) }

/** Random ids and tokens from the operating system, and SHA-256. */
export const systemSecrets: Secrets = secretsFrom(randomBytes)

/** Ids and tokens of bytes that `draw` gives, which are used once and then zeroed where they came from, and SHA-256. */
export function secretsFrom(draw: (bytes: number) => Buffer): Secrets {
  let drawn: Buffer = Buffer.alloc(0)
  let used = 0
  const fresh = (bytes: number) => {
    if (used + bytes > drawn.length) {
      drawn = draw(DRAWN_BYTES)
      used = 0
    }
    const text = drawn.toString('base64url', used, used + bytes)
    drawn.fill(0, used, used + bytes)
    used += bytes
    return text
  }
  return {
    sessionId: () => fresh(SESSION_ID_BYTES),
    token: () => fresh(TOKEN_BYTES),
    digest: (token) => hash('sha256', token, 'base64url'),
  }
}

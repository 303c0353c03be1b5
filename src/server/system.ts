import { hash, randomFillSync } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { SESSION_ID_BYTES, TOKEN_BYTES } from '../protocol/limits.ts'
import type { Clock, Secrets } from '../relay/ports.ts'

/** The process's monotonic clock. */
export const systemClock: Clock = { now: () => Math.floor(performance.now()) }

/**
 * Random texts whose bytes are fetched for many at once. With a fetch for each text a create costs the relay 1.2 times the
 * CPU (`npm run bench -- --only optimisations`).
 */
export class RandomTexts {
  readonly #fill: (pool: Buffer) => void
  readonly #pool = Buffer.alloc(4096)
  #used = this.#pool.length

  constructor(fill: (pool: Buffer) => void) {
    this.#fill = fill
  }

  /** Returns fresh bytes as base64url, and wipes them from the pool. */
  take(bytes: number): string {
    if (this.#used + bytes > this.#pool.length) {
      this.#fill(this.#pool)
      this.#used = 0
    }
    const taken = this.#pool.subarray(this.#used, this.#used + bytes)
    this.#used += bytes
    const text = taken.toString('base64url')
    taken.fill(0)
    return text
  }
}

const texts = new RandomTexts(randomFillSync)

/** Random ids and tokens from the operating system, and SHA-256. */
export const systemSecrets: Secrets = {
  sessionId: () => texts.take(SESSION_ID_BYTES),
  token: () => texts.take(TOKEN_BYTES),
  digest: (token) => hash('sha256', token, 'base64url'),
}

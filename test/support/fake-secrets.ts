import { SESSION_ID_BYTES, TOKEN_BYTES } from '../../src/protocol/limits.ts'
import type { Secrets } from '../../src/relay/ports.ts'

/** Ids and tokens that count up, of the right form; a digest anyone can read in a failing test. */
export class FakeSecrets implements Secrets {
  #issued: number

  /** Two that start far apart issue nothing in common. */
  constructor(start = 0) {
    this.#issued = start
  }

  sessionId(): string {
    return this.#next(SESSION_ID_BYTES)
  }

  token(): string {
    return this.#next(TOKEN_BYTES)
  }

  digest(token: string): string {
    return `digest of ${token}`
  }

  #next(length: number): string {
    const bytes = Buffer.alloc(length, 'secret')
    bytes.writeUInt32BE(++this.#issued, length - 4)
    return bytes.toString('base64url')
  }
}

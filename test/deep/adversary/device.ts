import type { Environment } from '../../../src/client/environment.ts'
import type { Role } from '../../../src/protocol/view.ts'
import type { Relay } from './relay.ts'
import type { Seed } from './seed.ts'
import { watch } from './watch.ts'

/** A device: everything random that it uses is watched, because the handshake's secrets are made of that. */
export class Device {
  readonly role: Role
  readonly #seed: Seed

  constructor(role: Role, seed: Seed) {
    this.role = role
    this.#seed = seed
  }

  /** Connects it to a relay, and to nothing else. */
  on(relay: Relay): Environment {
    return {
      fetch: relay.fetch,
      openWebSocket: relay.openWebSocket,
      // What a relay can say over HTTP, it can say on a socket.
      openHttpSocket: (sessionUrl) => relay.openWebSocket(sessionUrl, 'over HTTP'),
      now: relay.time.now,
      setTimeout: relay.time.setTimeout,
      clearTimeout: relay.time.clearTimeout,
      random: (length) => {
        const bytes = this.#seed.bytes(length)
        // 16 bytes are the id of the client, which is no secret.
        return length === 16 ? bytes : watch(bytes, `${this.role}: ${length} random bytes`)
      },
      jitter: () => 0.5,
    }
  }
}

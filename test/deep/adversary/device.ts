import type { Environment } from '../../../src/client/environment.ts'
import type { Role } from '../../../src/protocol/view.ts'
import type { Relay } from './relay.ts'
import type { Seed } from './seed.ts'
import { watch } from './watch.ts'

/**
 * The world of a device: a relay, and nothing else. All its random bytes are watched, because the
 * handshake's secrets are made of that.
 */
export const device = (role: Role, seed: Seed, relay: Relay): Environment => ({
  fetch: relay.fetch,
  openWebSocket: relay.openWebSocket,
  // A relay can send on a socket all that it can send over HTTP.
  openHttpSocket: (sessionUrl) => relay.openWebSocket(sessionUrl, 'over HTTP'),
  now: relay.time.now,
  setTimeout: relay.time.setTimeout,
  clearTimeout: relay.time.clearTimeout,
  random: (length) => {
    const bytes = seed.bytes(length)
    // 16 bytes are the id of the client, which is no secret.
    return length === 16 ? bytes : watch(bytes, `${role}: ${length} random bytes`)
  },
  jitter: () => 0.5,
})

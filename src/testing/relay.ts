import { SESSION_ID_BYTES, TOKEN_BYTES } from '../protocol/limits.ts'
import { encodeBase64Url } from '../protocol/text.ts'
import { Relay } from '../relay/relay.ts'
import { MemoryBus } from '../store/memory/bus.ts'
import { MemoryMailboxStore } from '../store/memory/mailboxes.ts'
import { MemorySessionStore } from '../store/memory/sessions.ts'
import type { TestClock } from './clock.ts'
import { TestDevice } from './device.ts'
import { SETTINGS } from './settings.ts'

export interface TestRelayOptions {
  /** Moves time for the relay and its devices. Without one it passes by itself. */
  readonly clock?: TestClock | undefined
}

/** How often the relay looks at what is due. */
const TICK_MS = 1_000

/**
 * A relay in memory, for the tests of an app: the domain of the real one, asked by its devices without a network. It opens no
 * socket and counts no calls a minute.
 */
export class TestRelay {
  /** For the option `relay` of `Sender.open` and `Receiver.join`. Nothing listens there. */
  readonly url = 'http://relay.test'
  readonly #relay: Relay
  readonly #clock: TestClock | undefined
  #devices = 0
  #ticking: unknown
  #isClosed = false

  constructor({ clock }: TestRelayOptions = {}) {
    this.#clock = clock
    const now = { now: () => Math.floor((clock ?? performance).now()) }
    const random = (bytes: number) => encodeBase64Url(crypto.getRandomValues(new Uint8Array(bytes)))
    this.#relay = new Relay(
      {
        sessions: new MemorySessionStore(now),
        mailboxes: new MemoryMailboxStore(),
        bus: new MemoryBus(),
        clock: now,
        // A relay keeps digests because others may read its store. Here are no others.
        secrets: {
          sessionId: () => random(SESSION_ID_BYTES),
          token: () => random(TOKEN_BYTES),
          digest: (token) => token,
        },
        digestAddress: (clientAddress) => clientAddress,
        diagnostics: {
          discarded: () => {},
          relayed: () => {},
          failed: (error) => {
            throw error
          },
        },
      },
      SETTINGS,
    )
    this.#tick()
  }

  /** Adds a device, with a network and a client address of its own. */
  device(): TestDevice {
    this.#devices++
    return new TestDevice(this.#relay, `test device ${this.#devices}`, this.#clock)
  }

  /** Stops as a relay does that is shut down: sessions end as `shutting_down`. */
  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#clock) this.#clock.clearTimeout(this.#ticking)
    else clearTimeout(this.#ticking as number)
    await this.#relay.drain()
  }

  #tick(): void {
    if (this.#isClosed) return
    const next = () => void this.#relay.tick().finally(() => this.#tick())
    if (this.#clock) this.#ticking = this.#clock.setTimeout(next, TICK_MS)
    else {
      this.#ticking = setTimeout(next, TICK_MS)
      // A relay that nobody closed keeps no process from ending.
      const { unref } = this.#ticking as { unref?: () => void }
      unref?.call(this.#ticking)
    }
  }
}

import type { Bus, BusListener, Wake } from '../../relay/ports.ts'

/** The bus of a relay that is alone: waking reaches the subscribers in this process. */
export class MemoryBus implements Bus {
  readonly #listeners: BusListener[] = []

  wake(sessionId: string, wake: Wake): void {
    for (const listener of this.#listeners) listener.woken(sessionId, wake, true)
  }

  subscribe(listener: BusListener): void {
    this.#listeners.push(listener)
  }
}

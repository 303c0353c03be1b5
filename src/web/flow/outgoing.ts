import type { PairedDevice, Source, Transfers } from '../../client/index.ts'
import { codeOf } from './failure.ts'
import { Meter } from './meter.ts'
import type { Event, Item, OutgoingStage } from './state.ts'

/** Something that goes to one or several devices. */
export interface Batch {
  readonly id: number
  readonly items: readonly Item[]
  readonly sources: readonly Source[]
}

/** Offers of this device, and what becomes of them. */
export class Outgoing {
  readonly #tell: (event: Event) => void
  readonly #transfers: Transfers
  readonly #stops = new Map<number, AbortController>()

  /** `transfers` keeps what a later offer of the same files goes on by. */
  constructor(tell: (event: Event) => void, transfers: Transfers) {
    this.#tell = tell
    this.#transfers = transfers
  }

  /** Offers a batch to a device, under the number of a new transfer. Resolves when the device has said its last word. */
  async send(transfer: number, peer: number, device: PairedDevice, { id, items, sources }: Batch): Promise<void> {
    const bytes = items.reduce((sum, item) => sum + item.bytes, 0)
    // A folder is one thing here, as on the screen where it was chosen.
    const tops = [...new Set(items.map(({ name }) => name.split('/')[0] ?? name))]
    const isText = items.length === 1 && items[0]?.isText === true
    const what = { id: transfer, peer, batch: id, names: tops.slice(0, 3), count: tops.length, bytes, isText }
    this.#tell({ is: 'transfer', transfer: { ...what, way: 'out', stage: { is: 'offered' } } })
    const stop = new AbortController()
    this.#stops.set(transfer, stop)
    const meter = new Meter((done, perSecond) => this.#stage(transfer, { is: 'running', done, perSecond }))
    try {
      const delivered = await device.send(sources, {
        signal: stop.signal,
        transfers: this.#transfers,
        onChecking: (done, total) => this.#stage(transfer, { is: 'comparing', done, total }),
        onAnswer: (has) => meter.report(has),
        onProgress: (done) => meter.report(done),
      })
      const { ms, skipped } = delivered
      this.#stage(transfer, { is: 'delivered', bytes: delivered.bytes, ms, skipped })
    } catch (error) {
      this.#stage(transfer, { is: 'failed', code: codeOf(error) })
    } finally {
      meter.stop()
      this.#stops.delete(transfer)
    }
  }

  /** Takes an offer back. It is over when the device has heard of it, which takes as long as that is away. */
  stop(transfer: number): void {
    const stop = this.#stops.get(transfer)
    if (!stop) return
    this.#stage(transfer, { is: 'stopping' })
    stop.abort()
  }

  /** Ends everything that runs. */
  leave(): void {
    for (const stop of this.#stops.values()) stop.abort()
  }

  #stage(transfer: number, stage: OutgoingStage): void {
    this.#tell({ is: 'stage', transfer, stage })
  }
}

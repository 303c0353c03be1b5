import type { Offer } from '../../client/index.ts'
import { nameForDownload } from '../save/names.ts'
import { MEMORY_MAX_BYTES, MemorySink, type Sink } from '../save/sink.ts'
import { codeOf } from './failure.ts'
import { Meter } from './meter.ts'
import type { Event, IncomingStage } from './state.ts'

/** The type of an entry that is a text to be shown, not a file. */
export const TEXT_TYPE = 'application/x-pairlay-text'
export const TEXT_MAX_BYTES = 1_048_576

/** Offers of other devices, and what becomes of them here. */
export class Incoming {
  readonly #tell: (event: Event) => void
  readonly #offers = new Map<number, Offer>()
  readonly #sinks = new Map<number, Sink>()
  readonly #stops = new Map<number, AbortController>()

  constructor(tell: (event: Event) => void) {
    this.#tell = tell
  }

  /** Shows an offer of a device, and hears when it is taken back. */
  hear(id: number, peer: number, offer: Offer): void {
    const { entries, totalBytes } = offer
    this.#offers.set(id, offer)
    const isTooLarge = (totalBytes ?? 0) > MEMORY_MAX_BYTES
    const stage = isTooLarge ? ({ is: 'too_large', max: MEMORY_MAX_BYTES } as const) : ({ is: 'asked' } as const)
    const names = entries.slice(0, 3).map(({ path }) => nameForDownload(path))
    const transfer = {
      id,
      peer,
      way: 'in',
      names,
      count: entries.length,
      bytes: totalBytes,
      isText: isText(offer),
    } as const
    this.#tell({ is: 'transfer', transfer: { ...transfer, stage } })
    void offer.withdrawn.then(() => this.#stage(id, { is: 'withdrawn' }))
  }

  /** Takes an offer. */
  async accept(transfer: number): Promise<void> {
    const offer = this.#offers.get(transfer)
    if (!offer) return
    const stop = new AbortController()
    this.#stops.set(transfer, stop)
    const sink = new MemorySink(nameForDownload)
    const meter = new Meter()
    this.#stage(transfer, { is: 'running', done: 0, perSecond: undefined })
    try {
      const options = {
        signal: stop.signal,
        onProgress: ({ bytes }: { bytes: number }) =>
          this.#stage(transfer, { is: 'running', done: bytes, perSecond: meter.rate(bytes) }),
        beforeReceipt: async () => {
          this.#stage(transfer, { is: 'saving' })
          await sink.finish()
        },
      }
      for await (const item of offer.accept(options)) await sink.entry(item, piecesOf(item.stream))
      if (isText(offer)) return this.#stage(transfer, { is: 'text', text: await sink.text() })
      this.#sinks.set(transfer, sink)
      sink.export()
      this.#stage(transfer, { is: 'received' })
    } catch (error) {
      if (codeOf(error) === 'no_space') offer.stop('no_space')
      await sink.drop()
      this.#stage(transfer, { is: 'failed', code: codeOf(error) })
    } finally {
      this.#stops.delete(transfer)
      this.#offers.delete(transfer)
    }
  }

  decline(transfer: number, reason: 'declined' | 'no_space'): void {
    this.#offers.get(transfer)?.decline(reason)
    this.#offers.delete(transfer)
    this.#stage(transfer, { is: 'declined' })
  }

  /** Stops what is being received. The devices stay paired. */
  stop(transfer: number): void {
    this.#stops.get(transfer)?.abort()
  }

  saveAgain(transfer: number): void {
    this.#sinks.get(transfer)?.export()
  }

  /** Ends everything that runs. */
  leave(): void {
    for (const stop of this.#stops.values()) stop.abort()
  }

  #stage(transfer: number, stage: IncomingStage): void {
    this.#tell({ is: 'stage', transfer, stage })
  }
}

function isText({ entries, totalBytes }: Offer): boolean {
  return entries.length === 1 && entries[0]?.type === TEXT_TYPE && (totalBytes ?? Infinity) <= TEXT_MAX_BYTES
}

async function* piecesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } finally {
    await reader.cancel()
  }
}

import { PairingError } from './errors.ts'
import type { MessageWriter } from './messages.ts'
import { type ItemInfo, type TransferReader, totalOf } from './transfer.ts'

export interface ReceiveProgress {
  /** Item bytes read so far. */
  readonly bytes: number
  /** All item bytes, or undefined for a pipe. */
  readonly totalBytes: number | undefined
}

export interface AcceptOptions {
  readonly onProgress?: ((progress: ReceiveProgress) => void) | undefined
  /** Called when every byte was read and verified, before the sender is told: the place to make the result final. */
  readonly beforeReceipt?: (() => Promise<void>) | undefined
}

export interface IncomingItem extends ItemInfo {
  readonly index: number
  /** The item's bytes. Each piece has been verified; the item is whole only when the stream has ended by itself. */
  readonly stream: ReadableStream<Uint8Array>
}

/** One transfer that the sender offers. Nothing of it is handed out before `accept`. */
export class Offer {
  /** What the sender says it is: unverified words, to be cleaned before they are shown. */
  readonly items: readonly ItemInfo[]
  /** The bytes of all items, or undefined for a pipe. */
  readonly totalBytes: number | undefined
  readonly #index: number
  readonly #transfer: TransferReader
  readonly #receipts: MessageWriter
  readonly #settle: (work: () => Promise<void>) => Promise<void>
  readonly #decline: () => Promise<void>
  #state: 'open' | 'accepted' | 'delivered' = 'open'
  #declined = false

  constructor(options: {
    index: number
    transfer: TransferReader
    receipts: MessageWriter
    /** Runs the receipt's sending and the wait for its ack. */
    settle: (work: () => Promise<void>) => Promise<void>
    decline: () => Promise<void>
  }) {
    this.items = options.transfer.items
    this.totalBytes = totalOf(this.items)
    this.#index = options.index
    this.#transfer = options.transfer
    this.#receipts = options.receipts
    this.#settle = options.settle
    this.#decline = options.decline
  }

  get declined(): boolean {
    return this.#declined
  }

  /** Whether the receipt has gone out. */
  get delivered(): boolean {
    return this.#state === 'delivered'
  }

  /**
   * The items, one after the other; each stream must be read to its end before the next item. After the last, all of it
   * is checked, `beforeReceipt` runs, and the receipt goes out. Leaving early, by break or by an exception, ends the
   * pairing without a receipt. Throws PairingError `corrupt`, `incomplete`, or what ended the session.
   */
  async *accept(options: AcceptOptions = {}): AsyncGenerator<IncomingItem, void> {
    if (this.#state !== 'open') throw new Error('an offer is accepted once')
    this.#state = 'accepted'
    try {
      let bytes = 0
      for (const [index, info] of this.items.entries()) {
        const item = this.#stream(info, (length) => {
          bytes += length
          options.onProgress?.({ bytes, totalBytes: this.totalBytes })
        })
        yield { ...info, index, stream: item.stream }
        if (!item.ended()) throw new PairingError('incomplete')
      }
      await this.#transfer.finish()
      await options.beforeReceipt?.()
      await this.#settle(() => this.#receipts.writeJson({ message: this.#index, bytes }))
      this.#state = 'delivered'
    } finally {
      if (!this.delivered) await this.#decline()
    }
  }

  /** Refuses the transfer and leaves: there are no more offers. The sender learns that nothing was delivered. */
  decline(): Promise<void> {
    this.#declined = true
    return this.#decline()
  }

  #stream(
    info: ItemInfo,
    onBytes: (length: number) => void,
  ): { stream: ReadableStream<Uint8Array>; ended: () => boolean } {
    let ended = info.size === 0
    let left = info.size
    const stream = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const piece = await this.#transfer.read(left)
          if (!piece) {
            ended = true
            return controller.close()
          }
          if (left !== undefined) left -= piece.length
          onBytes(piece.length)
          if (left === 0) ended = true
          controller.enqueue(piece)
          if (left === 0) controller.close()
        },
      },
      // Nothing is read ahead: what was not asked for is not acked, and the sender slows down.
      { highWaterMark: 0 },
    )
    return { stream, ended: () => ended }
  }
}

import { PairingError } from './errors.ts'
import { type ItemInfo, type TransferReader, totalOf } from './transfer/transfer.ts'

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

/** Why a receiver does not take a transfer, as the sender is told. */
export type DeclineReason = 'declined' | 'no_space' | 'cancelled' | 'failed'

/** A transfer that the sender offers. Nothing of it is handed out before `accept`. */
export class Offer {
  /** Items in the words of the sender, unverified: clean them before they are shown. */
  readonly items: readonly ItemInfo[]
  /** The bytes of all items, or undefined for a pipe. */
  readonly totalBytes: number | undefined
  readonly #transfer: TransferReader
  readonly #confirm: (bytes: number) => Promise<boolean>
  readonly #refuse: (reason: DeclineReason) => Promise<void>
  #refusing: Promise<void> | undefined
  #state: 'open' | 'accepted' | 'declined' | 'complete' | 'confirmed' = 'open'

  constructor(options: {
    transfer: TransferReader
    /** Sends the receipt, and reports whether its ack came. */
    confirm: (bytes: number) => Promise<boolean>
    /** Tells the sender, and leaves. */
    refuse: (reason: DeclineReason) => Promise<void>
  }) {
    this.items = options.transfer.items
    this.totalBytes = totalOf(this.items)
    this.#transfer = options.transfer
    this.#confirm = options.confirm
    this.#refuse = options.refuse
  }

  get declined(): boolean {
    return this.#state === 'declined'
  }

  /** Reports whether everything was read, verified, and made final. It stays with this device whatever happens. */
  get complete(): boolean {
    return this.#state === 'complete' || this.confirmed
  }

  /** Reports whether the relay has said that the sender has the receipt. Until then it may take the transfer for failed. */
  get confirmed(): boolean {
    return this.#state === 'confirmed'
  }

  /**
   * The items, one after the other; each stream must be read to its end before the next item. After the last, all of it
   * is checked, `beforeReceipt` runs, and the receipt goes out. Leaving early, by break or by an exception, tells the sender
   * that it failed and ends the pairing. Throws PairingError `corrupt`, `incomplete`, `source_changed`, `sender_failed`,
   * `cancelled`, or what ended the session.
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
      this.#state = 'complete'
      if (await this.#confirm(bytes)) this.#state = 'confirmed'
    } finally {
      if (!this.complete) await this.#end('failed')
    }
  }

  /** Refuses the transfer, says why, and leaves: there are no more offers. Does nothing once the transfer is complete. */
  decline(reason: DeclineReason = 'declined'): Promise<void> {
    if (this.complete) return Promise.resolve()
    this.#state = 'declined'
    return this.#end(reason)
  }

  #end(reason: DeclineReason): Promise<void> {
    this.#refusing ??= this.#refuse(reason)
    return this.#refusing
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

import type { Environment } from '../environment.ts'
import type { List } from '../list.ts'
import type { Entry } from './entries.ts'
import type { Outbox } from './outbox.ts'
import type { Begun } from './resume.ts'

/** How far an offer has come that is taken here. */
export interface ReceiveProgress {
  /** Bytes that the app has taken, of the stream. */
  readonly bytes: number
  /** All of the stream, or undefined for a pipe. */
  readonly totalBytes: number | undefined
}

/** Options of `offer.accept`. */
export interface AcceptOptions {
  /** Called when the app has taken more, and once before that with what is here from before, if it was compared. */
  readonly onProgress?: ((progress: ReceiveProgress) => void) | undefined
  /** Called when every byte was read and verified, before the offerer is told: the place to make the result final. */
  readonly beforeReceipt?: (() => Promise<void>) | undefined
  /** Aborting it stops this offer, and leaves the device paired. */
  readonly signal?: AbortSignal | undefined
  /** Bytes that are here of this transfer from before: it continues there, as far as both sides have the same bytes. */
  readonly begun?: Begun | undefined
  /** Called while both sides compare, with the bytes read so far. */
  readonly onChecking?: ((bytes: number, totalBytes: number) => void) | undefined
}

/** An entry that is accepted, with its bytes. */
export interface IncomingItem extends Entry {
  /** Its place among the entries, from 0. */
  readonly index: number
  /** Where its stream begins: what is before that is here already. */
  readonly offset: number
  /** Its bytes, each piece verified. It ends early where the item is skipped. */
  readonly stream: ReadableStream<Uint8Array>
  /** The same without a stream, which costs as much as a small file. One of the two is read, once. */
  pieces(): AsyncGenerator<Uint8Array>
}

export interface IncomingOfferOptions {
  readonly offer: number
  readonly entries: List<Entry>
  readonly token: string
  /** Hints of tokens under which the offerer offered the same before. */
  readonly hints: readonly string[]
  /** E("resume", 32) of this pairing. */
  readonly secret: Uint8Array
  readonly outbox: Outbox
  readonly environment: Environment
  /** Resolves when the pairing is over. */
  readonly ended: Promise<unknown>
  /** The last word about it was said. */
  readonly onOver: () => void
}

/** An item whose stream is made when somebody asks for it. */
export class Item implements IncomingItem {
  readonly path: string
  readonly size: number | undefined
  readonly modified: number | undefined
  readonly type: string | undefined
  readonly x: true | undefined
  readonly dir: true | undefined
  readonly index: number
  readonly offset: number
  readonly #pieces: () => AsyncGenerator<Uint8Array>
  #stream: ReadableStream<Uint8Array> | undefined

  constructor(entry: Entry, index: number, offset: number, pieces: () => AsyncGenerator<Uint8Array>) {
    this.path = entry.path
    this.size = entry.size
    this.modified = entry.modified
    this.type = entry.type
    this.x = entry.x
    this.dir = entry.dir
    this.index = index
    this.offset = offset
    this.#pieces = pieces
  }

  pieces(): AsyncGenerator<Uint8Array> {
    return this.#pieces()
  }

  get stream(): ReadableStream<Uint8Array> {
    this.#stream ??= streamOf(this.pieces())
    return this.#stream
  }
}

function streamOf(pieces: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const { done, value } = await pieces.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
    },
    // Nothing is taken ahead of the app.
    { highWaterMark: 0 },
  )
}

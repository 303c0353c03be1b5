import type { Frame } from '../../protocol/frame.ts'
import type { ChannelRow } from '../../protocol/view.ts'

/** The calls about a frame, in the order in which they are due. */
export const FRAME_METHODS = ['DELETE', 'PUT', 'GET'] as const
export type FrameMethod = (typeof FRAME_METHODS)[number]

interface OutgoingFrame extends Frame {
  /** Called when its call begins. */
  readonly onLeaving: () => void
}

/** How far one channel is over HTTP, and what it has to do next. Calls of one kind follow each other: frames keep their order. */
export class HttpChannel {
  readonly number: number
  /** Kinds of calls that are under way. */
  readonly busy = new Set<FrameMethod>()
  /** Own frames that the relay has not taken yet. */
  readonly outbox: OutgoingFrame[] = []
  /** The last own frame known to be acked, and the largest window announced. */
  acked: number
  window: number
  /** The last inbound frame that was fetched, and the last known to be there. */
  fetched: number
  available: number
  /** The last own frame that the relay has taken. */
  taken = 0
  /** The last inbound frame processed here, and the last that the relay knows to be. */
  processed = 0
  told = 0
  /** The position that a poll under way must not fall behind. */
  #mark = { taken: 0, available: 0 }

  /** `fetched` is where the attach said that this client is. */
  constructor({ channel, acked, window }: ChannelRow, fetched: number) {
    this.number = channel
    this.acked = acked
    this.window = window
    this.fetched = fetched
    this.available = fetched
  }

  /** The frame that a call of this kind is due for; undefined when there is none, or one is under way. */
  due(method: FrameMethod): number | undefined {
    if (this.busy.has(method)) return undefined
    if (method === 'DELETE') return this.processed > this.told ? this.processed : undefined
    if (method === 'PUT') return this.outbox[0]?.seq
    return this.available > this.fetched ? this.fetched + 1 : undefined
  }

  /** To be called when a poll begins. */
  mark(): void {
    this.#mark = { taken: this.taken, available: this.available }
  }

  /** Reports whether the answer to that poll says that the relay has forgotten frames. */
  isForgottenIn({ received, available = 0 }: ChannelRow): boolean {
    return received < this.#mark.taken || available < this.#mark.available
  }

  /** Bytes of frames and acks that wait to be taken. */
  get queuedBytes(): number {
    const acks = this.processed > this.told ? 1 : 0
    return this.outbox.reduce((sum, { bytes }) => sum + bytes.length, acks)
  }

  /** The part of a poll about this channel. The relay answers when there is more than that. */
  get seen(): string {
    return `${this.number}.${this.available}.${this.acked}`
  }
}

import { concatBytes } from '../../crypto/encoding.ts'
import type { FrameEvents } from '../link/frame-events.ts'
import { Signal } from '../signal.ts'
import { encodeHead, type Head } from './kinds.ts'
import type { MessageWriter } from './message-writer.ts'

/** A running offer, as the writer sees it. */
export interface ContentSource {
  /**
   * The next content, as much as one frame takes, if there is some now. It counts as said. HEAD_ROOM_BYTES in front of it
   * are free, and all of it stays as it is until the next call.
   */
  next(): Uint8Array | undefined
  readonly offer: number
}

interface Waiting {
  readonly head: Head
  readonly body: Uint8Array
  readonly events: FrameEvents | undefined
}

/** Room for the head of a full message of content, which has no padding and far less than this. */
export const HEAD_ROOM_BYTES = 128

const NOTHING: Uint8Array = new Uint8Array()

/**
 * Messages that one side has to say, in the order of PROTOCOL.md 10.2: replies and allowances, posts, then the content of the running
 * offers in turn, a frame each. Nothing waits behind more than one frame of content.
 */
export class Outbox {
  readonly #writer: MessageWriter
  readonly #replies: Waiting[] = []
  readonly #posts: Waiting[] = []
  #contents: readonly ContentSource[] = []
  readonly #something = new Signal()
  readonly #nothing = new Signal()

  constructor(writer: MessageWriter) {
    this.#writer = writer
  }

  /** The content of one message, at most, for an offer's head in front of it. */
  get contentBytes(): number {
    return this.#writer.frameBytes - HEAD_ROOM_BYTES
  }

  /** Queues a message. `events` are about its last frame. */
  say(head: Head, body = NOTHING, events?: FrameEvents): void {
    // A goodbye is the last of all but replies.
    const queue = head.kind === 'post' || head.kind === 'bye' ? this.#posts : this.#replies
    queue.push({ head, body, events })
    this.poke()
  }

  /** Queues an allowance in place of the one about the same that still waits. */
  allow(head: Head & { kind: 'take' }): void {
    const index = this.#replies.findIndex(({ head: each }) => each.kind === 'take' && each.offer === head.offer)
    if (index >= 0) this.#replies.splice(index, 1)
    this.say(head)
  }

  /** Content of this offer goes out whenever it has some, until `stopContent`. */
  startContent(content: ContentSource): void {
    this.#contents = [...this.#contents, content]
    this.poke()
  }

  stopContent(content: ContentSource): void {
    this.#contents = this.#contents.filter((each) => each !== content)
  }

  /** There may be something to write. */
  poke(): void {
    this.#something.fire()
  }

  /** Resolves when everything queued now was written. */
  async written(): Promise<void> {
    if (this.#replies.length + this.#posts.length > 0) await this.#nothing.next()
  }

  /** Writes for as long as the channel lives, and rejects with what ended it. */
  async run(): Promise<never> {
    for (;;) {
      // Looked at and waited for in one step: what is queued in between would wait for the next.
      const writing = this.#writeNext()
      if (writing) await writing
      else {
        this.#nothing.fire()
        await this.#something.next()
      }
    }
  }

  /** Writes what is next, if there is something. Holds none of it afterwards. */
  #writeNext(): Promise<void> | undefined {
    const waiting = this.#replies.shift() ?? this.#posts.shift()
    if (waiting) return this.#write(waiting)
    const content = this.#content()
    return content && this.#writer.write(content)
  }

  async #write({ head, body, events }: Waiting): Promise<void> {
    const message = concatBytes(encodeHead(head, body.length), body)
    try {
      await this.#writer.write(message, events)
    } finally {
      message.fill(0)
    }
  }

  /** The next message of content; its offer is the last in turn afterwards. */
  #content(): Uint8Array | undefined {
    for (const content of this.#contents) {
      const bytes = content.next()
      if (!bytes) continue
      this.#contents = [...this.#contents.filter((each) => each !== content), content]
      return withHead(encodeHead({ kind: 'content', offer: content.offer }, bytes.length), bytes)
    }
    return undefined
  }
}

/** The content with its head in front of it, in the room that it has there. A short one has none: its head is longer. */
function withHead(head: Uint8Array, content: Uint8Array): Uint8Array {
  if (head.length > HEAD_ROOM_BYTES) return concatBytes(head, content)
  const message = new Uint8Array(content.buffer, content.byteOffset - head.length, head.length + content.length)
  message.set(head)
  return message
}

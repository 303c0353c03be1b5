import type { Environment } from '../environment.ts'
import { PairingError } from '../errors.ts'
import { ENTRIES_MAX, EntryReader, totalOf } from './entries.ts'
import { IncomingOffer } from './incoming-offer.ts'
import { type AnyHead, type HeadOf, UNKNOWN_BODY_MAX_BYTES } from './kinds.ts'
import type { MessageSink } from './message-reader.ts'
import type { Outbox } from './outbox.ts'
import type { OutgoingOffer } from './outgoing-offer.ts'
import type { Posts } from './posts.ts'

/** Open offers of one direction, and those of them that have no answer. */
export const OPEN_OFFERS_MAX = 4
export const UNDECIDED_OFFERS_MAX = 1

/** Kinds that this side takes from the other. Default: none. */
export interface Takes {
  /** Offers of files. Without it they are answered with `unsupported`. */
  readonly offers?: boolean | undefined
  /** Posts, and answers to `ask`. Without it the other side's `post` throws `unsupported`. */
  readonly posts?: boolean | undefined
}

const NOTHING = new Uint8Array()

export interface ConversationOptions {
  readonly outbox: Outbox
  readonly posts: Posts
  readonly environment: Environment
  /** E("resume", 32) of this pairing. */
  readonly secret: Uint8Array
  readonly takes: Takes
  /** Name that this side gives itself, 1 to 64 bytes. */
  readonly name: string | undefined
  /** The side that approved says hello first. */
  readonly speaksFirst: boolean
  /** Resolves when the pairing is over. */
  readonly ended: Promise<unknown>
  /** Something is different. */
  readonly onChange: () => void
}

/** State of the messages of two paired devices: who greeted, which offers are open, who said goodbye. PROTOCOL.md, section 10.2. */
export class Conversation {
  readonly outgoing = new Map<number, OutgoingOffer>()
  readonly incoming = new Map<number, IncomingOffer>()
  /** Offers that the app has not been given. */
  readonly queue: IncomingOffer[] = []
  readonly #options: ConversationOptions
  #hello: HeadOf<'hello'> | undefined
  #offersSaid = 0
  #offersHeard = 0
  #saidBye = false
  #heardBye = false

  constructor(options: ConversationOptions) {
    this.#options = options
    if (options.speaksFirst) this.#sayHello()
  }

  /** The peer's hello, once it has come. */
  get hello(): HeadOf<'hello'> | undefined {
    return this.#hello
  }

  get saidBye(): boolean {
    return this.#saidBye
  }

  get heardBye(): boolean {
    return this.#heardBye
  }

  /** Both said goodbye, and no offer is open. */
  get isOver(): boolean {
    return this.#saidBye && this.#heardBye && this.outgoing.size + this.incoming.size === 0
  }

  /** Reports whether another own offer may be made now. */
  get hasRoom(): boolean {
    return !isFull(this.outgoing)
  }

  /** The number of the next own offer. */
  nextOffer(): number {
    return ++this.#offersSaid
  }

  /** Nothing begins any more: offers without an answer get theirs. */
  sayBye(): void {
    if (this.#saidBye) return
    this.#saidBye = true
    this.#options.posts.close()
    for (const offer of [...this.incoming.values()]) offer.decline('closing')
    this.#options.outbox.say({ kind: 'bye' })
    this.#options.onChange()
  }

  /** Returns the sink of a message, from its head on. Throws PairingError `corrupt` for one that cannot come now. */
  hear(head: AnyHead): MessageSink {
    if ((head.kind === 'hello') === (this.#hello !== undefined)) throw new PairingError('corrupt')
    const { posts, onChange } = this.#options
    switch (head.kind) {
      case 'unknown':
        return ignored(UNKNOWN_BODY_MAX_BYTES)
      case 'hello':
        return atEnd(() => {
          this.#hello = head
          posts.allow(head.posts)
          if (!this.#options.speaksFirst) this.#sayHello()
          onChange()
        })
      case 'bye':
        return atEnd(() => {
          if (this.#heardBye) throw new PairingError('corrupt')
          this.#heardBye = true
          posts.finish()
          onChange()
        })
      case 'post':
        if (this.#heardBye) throw new PairingError('corrupt')
        return posts.open(head)
      case 'take': {
        const { offer, posts: allowed = 0 } = head
        return atEnd(() => (offer === undefined ? posts.allow(allowed) : this.#own(offer)?.hear(head)))
      }
      case 'answer':
      case 'start': {
        const lines = this.#requireOwn(head.offer).open(head)
        const end = () => {
          lines.end()
          // An answer makes room for another offer.
          onChange()
        }
        return { push: (piece) => lines.push(piece), end }
      }
      case 'receipt':
      case 'stop':
        return atEnd(() => this.#requireOwn(head.offer).hear(head))
      case 'offer':
        return this.#openOffer(head)
      case 'check':
        return this.#peers(head.offer)?.openCheck() ?? ignored(Number.POSITIVE_INFINITY)
      case 'content': {
        const push = (piece: Uint8Array) => this.#peers(head.offer)?.push(piece)
        // Content without a byte keeps the same rules.
        push(NOTHING)
        return { push, end: () => {} }
      }
      case 'skip':
        return atEnd(() => this.#peers(head.offer)?.skip(head.entry, head.reason))
      case 'sent':
      case 'withdraw':
        return atEnd(() => this.#peers(head.offer)?.hear(head))
    }
  }

  #sayHello(): void {
    const { takes, name, outbox, posts } = this.#options
    outbox.say({ kind: 'hello', offers: takes.offers === true, posts: posts.granted, name, features: [] })
  }

  #openOffer({ offer, count, bytes, token, resumes = [] }: HeadOf<'offer'>): MessageSink {
    if (this.#heardBye || offer !== this.#offersHeard + 1 || isFull(this.incoming)) throw new PairingError('corrupt')
    this.#offersHeard = offer
    const { takes, outbox, environment, secret, ended, onChange } = this.#options
    const refusal = takes.offers ? (count > ENTRIES_MAX ? 'too_many' : undefined) : 'unsupported'
    if (refusal) {
      outbox.say({ kind: 'answer', offer, accepted: false, reason: refusal })
      return ignored(Number.POSITIVE_INFINITY)
    }
    const lines = new EntryReader(count)
    return {
      push: (piece) => lines.push(piece),
      end: () => {
        const entries = lines.end()
        if (totalOf(entries) !== bytes) throw new PairingError('corrupt')
        const onOver = () => {
          this.incoming.delete(offer)
          onChange()
        }
        const made = { offer, entries, token, hints: resumes, secret, outbox, environment, ended, onOver }
        const incoming = new IncomingOffer(made)
        this.incoming.set(offer, incoming)
        if (this.#saidBye) return incoming.decline('closing')
        this.queue.push(incoming)
        onChange()
      },
    }
  }

  /** An offer of this side. Undefined when it is over. Throws `corrupt` for one that was never made. */
  #own(offer: number): OutgoingOffer | undefined {
    if (offer > this.#offersSaid) throw new PairingError('corrupt')
    return this.outgoing.get(offer)
  }

  #requireOwn(offer: number): OutgoingOffer {
    const own = this.#own(offer)
    if (!own) throw new PairingError('corrupt')
    return own
  }

  /** An offer of the peer. Undefined when this side has said its last word: what comes about it is dropped. */
  #peers(offer: number): IncomingOffer | undefined {
    if (offer > this.#offersHeard) throw new PairingError('corrupt')
    return this.incoming.get(offer)
  }
}

function isFull(offers: ReadonlyMap<number, { readonly isUndecided: boolean }>): boolean {
  const undecided = [...offers.values()].filter(({ isUndecided }) => isUndecided)
  return offers.size >= OPEN_OFFERS_MAX || undecided.length >= UNDECIDED_OFFERS_MAX
}

/** A message without a body. */
function atEnd(take: () => void): MessageSink {
  return {
    push: () => {
      throw new PairingError('corrupt')
    },
    end: take,
  }
}

/** A body that nobody wants, up to so many bytes. */
function ignored(most: number): MessageSink {
  let bytes = 0
  return {
    push: (piece) => {
      bytes += piece.length
      if (bytes > most) throw new PairingError('corrupt')
    },
    end: () => {},
  }
}

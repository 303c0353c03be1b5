import { type VerifiedPeer, wipeKeys } from '../crypto/handshake.ts'
import { atMost, type Environment } from './environment.ts'
import { errorOfAccident, PairingError } from './errors.ts'
import type { Channel } from './link/channel.ts'
import type { List } from './list.ts'
import { requireSources } from './refusal.ts'
import { Signal } from './signal.ts'
import { allSized, linesOf, type Source } from './source.ts'
import { Conversation, type Takes } from './transfer/conversation.ts'
import type { IncomingOffer } from './transfer/incoming-offer.ts'
import { readMessages } from './transfer/message-reader.ts'
import { MessageWriter } from './transfer/message-writer.ts'
import type { Outcome } from './transfer/offer-life.ts'
import { Outbox } from './transfer/outbox.ts'
import { type OfferOptions, OutgoingOffer } from './transfer/outgoing-offer.ts'
import { type AskOptions, type Post, type PostOptions, Posts } from './transfer/posts.ts'

/** How long the last acks are waited for after both goodbyes. */
const LAST_ACKS_MS = 10_000

/** Result of an offer, by the other device's own word. */
export interface Delivered {
  /** Length of the stream, in bytes: without what the other device had before. */
  readonly bytes: number
  /** Milliseconds from the offer to the receipt. */
  readonly ms: number
  /** Files that changed or vanished meanwhile, and are not there. */
  readonly skipped: number
}

export interface DeviceParts {
  readonly channel: Channel
  /** The keys become this device's, and are zero when it has ended. */
  readonly peer: VerifiedPeer
  /** The relay's. */
  readonly maxFrameBytes: number
  readonly environment: Environment
  readonly speaksFirst: boolean
  readonly takes: Takes
  /** This side's own. */
  readonly name: string | undefined
  readonly isPresent: () => boolean
  /** Ends this pairing at the relay, for a reason unless both said goodbye. Never rejects. */
  readonly leave: (reason: PairingError | undefined) => Promise<void>
}

/** The other device, once it is approved: offers and posts both ways, until one side says goodbye. */
export class PairedDevice {
  /** Six digits that both devices show. */
  readonly matchNumber: string
  /** For experts: 160 bits of the same comparison. */
  readonly fingerprint: string
  /** Resolves when nothing can be said any more: with undefined after both goodbyes, else with the reason. */
  readonly ended: Promise<PairingError | undefined>
  readonly #parts: DeviceParts
  readonly #writer: MessageWriter
  readonly #outbox: Outbox
  readonly #posts: Posts
  readonly #conversation: Conversation
  #over: { readonly reason: PairingError | undefined } | undefined
  #isLeaving = false
  /** Own sends that run, or wait for their turn. */
  #sending = 0
  #announceEnd: (reason: PairingError | undefined) => void = () => {}
  readonly #changed = new Signal()

  constructor(parts: DeviceParts) {
    this.#parts = parts
    const { channel, peer, environment, takes, name, speaksFirst } = parts
    this.matchNumber = peer.matchNumber
    this.fingerprint = peer.fingerprint
    this.ended = new Promise((resolve) => {
      this.#announceEnd = resolve
    })
    const writer = new MessageWriter(channel, peer.sendKey, parts.maxFrameBytes)
    const outbox = new Outbox(writer)
    const posts = new Posts(outbox, environment, takes.posts === true, () => this.greeted())
    const onChange = () => this.#settle()
    const secret = peer.resumeSecret
    this.#writer = writer
    this.#outbox = outbox
    this.#posts = posts
    const { ended } = this
    this.#conversation = new Conversation({
      outbox,
      posts,
      environment,
      secret,
      takes,
      name,
      speaksFirst,
      ended,
      onChange,
    })
    const fail = (error: unknown) => void this.end(errorOfAccident(error))
    outbox.run().catch(fail)
    readMessages(channel, peer.receiveKey, (head) => this.#conversation.hear(head)).catch(fail)
  }

  /** Name that the device gives itself, if any: the peer's words. */
  get name(): string | undefined {
    return this.#conversation.hello?.name
  }

  /** Reports whether the device has a connection to the relay, as far as the relay says. */
  get present(): boolean {
    return !this.#over && this.#parts.isPresent()
  }

  /** Reports whether nothing can be said any more. */
  get isOver(): boolean {
    return this.#over !== undefined
  }

  /** Reports whether an own send runs. */
  get isSending(): boolean {
    return this.#sending > 0
  }

  /** Resolves when the device has said its first word. Throws what ended the pairing before. */
  async greeted(): Promise<void> {
    while (!this.#conversation.hello) await this.#change()
  }

  /**
   * Offers the sources and resolves with the device's receipt. The device stays paired whatever becomes of one offer. Throws
   * PairingError: `declined`, `no_space`, `too_many`, `unsupported`, `closing`, `cancelled`, `receiver_failed`,
   * `source_changed`, `source_failed`, `aborted`, `unconfirmed`, or what ended the pairing; and TypeError or RangeError for wrong sources.
   */
  async send(sources: List<Source>, options: OfferOptions = {}): Promise<Delivered> {
    requireSources(sources)
    this.#sending++
    try {
      return await this.#offer(sources, options)
    } finally {
      this.#sending--
    }
  }

  async #offer(sources: List<Source>, options: OfferOptions): Promise<Delivered> {
    const now = await allSized(sources)
    const lines = linesOf(now)
    await this.greeted()
    const { outgoing, hello } = this.#conversation
    while (!this.#conversation.hasRoom) await this.#change()
    this.#requireOpen()
    if (!hello?.offers) throw new PairingError('unsupported')
    const { environment, peer } = this.#parts
    const begun = environment.now()
    const offer = this.#conversation.nextOffer()
    const secret = peer.resumeSecret
    const outbox = this.#outbox
    const carried = new OutgoingOffer({ offer, lines, sources: now, secret, outbox, environment, options })
    outgoing.set(offer, carried)
    try {
      const { outcome, failure } = await carried.carry()
      if (outcome.is !== 'delivered') throw this.#errorOf(outcome, failure)
      return { bytes: outcome.bytes, ms: environment.now() - begun, skipped: outcome.skipped }
    } finally {
      outgoing.delete(offer)
      this.#settle()
    }
  }

  /**
   * The device's offers. Ends after its goodbye. Throws what ended the pairing before, and TypeError at a side that takes
   * none.
   */
  async *offers(): AsyncGenerator<IncomingOffer, void> {
    if (!this.#parts.takes.offers) throw new TypeError('this side takes no offers: set takes.offers')
    for (;;) {
      const offer = this.#conversation.queue.shift()
      if (offer) {
        yield offer
        continue
      }
      if (this.#conversation.heardBye) return
      await this.#change()
    }
  }

  /** Sends a small message. Resolves with its number when the device's SDK holds it. Throws `unsupported` at once. */
  post(bytes: Uint8Array, options: PostOptions = {}): Promise<number> {
    return this.#posts.post(bytes, options)
  }

  /** Posts, and resolves with the post that answers it. Must not be awaited inside the loop that reads `posts`. */
  ask(bytes: Uint8Array, options: AskOptions = {}): Promise<Post> {
    return this.#posts.ask(bytes, options)
  }

  /**
   * The device's posts, in order, each once. Ends after its goodbye. Throws what ended the pairing before, and TypeError at
   * a side that takes none.
   */
  posts(): AsyncGenerator<Post, void> {
    return this.#posts.read()
  }

  /** Says goodbye, and resolves when both have. Rejects while an own send runs. */
  async close(): Promise<void> {
    if (this.isSending) throw new Error('something is being sent: wait for it, or cancel')
    await this.greeted()
    this.#conversation.sayBye()
    const reason = await this.ended
    if (reason) throw reason
  }

  /** Resolves when everything said so far is on its way, as far as there is room for it now. */
  async said(): Promise<void> {
    await atMost(this.#parts.environment, 0, this.#outbox.written())
  }

  /** The pairing is over, for this reason. */
  async end(reason: PairingError | undefined): Promise<void> {
    if (this.#over) return
    this.#over = { reason }
    // In this turn: nothing may be sealed under keys that are zeros.
    this.#writer.wipe()
    wipeKeys(this.#parts.peer)
    const { outgoing, incoming } = this.#conversation
    const error = reason ?? new PairingError('closing')
    for (const offer of [...outgoing.values()]) offer.end()
    for (const offer of [...incoming.values()]) offer.end(error)
    this.#posts.end(error)
    this.#settle()
    this.#announceEnd(reason)
    await this.#parts.leave(reason)
  }

  #requireOpen(): void {
    if (this.#over) throw this.#over.reason ?? new PairingError('closing')
    if (this.#conversation.saidBye || this.#conversation.heardBye) throw new PairingError('closing')
  }

  /** Why an offer was not delivered. */
  #errorOf(outcome: Exclude<Outcome, { is: 'delivered' }>, failure: PairingError | undefined): PairingError {
    if (outcome.is === 'unconfirmed') return new PairingError('unconfirmed', { cause: this.#over?.reason })
    if (failure) return failure
    if (outcome.is === 'not_delivered') return this.#over?.reason ?? new PairingError('not_delivered')
    const { reason } = outcome
    if (reason === 'withdrawn') return new PairingError('not_delivered')
    return new PairingError(reason === 'failed' ? 'receiver_failed' : reason)
  }

  /** Resolves when something is different. Throws what ended the pairing. */
  async #change(): Promise<void> {
    if (this.#over) throw this.#over.reason ?? new PairingError('closing')
    await this.#changed.next()
  }

  #settle(): void {
    this.#changed.fire()
    const { heardBye, outgoing, isOver } = this.#conversation
    // Own sends that were under way end first.
    if (heardBye && outgoing.size === 0) this.#conversation.sayBye()
    if (!isOver || this.#isLeaving) return
    this.#isLeaving = true
    const { environment, channel } = this.#parts
    const flushed = this.#outbox.written().then(() => channel.flushed())
    atMost(environment, LAST_ACKS_MS, flushed)
      .catch(() => {})
      .finally(() => void this.end(undefined))
  }
}

import { concatBytes } from '../../crypto/encoding.ts'
import type { Environment } from '../environment.ts'
import { PairingError } from '../errors.ts'
import { Signal } from '../signal.ts'
import { type HeadOf, POST_MAX_BYTES, PostType } from './kinds.ts'
import type { MessageSink } from './message-reader.ts'
import type { Outbox } from './outbox.ts'

/** Posts: small messages of the app, in order, once. PROTOCOL.md, section 10.5. */

/** Cost of a post beside its bytes. */
const POST_COST = 1024
/** Costs of posts that may wait for the app: two of the longest. */
export const POSTS_ALLOWANCE = 2 * (POST_MAX_BYTES + POST_COST)
const TAKE_AFTER_MS = 500

/** A message of the other app. */
export interface Post {
  /** Its number among the posts of that device, from 1. */
  readonly number: number
  /** The peer's word for what it is. */
  readonly type: string | undefined
  /** The number of the own post that it answers. */
  readonly re: number | undefined
  /** At most 1 MiB, as they were posted. */
  readonly bytes: Uint8Array
  /** Answers it. Resolves and throws as `device.post` does: `closing` once one side has said goodbye. */
  reply(bytes: Uint8Array, options?: { readonly type?: string | undefined }): Promise<number>
}

/** Options of `device.post`. */
export interface PostOptions {
  /** A word for what it is, at most 64 bytes. */
  readonly type?: string | undefined
  /** The number of the peer's post that this one answers. */
  readonly re?: number | undefined
}

/** Options of `device.ask`. */
export interface AskOptions {
  /** A word for what it is, at most 64 bytes. */
  readonly type?: string | undefined
  /** Aborting it ends the wait, not the question. */
  readonly signal?: AbortSignal | undefined
}

/** The posts of one pairing, both ways. */
export class Posts {
  readonly #outbox: Outbox
  readonly #environment: Environment
  readonly #greeted: () => Promise<void>
  /** Costs that the peer may say in all, and has said. */
  #granted: number
  #heard = 0
  #taken = 0
  #takeTimer: unknown
  #numberHeard = 0
  readonly #inbox: Post[] = []
  readonly #asked = new Map<number, (post: Post) => void>()
  /** Costs that this side may say in all, and has said. */
  #allowed = 0
  #said = 0
  #numberSaid = 0
  /** Whoever posts waits for the one before. */
  #turn: Promise<unknown> = Promise.resolve()
  #isAtEnd = false
  /** Set after the goodbye of either side: no post may follow. */
  #isClosed = false
  #failure: PairingError | undefined
  /** Rejects whatever waits for the peer. */
  readonly #waiting = new Set<(error: PairingError) => void>()
  readonly #changed = new Signal()

  /** `greeted` resolves when the peer has said what it allows. */
  constructor(outbox: Outbox, environment: Environment, takes: boolean, greeted: () => Promise<void>) {
    this.#outbox = outbox
    this.#environment = environment
    this.#greeted = greeted
    this.#granted = takes ? POSTS_ALLOWANCE : 0
  }

  /** The allowance of this side's hello. */
  get granted(): number {
    return this.#granted
  }

  /** Sends a post, and resolves with its number when the peer's SDK holds it. Throws what ended the pairing. */
  async post(bytes: Uint8Array, options: PostOptions = {}): Promise<number> {
    return (await this.#send(bytes, options)).held
  }

  /** Sends a post and resolves with the one that answers it. */
  async ask(bytes: Uint8Array, { type, signal }: AskOptions = {}): Promise<Post> {
    if (this.#granted === 0) throw new TypeError('whoever asks takes posts: set takes.posts')
    if (signal?.aborted) throw new PairingError('aborted')
    const { number, held } = await this.#send(bytes, { type })
    const answered = new Promise<Post>((resolve) => this.#asked.set(number, resolve))
    try {
      return await this.#unlessOver(
        held.then(() => answered),
        signal,
      )
    } finally {
      this.#asked.delete(number)
    }
  }

  /** The peer's posts in order, without those that answer an `ask`. Ends when the peer has said that none will follow. */
  async *read(): AsyncGenerator<Post, void> {
    if (this.#granted === 0) throw new TypeError('this side takes no posts: set takes.posts')
    for (;;) {
      const post = this.#inbox.shift()
      if (post) {
        this.#take(post)
        yield post
        continue
      }
      if (this.#isAtEnd) return
      if (this.#failure) throw this.#failure
      await this.#changed.next()
    }
  }

  /** The peer allows so much in all. Throws PairingError `corrupt` for less than before. */
  allow(posts: number): void {
    if (posts < this.#allowed) throw new PairingError('corrupt')
    this.#allowed = posts
    this.#changed.fire()
  }

  /** A post comes in. Throws PairingError `corrupt` for one above the allowance. */
  open({ type, re }: HeadOf<'post'>): MessageSink {
    const parts: Uint8Array[] = []
    let length = 0
    const pay = (cost: number) => {
      this.#heard += cost
      if (this.#heard > this.#granted) throw new PairingError('corrupt')
    }
    pay(POST_COST)
    return {
      push: (piece) => {
        length += piece.length
        if (length > POST_MAX_BYTES) throw new PairingError('corrupt')
        pay(piece.length)
        parts.push(piece)
      },
      end: () => this.#deliver(concatBytes(...parts), type, re),
    }
  }

  /** This side says no more posts: those that wait for their allowance, and answers, throw `closing`. */
  close(): void {
    this.#isClosed = true
    this.#changed.fire()
  }

  /** The peer says no more posts. */
  finish(): void {
    this.#isAtEnd = true
    this.close()
  }

  /** The pairing is over. Posts that came can still be read. */
  end(error: PairingError): void {
    this.#failure ??= error
    this.#environment.clearTimeout(this.#takeTimer)
    for (const reject of this.#waiting) reject(error)
    this.#changed.fire()
  }

  #deliver(bytes: Uint8Array, type: string | undefined, re: number | undefined): void {
    const number = ++this.#numberHeard
    const reply = (answer: Uint8Array, options?: { readonly type?: string | undefined }) =>
      this.post(answer, { ...options, re: number })
    const post: Post = { number, type, re, bytes, reply }
    const asker = re === undefined ? undefined : this.#asked.get(re)
    if (asker) {
      this.#take(post)
      asker(post)
      return
    }
    this.#inbox.push(post)
    this.#changed.fire()
  }

  async #send(bytes: Uint8Array, { type, re }: PostOptions): Promise<{ number: number; held: Promise<number> }> {
    this.#requirePost(bytes, type, re)
    await this.#greeted()
    if (this.#allowed === 0) throw new PairingError('unsupported')
    const cost = POST_COST + bytes.length
    const turn = this.#turn.then(async () => {
      const isRefused = () => this.#failure !== undefined || this.#isClosed
      while (!isRefused() && this.#said + cost > this.#allowed) await this.#changed.next()
      if (isRefused()) throw this.#failure ?? new PairingError('closing')
      this.#said += cost
      const number = ++this.#numberSaid
      const acked = new Promise<number>((resolve) => {
        this.#outbox.say({ kind: 'post', type, re }, bytes, { onAcked: () => resolve(number) })
      })
      const held = this.#unlessOver(acked)
      held.catch(() => {})
      return { number, held }
    })
    this.#turn = turn.catch(() => {})
    return turn
  }

  #requirePost(bytes: unknown, type: unknown, re: number | undefined): void {
    if (!(bytes instanceof Uint8Array)) throw new TypeError('a post is a Uint8Array: encode a text with TextEncoder')
    if (bytes.length > POST_MAX_BYTES) throw new RangeError('a post has at most 1 MiB: send more as an offer')
    if (type !== undefined && !PostType.safeParse(type).success) {
      throw new RangeError('type is a text of at most 64 bytes')
    }
    if (re !== undefined && !(Number.isInteger(re) && re >= 1 && re <= this.#numberHeard)) {
      throw new RangeError('re is the number of a post that came')
    }
  }

  /** `work`, or what ends the pairing, or `aborted`. */
  #unlessOver<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#failure) reject(this.#failure)
      const abort = () => reject(new PairingError('aborted'))
      signal?.addEventListener('abort', abort)
      this.#waiting.add(reject)
      work.then(resolve, reject).finally(() => {
        this.#waiting.delete(reject)
        signal?.removeEventListener('abort', abort)
      })
    })
  }

  #take({ bytes }: Post): void {
    this.#taken += POST_COST + bytes.length
    const grown = this.#taken + POSTS_ALLOWANCE - this.#granted
    if (grown >= POSTS_ALLOWANCE / 4) this.#sayTaken()
    else this.#takeTimer ??= this.#environment.setTimeout(() => this.#sayTaken(), TAKE_AFTER_MS)
  }

  #sayTaken(): void {
    this.#environment.clearTimeout(this.#takeTimer)
    this.#takeTimer = undefined
    if (this.#failure) return
    this.#granted = this.#taken + POSTS_ALLOWANCE
    this.#outbox.allow({ kind: 'take', posts: this.#granted })
  }
}

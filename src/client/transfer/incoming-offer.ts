import { canDigest } from '../../crypto/resume.ts'
import type { Environment } from '../environment.ts'
import { PairingError } from '../errors.ts'
import { indexed, type List, PackedList } from '../list.ts'
import { Signal } from '../signal.ts'
import { type Entry, totalOf } from './entries.ts'
import { type AcceptOptions, type IncomingItem, type IncomingOfferOptions, Item } from './incoming-item.ts'
import { type HeadOf, type NoReason, requireReason, type SkipReason, type StopReason } from './kinds.ts'
import { type Part, PartReader } from './lines.ts'
import type { MessageSink } from './message-reader.ts'
import { errorOfWithdrawal, hearOfferer, type TakerLife } from './offer-life.ts'
import type { Outbox } from './outbox.ts'
import { type Begun, bytesByEntry, bytesOf, digested, encodeParts, partFinder, proofFor } from './resume.ts'
import { type Piece, StreamPosition } from './stream-position.ts'

/** Content that may be on its way beyond what the app has taken. */
export const ALLOWANCE_BYTES = 4 * 1024 * 1024
/** Bytes, and milliseconds, after which it is said what the app has taken. */
const TAKE_AFTER_BYTES = ALLOWANCE_BYTES / 4
const TAKE_AFTER_MS = 500

/** An offer of the other device. Nothing of it comes before `accept`. */
export class IncomingOffer {
  /** Its number among the offers of that device, from 1. */
  readonly offer: number
  /** The peer's words, of a right form but otherwise unverified: clean them before they are shown or used as names. */
  readonly entries: List<Entry>
  /** Sizes of all entries together, or undefined for a pipe. */
  readonly totalBytes: number | undefined
  /** Tells this transfer from every other. What is kept of it is kept under this. */
  readonly token: string
  /** Resolves with the reason when the offerer takes it back before its end. */
  readonly withdrawn: Promise<PairingError>
  readonly #options: IncomingOfferOptions
  readonly #outbox: Outbox
  readonly #environment: Environment
  #announceWithdrawal: (error: PairingError) => void = () => {}
  #life: TakerLife = { is: 'undecided' }
  #position: StreamPosition
  #offsets: ArrayLike<number> = []
  /** Bytes that are not in the stream, because they are here. */
  #hasBytes = 0
  /** Parts that this side said it has, and the offerer's digests of the same. */
  #named = new PackedList<Part>()
  #checked: List<Part> | undefined
  readonly #pieces: Piece[] = []
  readonly #skips = new Map<number, SkipReason>()
  #failure: PairingError | undefined
  #saidTaken = 0
  #takeTimer: unknown
  readonly #changed = new Signal()
  #confirmed: Promise<boolean> | undefined

  constructor(options: IncomingOfferOptions) {
    this.#options = options
    this.offer = options.offer
    this.entries = options.entries
    this.totalBytes = totalOf(options.entries)
    this.#outbox = options.outbox
    this.#environment = options.environment
    this.token = options.token
    this.#position = new StreamPosition(options.entries)
    this.withdrawn = new Promise((resolve) => (this.#announceWithdrawal = resolve))
  }

  /** Reports whether everything was made final here. It stays so, whatever the offerer comes to know. */
  get complete(): boolean {
    return this.#life.is === 'over' && this.#life.by === 'receipt'
  }

  /** Reports whether it has no answer. */
  get isUndecided(): boolean {
    return this.#life.is === 'undecided'
  }

  /** Entries of which the offerer left out the rest, and why: what came of them is to be dropped. */
  get skipped(): ReadonlyMap<number, SkipReason> {
    return this.#skips
  }

  /** Resolves with whether the offerer has the receipt, as soon as that is known. */
  get confirmed(): Promise<boolean> {
    return this.#confirmed ?? Promise.resolve(false)
  }

  /** Which of these tokens the offerer has too, if any: this is the transfer that was begun under it. */
  resumes(tokens: readonly string[]): string | undefined {
    const { hints, secret } = this.#options
    return canDigest() ? tokens.find((token) => hints.includes(proofFor(token, 'resume', secret))) : undefined
  }

  /** Refuses it. The devices stay paired. */
  decline(reason: NoReason = 'declined'): void {
    requireReason('no', reason)
    if (this.#life.is !== 'undecided') return
    if (reason === 'closing') this.#failure = new PairingError('closing')
    this.#life = { is: 'over', by: 'no' }
    this.#outbox.say({ kind: 'answer', offer: this.offer, accepted: false, reason })
    this.#options.onOver()
  }

  /** Says no to it, or ends it with this reason while it is taken. The devices stay paired. */
  stop(reason: 'cancelled' | 'no_space' | 'failed'): void {
    requireReason('stop', reason)
    if (this.isUndecided) this.decline(reason === 'cancelled' ? 'declined' : reason)
    else this.#stop(reason)
  }

  /**
   * The items one after the other; each stream is read to its end before the next. After the last, `beforeReceipt` runs and
   * the receipt goes out. Leaving early tells the offerer that it failed. Throws PairingError `cancelled`,
   * `source_changed`, `sender_failed`, `aborted`, `closing`, or what ended the pairing; the device stays paired otherwise.
   */
  async *accept(options: AcceptOptions = {}): AsyncGenerator<IncomingItem, void> {
    if (this.#failure) throw this.#failure
    if (!this.isUndecided) throw new Error('an offer is answered once')
    this.#answer(options.begun)
    const abort = () => this.#stop('cancelled')
    if (options.signal?.aborted) abort()
    options.signal?.addEventListener('abort', abort)
    try {
      if (options.begun) await this.#compare(options.begun, options)
      for (const [index, entry] of indexed(this.entries)) {
        yield new Item(entry, index, this.#offsets[index] ?? 0, () => this.#piecesOf(index, options))
        if (!this.#isRead(index)) throw new PairingError('incomplete')
      }
      while (this.#life.is === 'running') await this.#changed.next()
      if (this.#life.is !== 'whole') throw this.#failure ?? new PairingError('incomplete')
      // Too late to stop: what is made final is there, and one last word says so.
      options.signal?.removeEventListener('abort', abort)
      await options.beforeReceipt?.()
      this.#sayReceipt(this.#life.received)
    } finally {
      options.signal?.removeEventListener('abort', abort)
      this.#environment.clearTimeout(this.#takeTimer)
      this.#stop('failed')
    }
  }

  /** The offerer's digests come. */
  openCheck(): MessageSink {
    const named = partFinder(this.#named)
    const lines = new PartReader(({ entry, bytes, sha256 }) => sha256 !== undefined && named(entry)?.bytes === bytes)
    return {
      push: (piece) => lines.push(piece),
      end: () => {
        lines.end()
        if (this.#checked) throw new PairingError('corrupt')
        this.#life = hearOfferer(this.#life, { kind: 'check', offer: this.offer })
        this.#checked = lines.parts
        this.#changed.fire()
      },
    }
  }

  /** A word of the offerer about this offer. */
  hear(word: HeadOf<'sent' | 'withdraw'>): void {
    const before = this.#life
    if (word.kind === 'sent' && before.is === 'running' && !this.#position.mayEnd) throw new PairingError('corrupt')
    this.#life = hearOfferer(before, word)
    if (word.kind === 'withdraw' && before.is !== 'over' && this.#life.is === 'over') {
      this.#outbox.say({ kind: 'stop', offer: this.offer, reason: 'withdrawn' })
      const error = errorOfWithdrawal(word.reason)
      this.#fail(error)
      this.#announceWithdrawal(error)
      this.#options.onOver()
    }
    this.#changed.fire()
  }

  /** Content came. It is kept for the app, within the allowance. */
  push(bytes: Uint8Array): void {
    this.#life = hearOfferer(this.#life, { kind: 'content', offer: this.offer }, bytes.length)
    if (this.#life.is === 'over') return
    this.#pieces.push(...this.#position.advance(bytes))
    this.#changed.fire()
  }

  /** The offerer leaves out the rest of an entry. Throws PairingError `corrupt`. */
  skip(entry: number, reason: SkipReason): void {
    if (this.#life.is === 'over') return
    if (this.#life.is !== 'running') throw new PairingError('corrupt')
    this.#position.skip(entry)
    this.#skips.set(entry, reason)
    this.#changed.fire()
  }

  /** The connection has ended for good. What is whole here can still be made final. */
  end(error: PairingError): void {
    if (this.#life.is === 'over' || this.#life.is === 'whole') return
    this.#life = { is: 'over', by: 'stop' }
    this.#fail(error)
    this.#options.onOver()
  }

  #answer(begun: Begun | undefined): void {
    const yes = { kind: 'answer', offer: this.offer, accepted: true, through: ALLOWANCE_BYTES } as const
    if (!begun) {
      this.#life = { is: 'running', received: 0, taken: 0, through: ALLOWANCE_BYTES }
      this.#outbox.say(yes)
      return
    }
    this.#life = { is: 'comparing', through: ALLOWANCE_BYTES }
    for (const [entry, bytes] of [...begun.have].sort(([a], [b]) => a - b)) this.#named.push({ entry, bytes })
    const resume = proofFor(begun.token, 'resumed', this.#options.secret)
    this.#outbox.say({ ...yes, resume }, encodeParts(this.#named))
  }

  /** Finds out, with the offerer, which bytes are the same at both, and starts behind them. */
  async #compare(begun: Begun, { onChecking, onProgress }: AcceptOptions): Promise<void> {
    const total = bytesOf(this.#named)
    const read = ({ entry, bytes }: Part) => begun.read(entry, bytes)
    const isWanted = () => this.#life.is === 'comparing'
    const mine = await digested(this.#named, read, isWanted, (bytes) => onChecking?.(bytes, total))
    while (!this.#checked && !this.#failure) await this.#changed.next()
    if (this.#failure || this.#life.is !== 'comparing') throw this.#failure ?? new PairingError('incomplete')
    const theirs = partFinder(this.#checked ?? [])
    const same = new PackedList<Part>()
    for (const part of mine) if (theirs(part.entry)?.sha256 === part.sha256) same.push(part)
    this.#offsets = bytesByEntry(same, this.entries.length)
    this.#hasBytes = bytesOf(same)
    this.#named = new PackedList()
    this.#checked = []
    this.#position = new StreamPosition(this.entries, this.#offsets)
    this.#life = { is: 'running', received: 0, taken: 0, through: this.#life.through }
    this.#outbox.say({ kind: 'start', offer: this.offer }, encodeParts(same))
    onProgress?.({ bytes: this.#hasBytes, totalBytes: this.totalBytes })
  }

  async *#piecesOf(index: number, { onProgress }: AcceptOptions): AsyncGenerator<Uint8Array> {
    for (let bytes = await this.#read(index); bytes; bytes = await this.#read(index)) {
      if (this.#life.is === 'running' || this.#life.is === 'whole') {
        onProgress?.({ bytes: this.#hasBytes + this.#life.taken, totalBytes: this.totalBytes })
      }
      yield bytes
    }
  }

  /** The next bytes of this item, or undefined at its end. */
  async #read(index: number): Promise<Uint8Array | undefined> {
    for (;;) {
      const [piece] = this.#pieces
      if (piece && piece.entry === index) {
        this.#pieces.shift()
        this.#take(piece.bytes.length)
        return piece.bytes
      }
      if (this.#isRead(index)) return undefined
      if (this.#failure) throw this.#failure
      await this.#changed.next()
    }
  }

  #isRead(index: number): boolean {
    const [piece] = this.#pieces
    return piece?.entry !== index && (this.#position.entry > index || this.#life.is === 'whole')
  }

  #take(bytes: number): void {
    if (this.#life.is !== 'running' && this.#life.is !== 'whole') return
    this.#life = { ...this.#life, taken: this.#life.taken + bytes }
    if (this.#life.taken - this.#saidTaken >= TAKE_AFTER_BYTES) this.#sayTaken()
    else this.#takeTimer ??= this.#environment.setTimeout(() => this.#sayTaken(), TAKE_AFTER_MS)
  }

  #sayTaken(): void {
    this.#environment.clearTimeout(this.#takeTimer)
    this.#takeTimer = undefined
    if (this.#life.is !== 'running' && this.#life.is !== 'whole') return
    const { taken } = this.#life
    const through = taken + ALLOWANCE_BYTES
    this.#saidTaken = taken
    this.#life = { ...this.#life, through }
    this.#outbox.allow({ kind: 'take', offer: this.offer, taken, through })
  }

  #sayReceipt(bytes: number): void {
    this.#life = { is: 'over', by: 'receipt' }
    const receipt = { kind: 'receipt', offer: this.offer, bytes, skipped: this.#skips.size || undefined } as const
    this.#confirmed = new Promise((resolve) => {
      this.#outbox.say(receipt, undefined, { onAcked: () => resolve(true) })
      void this.#options.ended.then(() => resolve(false))
    })
    this.#options.onOver()
  }

  #stop(reason: StopReason): void {
    if (this.#life.is === 'over') return
    this.#life = { is: 'over', by: 'stop' }
    this.#outbox.say({ kind: 'stop', offer: this.offer, reason })
    this.#fail(new PairingError('aborted'))
    this.#options.onOver()
  }

  #fail(error: PairingError): void {
    this.#failure ??= error
    this.#pieces.length = 0
    this.#changed.fire()
  }
}

import { canDigest } from '../../crypto/resume.ts'
import { encodeBase64Url } from '../../protocol/text.ts'
import type { Environment } from '../environment.ts'
import { errorOfAccident, PairingError } from '../errors.ts'
import { indexed, type List } from '../list.ts'
import { Signal } from '../signal.ts'
import { firstBytes, type Source } from '../source.ts'
import { ContentBuffer } from './content-buffer.ts'
import { totalOf } from './entries.ts'
import { type HeadOf, HINTS_MAX, type SkipReason, type WithdrawReason } from './kinds.ts'
import { encodeLines, type Part, PartReader } from './lines.ts'
import type { MessageSink } from './message-reader.ts'
import { allowed, cutOfferer, hear, type OffererLife, type Outcome, say, sayAll, withdraw } from './offer-life.ts'
import type { ContentSource, Outbox } from './outbox.ts'
import { ReadAhead } from './read-ahead.ts'
import { bytesByEntry, bytesOf, digested, partFinder, proofFor, type Transfers } from './resume.ts'

/** Content is not held back for longer than this while its source gives nothing. */
const SOURCE_SILENCE_MS = 100
/** Tells this transfer from every other, for ever. */
const TOKEN_BYTES = 16

/** Options of `device.send`. */
export interface OfferOptions {
  /** Called when the other device has answered yes, with the bytes that it has from before. */
  readonly onAnswer?: ((hasBytes: number) => void) | undefined
  /** Called while both sides compare what the other device has, with the bytes read so far. */
  readonly onChecking?: ((bytes: number, totalBytes: number) => void) | undefined
  /** Where tokens are kept. Without it, and for sources without a key, nothing is resumed. */
  readonly transfers?: Transfers | undefined
  /** Called with the bytes of the stream that the other app has taken. */
  readonly onProgress?: ((bytes: number, totalBytes: number | undefined) => void) | undefined
  /** Called with the name of a source that changed or cannot be read, and that the other device is told to leave out. */
  readonly onSkip?: ((name: string, reason: SkipReason) => void) | undefined
  /** Aborting it withdraws the offer. */
  readonly signal?: AbortSignal | undefined
}

interface OutgoingOfferOptions {
  readonly offer: number
  /** The entries of the sources, as lines. */
  readonly lines: Uint8Array
  readonly sources: List<Source>
  /** E("resume", 32) of this pairing. */
  readonly secret: Uint8Array
  readonly outbox: Outbox
  readonly environment: Environment
  readonly options: OfferOptions
}

/** An offer to the other device, from its first word to the other's last. */
export class OutgoingOffer implements ContentSource {
  readonly offer: number
  #lines: Uint8Array | undefined
  readonly #sources: List<Source>
  readonly #outbox: Outbox
  readonly #environment: Environment
  readonly #options: OfferOptions
  readonly #secret: Uint8Array
  readonly #totalBytes: number | undefined
  #life: OffererLife = { is: 'undecided', withdrawn: false }
  readonly #changed = new Signal()
  #reading: ReadAhead | undefined
  readonly #buffer: ContentBuffer
  /** The buffer goes out as it is: it is full, or its source is silent or at its end. */
  #isReady = false
  #silence: unknown
  #failure: PairingError | undefined
  #skipped = 0
  /** The token of this transfer: a fresh one, or that of the one it resumes. */
  #token: string
  /** By the answer that a taker gives who has it: tokens of before. */
  #known = new Map<string, string>()
  /** Parts that the taker says it has. */
  #parts: List<Part> = []
  #hasBytes = 0

  constructor(options: OutgoingOfferOptions) {
    this.#secret = options.secret
    this.#token = encodeBase64Url(options.environment.random(TOKEN_BYTES))
    this.offer = options.offer
    this.#lines = options.lines
    this.#sources = options.sources
    this.#outbox = options.outbox
    this.#environment = options.environment
    this.#options = options.options
    this.#totalBytes = totalOf(options.sources)
    this.#buffer = new ContentBuffer(options.outbox.contentBytes)
  }

  /** Reports whether the other device has not answered. */
  get isUndecided(): boolean {
    return this.#life.is === 'undecided'
  }

  /** Offers, sends what is wanted, and resolves with what became of it. Never rejects but for its own fault. */
  async carry(): Promise<{ outcome: Outcome; failure: PairingError | undefined }> {
    const { signal } = this.#options
    const abort = () => this.#withdraw('cancelled', new PairingError('aborted'))
    const head = { kind: 'offer', offer: this.offer, count: this.#sources.length, bytes: this.#totalBytes } as const
    const resumes = await this.#hints()
    this.#outbox.say({ ...head, token: this.#token, resumes }, this.#lines)
    this.#lines = undefined
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort)
    try {
      // The other device has the last word, also about what fails here.
      await this.#send().catch((error) => this.#withdraw('failed', errorOfAccident(error)))
      while (this.#life.is !== 'over') await this.#changed.next()
      const { outcome } = this.#life
      // Delivered is delivered, whatever a store throws: a token that stays harms nothing.
      if (outcome.is === 'delivered') await this.#options.transfers?.remove(this.#token).catch(() => {})
      return { outcome, failure: this.#failure }
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#outbox.stopContent(this)
      this.#reading?.stop()
      this.#environment.clearTimeout(this.#silence)
      this.#buffer.wipe()
    }
  }

  async #send(): Promise<void> {
    while (this.#life.is === 'undecided') await this.#changed.next()
    if (this.#life.is === 'comparing') await this.#compare()
    if (!this.#isRunning()) return
    this.#options.onAnswer?.(this.#hasBytes)
    if (this.#keys) await this.#options.transfers?.put(this.#token, this.#keys)
    this.#outbox.startContent(this)
    await this.#fill()
  }

  /** An answer or a start comes, with what the other device has. Throws PairingError `corrupt`. */
  open(word: HeadOf<'answer' | 'start'>): MessageSink {
    const isAnswer = word.kind === 'answer'
    const token = isAnswer && word.resume !== undefined ? this.#known.get(word.resume) : undefined
    if (isAnswer && word.resume !== undefined && !token) throw new PairingError('corrupt')
    const named = partFinder(this.#parts)
    const isPart = ({ entry, bytes }: Part) =>
      isAnswer ? token !== undefined && bytes <= (this.#sources.at(entry)?.size ?? 0) : named(entry)?.bytes === bytes
    const lines = new PartReader(isPart)
    return {
      push: (piece) => lines.push(piece),
      end: () => {
        lines.end()
        this.#token = token ?? this.#token
        this.#parts = lines.parts
        this.#hasBytes = bytesOf(lines.parts)
        this.hear(word)
      },
    }
  }

  /** A word of the other device about this offer. Throws PairingError `corrupt`. */
  hear(word: HeadOf<'answer' | 'start' | 'take' | 'receipt' | 'stop'>): void {
    this.#life = hear(this.#life, word)
    if (word.kind === 'take') this.#tellProgress(word.taken ?? 0)
    if (word.kind === 'receipt') this.#tellProgress(word.bytes)
    this.#settle()
    this.#outbox.poke()
  }

  /** The connection has ended for good. */
  end(): void {
    this.#life = { is: 'over', outcome: cutOfferer(this.#life) }
    this.#settle()
  }

  next(): Uint8Array | undefined {
    const length = this.#isReady ? Math.min(this.#buffer.filled, allowed(this.#life)) : 0
    if (length === 0) return undefined
    this.#life = say(this.#life, length)
    const bytes = this.#buffer.take(length)
    if (this.#buffer.filled === 0) {
      this.#isReady = false
      this.#settle()
    }
    return bytes
  }

  /** Keys of the sources, each once, if all have one. */
  get #keys(): readonly string[] | undefined {
    const keys = new Set<string | undefined>()
    for (const { key } of this.#sources) keys.add(key)
    return keys.has(undefined) ? undefined : ([...keys] as string[])
  }

  #tellProgress(taken: number): void {
    try {
      this.#options.onProgress?.(this.#hasBytes + taken, this.#totalBytes)
    } catch (error) {
      // The reader calls this: what the app throws there would end the pairing.
      this.#withdraw('failed', errorOfAccident(error))
    }
  }

  async #hints(): Promise<string[] | undefined> {
    // The offer has its number, which the other device waits for: it goes out without hints where a store fails.
    const tokens = canDigest() && this.#keys && (await this.#options.transfers?.tokensOf(this.#keys).catch(() => []))
    const newest = (tokens || []).slice(0, HINTS_MAX)
    if (newest.length === 0) return undefined
    this.#known = new Map(newest.map((token) => [proofFor(token, 'resumed', this.#secret), token]))
    return newest.map((token) => proofFor(token, 'resume', this.#secret))
  }

  /** Says digests of the own bytes of what the taker has, and waits until it says where to go on. */
  async #compare(): Promise<void> {
    const total = this.#hasBytes
    const read = ({ entry, bytes }: Part) => firstBytes(this.#sources.at(entry)?.open() ?? [], bytes)
    const isWanted = () => this.#life.is === 'comparing' && !this.#life.withdrawn
    const parts = await digested(this.#parts, read, isWanted, (bytes) => this.#options.onChecking?.(bytes, total))
    if (isWanted()) this.#outbox.say({ kind: 'check', offer: this.offer }, encodeLines(parts))
    while (this.#life.is === 'comparing') await this.#changed.next()
  }

  /** Reads the sources into frames, in their order, until all is said or the offer is over. */
  async #fill(): Promise<void> {
    this.#reading = new ReadAhead(this.#sources, bytesByEntry(this.#parts, this.#sources.length))
    this.#parts = []
    for (const [index, { dir }] of indexed(this.#sources)) {
      if (!dir && !(await this.#fillFrom(this.#reading.piecesOf(index), index))) return
    }
    if (!(await this.#emptied()) || this.#life.is !== 'running') return
    const onSent = () => {
      this.#life = sayAll(this.#life)
    }
    this.#outbox.say({ kind: 'sent', offer: this.offer, bytes: this.#life.said }, undefined, { onSent })
  }

  /** Puts a source into frames, or says that it is skipped. Reports whether the offer still wants more. */
  async #fillFrom(pieces: AsyncIterable<Uint8Array>, index: number): Promise<boolean> {
    let isBegun = false
    try {
      for await (const piece of pieces) {
        isBegun = true
        await this.#put(piece)
      }
      return this.#isRunning()
    } catch (error) {
      if (!this.#isRunning()) return false
      const failure = error instanceof PairingError ? error : new PairingError('source_failed', { cause: error })
      const isChanged = failure.code === 'source_changed'
      // An offer of which nothing would be left is none.
      if (this.#skipped === this.#sources.length - 1) this.#withdraw(isChanged ? 'source_changed' : 'failed', failure)
      // Its bytes that are in the stream go out before that.
      else if (!isBegun || (await this.#emptied())) {
        const reason = isChanged ? 'changed' : 'unreadable'
        this.#skipped++
        this.#outbox.say({ kind: 'skip', offer: this.offer, entry: index, reason })
        this.#options.onSkip?.(this.#sources.at(index)?.name ?? '', reason)
      }
      return this.#isRunning()
    }
  }

  /** Puts a piece into frames. */
  async #put(piece: Uint8Array): Promise<void> {
    for (let at = 0; at < piece.length; ) {
      if (this.#buffer.isFull && !(await this.#emptied())) return
      this.#environment.clearTimeout(this.#silence)
      at += this.#buffer.add(piece.subarray(at))
      if (this.#buffer.isFull) this.#release()
      else this.#silence = this.#environment.setTimeout(() => this.#release(), SOURCE_SILENCE_MS)
    }
  }

  /** Lets out what the buffer has, and waits until it is empty. Reports whether the offer still wants more. */
  async #emptied(): Promise<boolean> {
    this.#release()
    while (this.#buffer.filled > 0 && this.#isRunning()) await this.#changed.next()
    return this.#isRunning()
  }

  #isRunning(): boolean {
    return this.#life.is === 'running' && !this.#life.withdrawn
  }

  #release(): void {
    this.#environment.clearTimeout(this.#silence)
    this.#isReady = this.#buffer.filled > 0
    if (this.#isReady) this.#outbox.poke()
  }

  #withdraw(reason: WithdrawReason, failure: PairingError): void {
    this.#failure ??= failure
    if (this.#life.is === 'over' || this.#life.withdrawn) return
    this.#life = withdraw(this.#life)
    this.#outbox.say({ kind: 'withdraw', offer: this.offer, reason })
    this.#settle()
  }

  #settle(): void {
    if (!this.#isRunning()) this.#reading?.stop()
    this.#changed.fire()
  }
}

import { courtesy, type Environment } from '../environment.ts'
import { PairingError } from '../errors.ts'
import type { DeclineReason } from '../offer.ts'
import type { SenderRun } from '../pairing/sender-run.ts'
import { exactly, type Source } from '../source.ts'
import { skipUnknown } from './messages.ts'
import { totalOf } from './transfer.ts'

/** How long a receiver may take to hear why its transfer ends early. */
const CANCEL_MS = 2_000

/** The outcome of a transfer at one receiver. `delivered` rests on the receiver's own word, end to end. */
export type Receipt = { readonly receiverCode: string; readonly matchNumber: string } & (
  | {
      readonly delivered: true
      readonly bytes: number
      /** From the first bytes that the receiver took to its receipt. */
      readonly ms: number
    }
  | { readonly delivered: false; readonly error: PairingError }
)

export interface SendProgress {
  readonly receiverCode: string
  readonly matchNumber: string
  /** Item bytes that the receiver has acked. */
  readonly bytes: number
  /** All item bytes, or undefined for a pipe. */
  readonly totalBytes: number | undefined
}

/** A transfer as it goes to each receiver. */
export interface Transfer {
  /** `encodeHeader(sources)`. */
  readonly header: Uint8Array
  readonly sources: readonly Source[]
  readonly onProgress: ((progress: SendProgress) => void) | undefined
  /** Aborted when the transfer is to end for every receiver. */
  readonly signal: AbortSignal | undefined
}

/** Words of a refusal that are codes of an error. */
const isCode = (word: string): word is Exclude<DeclineReason, 'failed'> => /^(declined|no_space|cancelled)$/.test(word)

/** A transfer to one receiver. */
export class Delivery {
  readonly #run: SenderRun
  readonly #transfer: Transfer
  readonly #environment: Environment
  readonly #index: number
  #writing: Promise<number> = Promise.resolve(0)
  #refused = false
  /** Rejects whatever waits for the app or the receiver. */
  readonly #interrupts = new Set<(error: PairingError) => void>()

  constructor(run: SenderRun, transfer: Transfer, environment: Environment) {
    this.#run = run
    this.#transfer = transfer
    this.#environment = environment
    this.#index = run.writer.nextIndex
  }

  /** Sends it, and resolves with what the receipt says. Throws what ends it; the run cannot go on then. */
  async carry(): Promise<{ bytes: number; ms: number }> {
    const { header, onProgress, signal } = this.#transfer
    const abort = () => {
      for (const interrupt of this.#interrupts) interrupt(new PairingError('aborted'))
    }
    signal?.addEventListener('abort', abort, { once: true })
    const { receiverCode } = this.#run
    const { matchNumber } = this.#run.peer
    const totalBytes = totalOf(this.#transfer.sources)
    let reported: number | undefined
    let startedAt: number | undefined
    let done = false
    const report = (bytes: number) => {
      if (done) return
      startedAt ??= this.#environment.now()
      reported = bytes
      onProgress?.({ receiverCode, matchNumber, bytes, totalBytes })
    }
    this.#writing = this.#run.writer.write(this.#pieces(), (bytes) => report(Math.max(0, bytes - header.length)))
    const receipt = this.#readReceipt()
    // A receiver may refuse, or be gone, while a source has nothing to give.
    const ended = this.#run.ended.then((error) => Promise.reject(error))
    const whole = Promise.all([receipt, this.#writing])
    for (const each of [receipt, this.#writing, ended, whole]) each.catch(() => {})
    const carried = this.#interruptible(Promise.race([whole, ended]))
    const [received, written] = await carried.finally(() => signal?.removeEventListener('abort', abort))
    const bytes = written - header.length
    if (received !== bytes) throw new PairingError('corrupt')
    // The receipt can overtake the ack of the last frames, and says the same.
    if (reported !== bytes) report(bytes)
    done = true
    return { bytes, ms: this.#environment.now() - (startedAt ?? 0) }
  }

  /** Tells the receiver why its transfer ends early, as far as it can still be told. Never rejects. */
  async cancel(error: PairingError): Promise<void> {
    if (this.#refused) return
    const reason = error.code === 'source_changed' ? error.code : error.code === 'aborted' ? 'cancelled' : 'failed'
    const telling = async () => {
      await this.#writing.catch(() => {})
      const { writer, channel } = this.#run
      await writer.writeJson({ type: 'cancel', message: this.#index, reason })
      await channel.flushed()
    }
    await courtesy(this.#environment, telling(), CANCEL_MS)
  }

  async *#pieces(): AsyncGenerator<Uint8Array> {
    const { header, sources } = this.#transfer
    yield header
    for (const source of sources) {
      const pieces = exactly(source)
      try {
        for (;;) {
          // A source that gives nothing at the moment must not hold up who aborts.
          const { done, value } = await this.#interruptible(pieces.next())
          if (done) break
          yield value
        }
      } finally {
        pieces.return(undefined).catch(() => {})
      }
    }
  }

  #interruptible<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#transfer.signal?.aborted) reject(new PairingError('aborted'))
      this.#interrupts.add(reject)
      work.then(resolve, reject).finally(() => this.#interrupts.delete(reject))
    })
  }

  /** Returns the bytes that the receipt confirms. Throws PairingError for a refusal, and `corrupt` for anything else. */
  async #readReceipt(): Promise<unknown> {
    for (;;) {
      const message = await (await this.#run.reader.next()).readJson()
      const { message: index, bytes, refused } = Object(message)
      if (typeof index === 'number') {
        if (index !== this.#index) throw new PairingError('corrupt')
        if (typeof refused !== 'string') return bytes
        this.#refused = true
        throw new PairingError(isCode(refused) ? refused : 'receiver_failed')
      }
      skipUnknown(message)
    }
  }
}

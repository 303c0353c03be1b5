import { courtesy } from '../environment.ts'
import { errorOfAccident, PairingError } from '../errors.ts'
import type { Approvals } from '../pairing/approvals.ts'
import type { SenderRun } from '../pairing/sender-run.ts'
import type { SenderSession, WaitingRoom } from '../pairing/waiting-room.ts'
import { requireSources, type Source, sized } from '../source.ts'
import { Delivery, type Receipt, type SendProgress, type Transfer } from './delivery.ts'
import { encodeHeader } from './transfer.ts'

/** How long a receiver may take to read its goodbye, and to leave. */
export const GOODBYE_MS = 10_000

export interface SendOptions {
  readonly onProgress?: ((progress: SendProgress) => void) | undefined
  /** Called with the receipt of each receiver as soon as it is known. */
  readonly onReceipt?: ((receipt: Receipt) => void) | undefined
  /** Nothing follows: each receiver is let go as soon as its receipt has come. */
  readonly last?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

interface SendingParts extends SenderSession {
  readonly approvals: Approvals
  readonly room: WaitingRoom
}

/** Transfers to those who are approved, and the goodbye behind the last. */
export class Sending {
  readonly #parts: SendingParts
  readonly #goodbyes = new Map<SenderRun, Promise<void>>()
  #underWay = false

  constructor(parts: SendingParts) {
    this.#parts = parts
  }

  get underWay(): boolean {
    return this.#underWay
  }

  /** See `Sender.send`. */
  async send(sources: readonly Source[], options: SendOptions): Promise<Receipt[]> {
    requireSources(sources)
    encodeHeader(sources)
    const { approved } = this.#parts.approvals
    const runs = approved.filter((run) => !run.over && !this.#goodbyes.has(run))
    if (runs.length === 0) throw new PairingError(approved.length > 0 ? 'receiver_left' : 'nobody_approved')
    if (runs.length > 1 && sources.some(({ once }) => once)) throw new PairingError('already_sent')
    if (this.#underWay) throw new Error('one send at a time')
    this.#underWay = true
    try {
      const now = await Promise.all(sources.map(sized))
      const transfer = {
        header: encodeHeader(now),
        sources: now,
        onProgress: options.onProgress,
        signal: options.signal,
      }
      return await Promise.all(runs.map((run) => this.#deliver(run, transfer, options)))
    } finally {
      this.#underWay = false
    }
  }

  /** Tells those who are approved that all was sent, and resolves when each knows, or 10 s later. */
  async goodbye(): Promise<void> {
    await Promise.all(this.#parts.approvals.approved.map((run) => this.#letGo(run)))
  }

  async #deliver(run: SenderRun, transfer: Transfer, options: SendOptions): Promise<Receipt> {
    const receipt = await this.#receiptOf(run, transfer)
    options.onReceipt?.(receipt)
    if (options.last) void this.#letGo(run)
    return receipt
  }

  async #receiptOf(run: SenderRun, transfer: Transfer): Promise<Receipt> {
    const { receiverCode } = run
    const { matchNumber } = run.peer
    let delivery: Delivery | undefined
    try {
      delivery = new Delivery(run, transfer, this.#parts.environment)
      const done = await delivery.carry()
      await this.#parts.connection.flush()
      return { receiverCode, matchNumber, delivered: true, ...done }
    } catch (thrown) {
      const error = run.over ?? errorOfAccident(thrown)
      if (!run.over) {
        await delivery?.cancel(error)
        // The receiver waits for the ack of what it said.
        await this.#parts.connection.flush()
      }
      // A message without an end cannot be followed by another: this receiver has to pair again.
      await this.#parts.room.dismiss(run, error)
      return { receiverCode, matchNumber, delivered: false, error }
    }
  }

  /** Says goodbye to one receiver, once. Never rejects. */
  #letGo(run: SenderRun): Promise<void> {
    const under = this.#goodbyes.get(run)
    if (under) return under
    const telling = async () => {
      if (run.over) return
      await run.writer.writeJson({ type: 'end', messages: run.writer.nextIndex - 1 })
      await run.channel.flushed()
    }
    const goodbye = courtesy(this.#parts.environment, telling(), GOODBYE_MS)
    this.#goodbyes.set(run, goodbye)
    return goodbye
  }
}

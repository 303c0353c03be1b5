import { atMost } from '../environment.ts'
import { errorOfAccident, PairingError } from '../errors.ts'
import type { List } from '../list.ts'
import type { Delivered, PairedDevice } from '../paired-device.ts'
import type { Approvals } from '../pairing/approvals.ts'
import type { SenderRun } from '../pairing/sender-run.ts'
import type { SenderSession } from '../pairing/waiting-room.ts'
import { requireSources } from '../refusal.ts'
import { hasOnce, type Source } from '../source.ts'
import type { SkipReason } from './kinds.ts'
import type { OfferOptions } from './outgoing-offer.ts'

/** How long devices may take for their goodbyes, and to leave. */
export const GOODBYE_MS = 10_000

/** A device in what is told of it. */
interface OfDevice {
  /** The device's name at the relay. */
  readonly receiverCode: string
  /** Six digits that the device shows. */
  readonly matchNumber: string
}

/** Outcome of an offer at one device. `delivered` rests on the device's own word, end to end. */
export type Receipt = OfDevice & ((Received & Delivered) | NotReceived)

/** A device that has it. */
interface Received {
  /** The device has confirmed that everything is where it belongs. */
  readonly delivered: true
}

/** A device that has not said so. */
interface NotReceived {
  /** Nothing was confirmed: with `unconfirmed` the device may have it nevertheless. */
  readonly delivered: false
  /** Why not: `declined`, `no_space`, `cancelled`, `unconfirmed`, … */
  readonly error: PairingError
}

/** How far an offer has come at one device. */
export interface SendProgress extends OfDevice {
  /** Bytes that the device's app has taken, or had before. */
  readonly bytes: number
  /** All bytes, or undefined for a pipe. */
  readonly totalBytes: number | undefined
}

/** Options of `Sender.send`, which tell of each device. */
export interface SendOptions extends Pick<OfferOptions, 'transfers' | 'signal'> {
  /** Called while a device and this one compare what it has from before. */
  readonly onChecking?: ((progress: SendProgress) => void) | undefined
  /** Called when a device has answered yes, with the bytes that it has from before. */
  readonly onAnswer?: ((answer: OfDevice & { readonly hasBytes: number }) => void) | undefined
  /** Called with a source that changed or cannot be read, and that the device is told to leave out. */
  readonly onSkip?: ((skipped: OfDevice & { readonly name: string; readonly reason: SkipReason }) => void) | undefined
  /** Called as the apps of the devices take bytes. */
  readonly onProgress?: ((progress: SendProgress) => void) | undefined
  /** Called with the receipt of each device as soon as it is known. */
  readonly onReceipt?: ((receipt: Receipt) => void) | undefined
  /** Nothing follows: each device is told goodbye as soon as its receipt has come. */
  readonly last?: boolean | undefined
}

interface SendingParts extends Pick<SenderSession, 'connection' | 'environment'> {
  readonly approvals: Approvals
}

/** Offers to all who are approved, and the goodbye behind the last. */
export class Sending {
  readonly #parts: SendingParts

  constructor(parts: SendingParts) {
    this.#parts = parts
  }

  get underWay(): boolean {
    return this.#devices.some(({ isSending }) => isSending)
  }

  get #devices(): readonly PairedDevice[] {
    return this.#parts.approvals.approved.flatMap(({ device }) => device ?? [])
  }

  /** See `Sender.send`. */
  async send(sources: List<Source>, options: SendOptions): Promise<Receipt[]> {
    requireSources(sources)
    const { approved } = this.#parts.approvals
    const runs = approved.filter(({ device }) => device?.isOver === false)
    if (runs.length === 0) throw new PairingError(approved.length > 0 ? 'receiver_left' : 'nobody_approved')
    if (runs.length > 1 && hasOnce(sources)) throw new PairingError('already_sent')
    return Promise.all(runs.map((run) => this.#deliver(run, sources, options)))
  }

  /** Says goodbye to each device, and resolves when all have answered, or 10 s later. */
  async goodbye(): Promise<void> {
    const goodbyes = Promise.allSettled(this.#devices.map((device) => device.close()))
    await atMost(this.#parts.environment, GOODBYE_MS, goodbyes)
  }

  async #deliver(
    { receiverCode, peer: { matchNumber }, device, over }: SenderRun,
    sources: List<Source>,
    { transfers, signal, onAnswer, onChecking, onProgress, onSkip, onReceipt, last }: SendOptions,
  ): Promise<Receipt> {
    const who = { receiverCode, matchNumber }
    let receipt: Receipt
    try {
      if (!device) throw over ?? new PairingError('receiver_left')
      const delivered = await device.send(sources, {
        transfers,
        signal,
        onAnswer: (hasBytes) => onAnswer?.({ ...who, hasBytes }),
        onChecking: (bytes, totalBytes) => onChecking?.({ ...who, bytes, totalBytes }),
        onSkip: (name, reason) => onSkip?.({ ...who, name, reason }),
        onProgress: (bytes, totalBytes) => onProgress?.({ ...who, bytes, totalBytes }),
      })
      await this.#parts.connection.flush()
      receipt = { ...who, delivered: true, ...delivered }
    } catch (thrown) {
      if (thrown instanceof TypeError || thrown instanceof RangeError) throw thrown
      receipt = { ...who, delivered: false, error: errorOfAccident(thrown) }
    }
    onReceipt?.(receipt)
    if (last) device?.close().catch(() => {})
    return receipt
  }
}

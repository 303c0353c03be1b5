import { type VerifiedPeer, wipeKeys } from '../crypto/handshake.ts'
import { ADDRESS_JOINS_MAX } from '../protocol/limits.ts'
import { RelayApi } from './calls/relay-api.ts'
import { type CodeEntry, parseEntry } from './entry.ts'
import { type Environment, pause } from './environment.ts'
import { errorOfAccident, PairingError } from './errors.ts'
import { requireOptions } from './options.ts'
import { PairedDevice } from './paired-device.ts'
import { type JoinOptions, ReceiverRun, type ReceiverRunOptions } from './pairing/receiver-run.ts'
import { environmentWith } from './runtime.ts'
import type { Takes } from './transfer/conversation.ts'
import type { IncomingOffer } from './transfer/incoming-offer.ts'

/** The first rejoin comes at once. Later ones wait twice as long each time, from the first of these to the second. */
const REJOIN_PAUSE_MS = 1_000
const REJOIN_PAUSE_MAX_MS = 15_000

/** Options of `Receiver.join`. */
export interface ReceiverOptions extends JoinOptions, CodeEntry {
  /** Kinds that this side takes from the sender. Default: offers. */
  readonly takes?: Takes | undefined
  /** Called when the sender has approved this device: what it sends comes next. */
  readonly onApproved?: (() => void) | undefined
  /** Called when this device has joined again by itself, under a new receiver code. */
  readonly onRejoin?: (() => void) | undefined
}

/** The side that wants the data. See docs/sdk.md for the whole of a pairing. */
export class Receiver {
  /** The match number, once the sender's tag has verified. Rejects when that cannot come any more. */
  readonly verified: Promise<string>
  /** The sender, once it has approved this device. Rejects when that cannot come any more. */
  readonly approved: Promise<PairedDevice>
  /** Resolves once, when the session is over for this device, with the reason: `aborted` after `close`. */
  readonly ended: Promise<PairingError>
  readonly #options: ReceiverOptions
  readonly #environment: Environment
  readonly #runOptions: ReceiverRunOptions
  #run: ReceiverRun
  #expiresAt = 0
  #verified: VerifiedPeer | undefined
  readonly #peer: Promise<VerifiedPeer>
  #device: PairedDevice | undefined
  #leaving: Promise<void> | undefined
  #announceEnd: (error: PairingError) => void = () => {}
  readonly #abort = () => void this.close()

  /**
   * Enters a code. Throws PairingError `code_invalid`, `code_not_found`, `attempts_used_up`, `session_full`, …, and TypeError
   * or RangeError for options that cannot be.
   */
  static async join(options: ReceiverOptions): Promise<Receiver> {
    requireOptions(options)
    const { relay, code } = parseEntry(Object(options))
    const environment = await environmentWith(options.environment)
    const api = new RelayApi(relay, environment)
    let receiver: Receiver | undefined
    const onEnd = (run: ReceiverRun, error: PairingError) => {
      if (receiver) receiver.#takeEnd(run, error)
    }
    const runOptions = { api, environment, code, app: options, onEnd }
    receiver = new Receiver(options, runOptions, await ReceiverRun.join(runOptions))
    return receiver
  }

  private constructor(options: ReceiverOptions, runOptions: ReceiverRunOptions, run: ReceiverRun) {
    this.#options = options
    this.#runOptions = runOptions
    this.#environment = runOptions.environment
    this.#run = run
    this.ended = new Promise((resolve) => {
      this.#announceEnd = resolve
    })
    this.#takeRun(run)
    this.#peer = this.#pair()
    this.verified = this.#peer.then((peer) => peer.matchNumber)
    this.approved = this.#peer.then((peer) => this.#converse(peer))
    // Whoever asks for them gets the error; nobody has to ask.
    this.verified.catch(() => {})
    this.approved.catch(() => {})
    // An abort may have come while the relay was asked.
    if (options.signal?.aborted) this.#abort()
    else options.signal?.addEventListener('abort', this.#abort)
  }

  /** This device's name at the relay. It is another one after `onRejoin`. */
  get receiverCode(): string {
    return this.#run.receiverCode
  }

  /** Six digits that the sender shows too, once it is certain that the sender knows the code. */
  get matchNumber(): string | undefined {
    return this.#verified?.matchNumber
  }

  /** 160 bits of the same comparison, for experts. */
  get fingerprint(): string | undefined {
    return this.#verified?.fingerprint
  }

  /** Reports whether the sender has a connection to the relay, as far as the relay says. */
  get senderPresent(): boolean {
    return this.#run.present
  }

  /** Milliseconds until the relay forgets the session. */
  get expiresInMs(): number {
    return Math.max(0, this.#expiresAt - this.#environment.now())
  }

  /**
   * The sender's offers, after it has approved this device. Ends after its goodbye. Throws PairingError: `denied`,
   * `wrong_code`, `closed_by_sender`, `expired`, …
   */
  async *offers(): AsyncGenerator<IncomingOffer, void> {
    const device = await this.approved
    yield* device.offers()
  }

  /** Leaves: done when everything was received, a withdrawal when not. The relay forgets this receiver. */
  close(): Promise<void> {
    this.#leaving ??= this.#leave()
    return this.#leaving
  }

  async #leave(): Promise<void> {
    await this.#device?.said()
    await this.#run.leave()
    this.#finish(new PairingError('aborted'))
  }

  /** Talks to the sender, as soon as it has said its first word. */
  async #converse(peer: VerifiedPeer): Promise<PairedDevice> {
    const run = this.#run
    const device = this.#deviceOf(peer)
    this.#device = device
    await device.greeted()
    run.channel.approved()
    this.#options.onApproved?.()
    return device
  }

  #deviceOf(peer: VerifiedPeer): PairedDevice {
    const run = this.#run
    try {
      return new PairedDevice({
        channel: run.channel,
        peer,
        maxFrameBytes: run.session.limits.maxFrameBytes,
        environment: this.#environment,
        speaksFirst: false,
        takes: this.#options.takes ?? { offers: true },
        name: this.#options.name,
        isPresent: () => run.present,
        leave: () => this.close(),
      })
    } catch (error) {
      wipeKeys(peer)
      void this.#run.leave(errorOfAccident(error))
      throw error
    }
  }

  /** Pairs, and joins again where the relay has forgotten this device before that. */
  async #pair(): Promise<VerifiedPeer> {
    for (let rejoins = 0; ; rejoins++) {
      try {
        this.#verified = await this.#run.peer
        return this.#verified
      } catch (error) {
        if (this.#leaving || !this.#run.displaced || rejoins >= ADDRESS_JOINS_MAX) {
          this.#finish(errorOfAccident(error))
          throw error
        }
      }
      try {
        await this.#rejoin(rejoins && Math.min(REJOIN_PAUSE_MS * 2 ** (rejoins - 1), REJOIN_PAUSE_MAX_MS))
      } catch (error) {
        const failure = errorOfAccident(error)
        const isPassing = ['session_full', 'at_capacity', 'relay_unavailable'].includes(failure.code)
        if (isPassing && this.expiresInMs > 0 && !this.#leaving) continue
        this.#finish(failure)
        throw failure
      }
    }
  }

  async #rejoin(pauseMs: number): Promise<void> {
    if (pauseMs > 0) await pause(this.#environment, pauseMs)
    if (this.#leaving) throw new PairingError('aborted')
    const run = await ReceiverRun.join(this.#runOptions)
    this.#takeRun(run)
    if (this.#leaving) {
      await run.leave()
      throw new PairingError('aborted')
    }
    this.#options.onRejoin?.()
  }

  #takeRun(run: ReceiverRun): void {
    this.#run = run
    this.#expiresAt = this.#environment.now() + run.session.expiresInMs
  }

  #takeEnd(run: ReceiverRun, error: PairingError): void {
    if (this.#leaving || !run.displaced) this.#finish(error)
  }

  #finish(error: PairingError): void {
    this.#options.signal?.removeEventListener('abort', this.#abort)
    this.#announceEnd(error)
  }
}

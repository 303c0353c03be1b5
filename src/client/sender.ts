import { generatePairingCode, type PairingCode } from '../crypto/pairing-code.ts'
import { RECEIVERS_MAX, TTL_MAX_SECONDS, TTL_MIN_SECONDS } from '../protocol/limits.ts'
import type { CreateSessionResponse } from '../protocol/responses.ts'
import { encodeBase64Url } from '../protocol/text.ts'
import { RelayApi, Tries } from './calls/relay-api.ts'
import { atMost, courtesy, type Environment } from './environment.ts'
import { KNOWN_TO_RELAY, PairingError } from './errors.ts'
import { Connection } from './link/connection.ts'
import type { List } from './list.ts'
import { type DeviceOptions, requireOptions } from './options.ts'
import type { PairedDevice } from './paired-device.ts'
import { Approvals, type PairingRequest } from './pairing/approvals.ts'
import type { SenderRun } from './pairing/sender-run.ts'
import { type FailedAttempts, type WaitingListeners, WaitingRoom } from './pairing/waiting-room.ts'
import { environmentWith } from './runtime.ts'
import { Signal } from './signal.ts'
import type { Source } from './source.ts'
import type { Takes } from './transfer/conversation.ts'
import { GOODBYE_MS, type Receipt, Sending, type SendOptions } from './transfer/sending.ts'

/** Options of `Sender.open`. */
export interface SenderOptions extends DeviceOptions, WaitingListeners {
  /** The relay's address, such as https://relay.example. */
  readonly relay: string
  /** How many devices may be approved. Those that share a code could, together with the relay, play the sender to each other. */
  readonly receivers?: number | undefined
  /**
   * How long the session may take, 30 to 86,400 seconds. Default: as the relay has it, which may also grant less. The code
   * itself is good for 15 minutes at most.
   */
  readonly ttlSeconds?: number | undefined
  /** For a relay that opens sessions for those alone who have one. It goes to the relay, and nowhere else. */
  readonly accessToken?: string | undefined
  /** Kinds that this side takes from the devices that it approves. Default: none. */
  readonly takes?: Takes | undefined
  /** Name that the approved devices see, unverified. At most 64 bytes. */
  readonly name?: string | undefined
  /** Called when the relay has had no room for what is to be sent for 5 s, although the receiver is there. */
  readonly onBusy?: ((who: 'relay') => void) | undefined
}

/** The life of a code, however long its session is. */
const CODE_LIFE_MS = 900_000

let clientId: string | undefined

/** The side that has the data. See docs/sdk.md for the whole of a pairing. */
export class Sender {
  readonly #code: PairingCode
  readonly #api: RelayApi
  readonly #session: CreateSessionResponse
  readonly #options: SenderOptions
  readonly #environment: Environment
  readonly #connection: Connection
  readonly #expiresAt: number
  readonly #codeExpiresAt: number
  #codeTimer: unknown
  readonly #room: WaitingRoom
  readonly #approvals: Approvals
  readonly #sending: Sending
  #goodbye: Promise<void> | undefined
  #telling: Promise<void> = Promise.resolve()
  readonly #abort = () => void this.cancel()
  #ended: PairingError | undefined
  readonly #changed = new Signal()

  /** Registers a fresh code at the relay. Throws PairingError, and RangeError or TypeError for options that cannot be. */
  static async open(options: SenderOptions): Promise<Sender> {
    const { ttlSeconds, receivers: maxReceivers = 1, signal } = options
    if (!Number.isInteger(maxReceivers) || maxReceivers < 1 || maxReceivers > RECEIVERS_MAX) {
      throw new RangeError(`receivers is 1 to ${RECEIVERS_MAX}`)
    }
    requireOptions(options)
    const isTtl = (ttl: number) => Number.isInteger(ttl) && ttl >= TTL_MIN_SECONDS && ttl <= TTL_MAX_SECONDS
    if (ttlSeconds !== undefined && !isTtl(ttlSeconds)) {
      throw new RangeError(`ttlSeconds is a whole number from ${TTL_MIN_SECONDS} to ${TTL_MAX_SECONDS}`)
    }
    const environment = await environmentWith(options.environment)
    const api = new RelayApi(options.relay, environment)
    clientId ??= encodeBase64Url(environment.random(16))
    for (const tries = new Tries(environment, options.patienceMs); ; ) {
      if (signal?.aborted) throw new PairingError('aborted')
      const code = generatePairingCode(environment.random)
      try {
        const asked = { clientId, senderCode: code.locator, maxReceivers }
        const request = ttlSeconds === undefined ? asked : { ...asked, ttlSeconds }
        const session = await api.createSession(request, options.accessToken)
        return new Sender(options, environment, api, code, session)
      } catch (error) {
        await tries.next(error)
      }
    }
  }

  private constructor(
    options: SenderOptions,
    environment: Environment,
    api: RelayApi,
    code: PairingCode,
    session: CreateSessionResponse,
  ) {
    this.#options = options
    this.#environment = environment
    this.#api = api
    this.#code = code
    this.#session = session
    this.#expiresAt = environment.now() + session.expiresInMs
    this.#codeExpiresAt = environment.now() + Math.min(session.expiresInMs, CODE_LIFE_MS)
    this.#connection = new Connection({
      relayUrl: api.url,
      session,
      environment,
      app: options,
      onView: (view) => this.#room.takeView(view),
      onAway: () => this.#room.absent(),
      onChannelError: (channel, error) => this.#room.takeChannelError(channel, error),
      onBusy: (channel) => {
        const isPresent = this.#approvals.approved.some((run) => run.channel.number === channel && run.present)
        if (isPresent) options.onBusy?.('relay')
      },
      onEnd: (error) => this.#takeEnd(error),
    })
    const own = { api, session, connection: this.#connection, environment }
    this.#room = new WaitingRoom({
      ...own,
      code,
      app: options,
      isFull: () => this.#approvals.isFull,
      onChange: () => this.#changed.fire(),
    })
    const receivers = Math.min(options.receivers ?? 1, session.limits.maxReceivers)
    this.#approvals = new Approvals({
      ...own,
      room: this.#room,
      receivers,
      takes: options.takes ?? {},
      name: options.name,
    })
    this.#sending = new Sending({ ...own, approvals: this.#approvals })
    this.#connection.start()
    if (this.#codeExpiresAt < this.#expiresAt) {
      this.#codeTimer = environment.setTimeout(() => this.#room.expire(), CODE_LIFE_MS)
    }
    // An abort may have come while the relay was asked.
    if (options.signal?.aborted) this.#abort()
    else options.signal?.addEventListener('abort', this.#abort)
  }

  /** The code that the person at the receiver enters, such as K7QM3-XPDT28. Half of it is a secret: show it, keep it nowhere. */
  get code(): string {
    return this.#code.text
  }

  /** The code as a link to the relay's page; the code is in the fragment, which no browser sends. */
  get link(): string {
    return `${this.#api.url}/#${this.code}`
  }

  /** Milliseconds until the relay forgets the session. */
  get expiresInMs(): number {
    return Math.max(0, this.#expiresAt - this.#environment.now())
  }

  /** Milliseconds until nobody can enter the code any more: 15 minutes at first, or what the session has. */
  get codeExpiresInMs(): number {
    return Math.max(0, this.#codeExpiresAt - this.#environment.now())
  }

  /** How many devices failed so far, and how. */
  get failedAttempts(): FailedAttempts {
    return this.#room.failedAttempts
  }

  /** How many devices have entered the first half of the code, and have proved nothing yet. */
  get waitingUnproven(): number {
    return this.#room.unproven
  }

  /** Reports whether an approval takes typing the number: more than one device may know the code. */
  get typingRequired(): boolean {
    return this.#room.typingRequired
  }

  /** How many devices have proved that they know the code. */
  get verifiedCount(): number {
    return this.#room.verified.length
  }

  /**
   * Verified receivers, as they come. Ends when there can be no more: `receivers` are approved, one was denied, or the code
   * was tried too often. Throws what ended the session, and PairingError `used_up` when others used the code up before
   * anybody was approved, or `code_expired` when nobody has proved to know it within 15 minutes.
   */
  async *requests(): AsyncGenerator<PairingRequest, void> {
    for (;;) {
      const run = this.#room.next()
      if (run) yield this.#approvals.requestOf(run)
      else if (this.#ended && this.#ended.code !== 'aborted') throw this.#ended
      else if (this.#room.settled) {
        if (this.#room.expired && this.#room.verified.length === 0) throw new PairingError('code_expired')
        if (this.#room.usedUp && this.#approvals.approved.length === 0) throw new PairingError('used_up')
        return
      } else await this.#changed.next()
    }
  }

  /**
   * Approves the one waiting receiver that shows this number, typed by the person who reads it there. PairingError
   * `no_such_number` or `number_not_unique`, and then nobody is approved.
   */
  approveNumber(typed: string): Promise<PairedDevice> {
    return this.#approvals.approveNumber(typed)
  }

  /**
   * Offers the sources to each device that is approved now. Resolves when the last has said its last word about it: one
   * receipt for each, in no case an exception for what one device did. PairingError `nobody_approved`, `receiver_left` when
   * all approved have left, `already_sent` for a source that can be read once and several devices, or what ended the
   * session. TypeError and RangeError for what an offer cannot have. Nothing is sent then.
   */
  async send(sources: List<Source>, options: SendOptions = {}): Promise<Receipt[]> {
    if (this.#ended || this.#goodbye) throw this.#ended ?? new PairingError('aborted')
    return this.#sending.send(sources, options)
  }

  /** Says goodbye: tells each receiver that all was sent, waits until they are done (10 s at most), ends the session. */
  close(): Promise<void> {
    if (this.#sending.underWay) return Promise.reject(new Error('something is being sent: wait for it, or cancel'))
    this.#goodbye ??= this.#sayGoodbye()
    return this.#goodbye
  }

  async #sayGoodbye(): Promise<void> {
    const live = this.#approvals.approved.filter((run) => !run.over)
    await this.#sending.goodbye()
    await atMost(this.#environment, GOODBYE_MS, this.#untilOver(live))
    await this.cancel()
  }

  /** Ends the session at once, for every receiver. Resolves when the relay knows, or does not answer. */
  cancel(): Promise<void> {
    // First of all here: a relay that does not answer must not keep anybody waiting for this.
    this.#connection.end(new PairingError('aborted'))
    return this.#telling
  }

  #takeEnd(error: PairingError): void {
    this.#ended = error
    this.#environment.clearTimeout(this.#codeTimer)
    this.#options.signal?.removeEventListener('abort', this.#abort)
    this.#room.end(error)
    // Whatever ended it here, nobody shall wait for the deadline.
    if (!KNOWN_TO_RELAY.includes(error.code))
      this.#telling = courtesy(this.#environment, this.#api.closeSession(this.#session))
  }

  async #untilOver(runs: readonly SenderRun[]): Promise<void> {
    while (!this.#ended && runs.some((run) => !run.over)) await this.#changed.next()
  }
}

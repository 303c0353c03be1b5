import { generatePairingCode, type PairingCode } from '../crypto/pairing-code.ts'
import { encodeBase64Url } from '../protocol/codec.ts'
import type { CreateSessionResponse } from '../protocol/http.ts'
import { Approvals, type PairingRequest } from './approvals.ts'
import { Connection, type ConnectionStatus } from './connection.ts'
import { deliver, type Receipt, type SendProgress } from './delivery.ts'
import type { Environment } from './environment.ts'
import { PairingError } from './errors.ts'
import { courtesy, RelayApi } from './relay-api.ts'
import { defaultEnvironment } from './runtime.ts'
import type { SenderRun } from './sender-run.ts'
import type { Source } from './source.ts'
import { encodeHeader } from './transfer.ts'
import { type FailedAttempts, WaitingRoom } from './waiting-room.ts'

/** How long `close` waits for receivers to say that they are done. */
const GOODBYE_MS = 10_000

export interface SenderOptions {
  /** The relay's address, such as https://relay.example. */
  readonly relay: string
  /** How many devices may be approved. Devices that share a code could, together with the relay, play the sender to each other. */
  readonly receivers?: number | undefined
  readonly ttlSeconds?: number | undefined
  /** Aborting it ends the session. */
  readonly signal?: AbortSignal | undefined
  /** Called when a device failed the handshake: how many gave a wrong code so far, and how many did not answer in time. */
  readonly onFailedAttempt?: ((failed: FailedAttempts) => void) | undefined
  readonly onStatus?: ((status: ConnectionStatus) => void) | undefined
  /** Called once, when no WebSocket passes and the session goes on over HTTP. */
  readonly onFallback?: (() => void) | undefined
  readonly environment?: Partial<Environment> | undefined
}

let clientId: string | undefined

/** The side that has the data. See README.md for the whole of a pairing. */
export class Sender {
  readonly #code: PairingCode
  readonly #api: RelayApi
  readonly #session: CreateSessionResponse
  readonly #options: SenderOptions
  readonly #environment: Environment
  readonly #connection: Connection
  readonly #expiresAt: number
  readonly #room: WaitingRoom
  readonly #approvals: Approvals
  #sending = false
  #closing = false
  #goodbye: Promise<void> | undefined
  #cancelling: Promise<void> | undefined
  readonly #abort = () => void this.cancel()
  #ended: PairingError | undefined
  #changed: (() => void)[] = []

  /** Registers a fresh code at the relay. Throws PairingError. */
  static async open(options: SenderOptions): Promise<Sender> {
    const environment = { ...(await defaultEnvironment()), ...options.environment }
    const api = new RelayApi(options.relay, environment)
    clientId ??= encodeBase64Url(environment.random(16))
    for (let attempt = 1; ; attempt++) {
      if (options.signal?.aborted) throw new PairingError('aborted')
      const code = generatePairingCode(environment.random)
      try {
        const { ttlSeconds, receivers: maxReceivers = 1 } = options
        const asked = { clientId, senderCode: code.locator, maxReceivers }
        const session = await api.createSession(ttlSeconds === undefined ? asked : { ...asked, ttlSeconds })
        return new Sender(options, environment, api, code, session)
      } catch (error) {
        await api.beforeNextTry(attempt, error)
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
    this.#connection = new Connection({
      relayUrl: api.url,
      credentials: session,
      expiresInMs: session.expiresInMs,
      windowBytes: session.limits.windowBytes,
      environment,
      onView: (view) => this.#room.takeView(view),
      onStatus: (status) => this.#takeStatus(status),
      onFallback: () => options.onFallback?.(),
      onEnd: (error) => this.#takeEnd(error),
    })
    this.#room = new WaitingRoom({
      code,
      api,
      session,
      connection: this.#connection,
      environment,
      onFailedAttempt: options.onFailedAttempt,
      onChange: () => this.#wake(),
    })
    this.#approvals = new Approvals({ room: this.#room, api, session, receivers: options.receivers ?? 1 })
    this.#connection.start()
    // It may have been aborted while the relay was asked.
    if (options.signal?.aborted) this.#abort()
    else options.signal?.addEventListener('abort', this.#abort)
  }

  /** What the person at the receiver enters, such as K7QM3-XPDT28. Half of it is a secret: show it, keep it nowhere. */
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

  get failedAttempts(): FailedAttempts {
    return this.#room.failedAttempts
  }

  /** How many devices have proved that they know the code. From two on, the number must be typed. */
  get verifiedCount(): number {
    return this.#room.verified.length
  }

  /**
   * Verified receivers, as they come. Ends when there can be no more: `receivers` are approved, one was denied, or the code
   * was tried too often. Throws what ended the session.
   */
  async *requests(): AsyncGenerator<PairingRequest, void> {
    for (;;) {
      const run = this.#room.next()
      if (run) yield this.#approvals.requestOf(run)
      else if (this.#ended && !this.#closing) throw this.#ended
      else if (this.#room.settled) return
      else await this.#change()
    }
  }

  /**
   * Approves the one waiting receiver that shows this number, typed by the person who reads it there. PairingError
   * `no_such_number` or `number_not_unique`, and then nobody is approved.
   */
  approveNumber(typed: string): Promise<PairingRequest> {
    return this.#approvals.approveNumber(typed)
  }

  /**
   * Encrypts for each receiver approved now, and sends. Resolves when each has confirmed the last byte end to end, or
   * cannot any more: one receipt for each, in no case an exception for what one receiver did. PairingError
   * `nobody_approved`, `receiver_left` when all approved have left, `already_sent`, or what ended the session. RangeError
   * for items that a transfer cannot have. Nothing is sent then.
   */
  async send(
    sources: readonly Source[],
    options: { onProgress?: ((progress: SendProgress) => void) | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<Receipt[]> {
    const header = encodeHeader(sources)
    const { approved } = this.#approvals
    const runs = approved.filter((run) => !run.over)
    if (this.#ended || this.#goodbye) throw this.#ended ?? new PairingError('aborted')
    if (runs.length === 0) throw new PairingError(approved.length > 0 ? 'receiver_left' : 'nobody_approved')
    if (runs.length > 1 && sources.some(({ once }) => once)) throw new PairingError('already_sent')
    if (this.#sending) throw new Error('one send at a time')
    const { signal, onProgress } = options
    const abort = () => {
      for (const run of runs) run.end(new PairingError('aborted'))
    }
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort, { once: true })
    this.#sending = true
    try {
      return await Promise.all(runs.map((run) => this.#deliver(run, () => deliver(run, header, sources, onProgress))))
    } finally {
      this.#sending = false
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Says goodbye: tells each receiver that all was sent, waits until they are done (10 s at most), ends the session. */
  close(): Promise<void> {
    if (this.#sending) return Promise.reject(new Error('something is being sent: wait for it, or cancel'))
    this.#goodbye ??= this.#sayGoodbye()
    return this.#goodbye
  }

  async #sayGoodbye(): Promise<void> {
    const live = this.#approvals.approved.filter((run) => !run.over)
    await Promise.all(
      live
        .map(async (run) => {
          try {
            await run.writer.writeJson({ type: 'end', messages: run.writer.nextIndex - 1 })
            await run.channel.flushed()
          } catch (error) {
            if (!(error instanceof PairingError)) throw error
          }
        })
        .map((goodbye) => this.#atMost(GOODBYE_MS, goodbye)),
    )
    await this.#atMost(GOODBYE_MS, this.#untilOver(live))
    await this.cancel()
  }

  /** Ends the session at once, for every receiver. Resolves when the relay knows, or does not answer. */
  cancel(): Promise<void> {
    this.#cancelling ??= this.#cancel()
    return this.#cancelling
  }

  async #cancel(): Promise<void> {
    if (this.#ended) return
    this.#closing = true
    // First of all here: a relay that does not answer must not keep anybody waiting for this.
    this.#connection.end(new PairingError('aborted'))
    await courtesy(this.#api.closeSession(this.#session))
  }

  async #deliver(run: SenderRun, work: () => Promise<number>): Promise<Receipt> {
    const { receiverCode, matchNumber } = run
    try {
      // A source that has nothing to give at the moment must not hide that the receiver is gone.
      const bytes = await Promise.race([work(), run.ended])
      if (typeof bytes !== 'number') throw bytes
      await this.#connection.flush()
      return { receiverCode, matchNumber, delivered: true, bytes }
    } catch (error) {
      const ended = run.over ?? this.#ended ?? (error instanceof PairingError ? error : undefined)
      // A message without an end cannot be followed by another: this receiver has to pair again.
      run.end(ended ?? new PairingError('source_failed', { cause: error }))
      if (!this.#ended) await courtesy(this.#api.endReceiver(this.#session, receiverCode))
      return { receiverCode, matchNumber, delivered: false, error: run.over ?? new PairingError('aborted') }
    }
  }

  #takeStatus(status: ConnectionStatus): void {
    if (status === 'reconnecting') this.#room.absent()
    this.#options.onStatus?.(status)
  }

  #takeEnd(error: PairingError): void {
    this.#ended = error
    this.#options.signal?.removeEventListener('abort', this.#abort)
    this.#room.end(error)
  }

  async #untilOver(runs: readonly SenderRun[]): Promise<void> {
    while (!this.#ended && runs.some((run) => !run.over)) await this.#change()
  }

  #atMost(ms: number, work: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#environment.setTimeout(resolve, ms)
      work.then(resolve, reject).finally(() => this.#environment.clearTimeout(timer))
    })
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve))
  }

  #wake(): void {
    const changed = this.#changed
    this.#changed = []
    for (const resolve of changed) resolve()
  }
}

import { generatePairingCode, type PairingCode } from '../crypto/pairing-code.ts'
import { encodeBase64Url } from '../protocol/codec.ts'
import type { ReceiverRow, View } from '../protocol/frames.ts'
import type { CreateSessionResponse, DenialReason } from '../protocol/http.ts'
import { Connection, type ConnectionStatus } from './connection.ts'
import { deliver, type Receipt, type SendProgress } from './delivery.ts'
import { defaultEnvironment, type Environment } from './environment.ts'
import { PairingError } from './errors.ts'
import { Places } from './places.ts'
import { pairingErrorOf, RelayApi, RelayRefusal, RelayUnreachable } from './relay-api.ts'
import { SenderRun } from './sender-run.ts'
import type { Source } from './source.ts'
import { encodeHeader } from './transfer.ts'

/** The budgets of one code at the sender. */
export const WRONG_GUESSES_MAX = 5
export const HANDSHAKES_MAX = 32
export const HANDSHAKES_AT_ONCE = 4
/** How often a session is asked for again, with a new code each time. */
const OPEN_TRIES = 4
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
  readonly environment?: Partial<Environment> | undefined
}

export interface FailedAttempts {
  readonly wrongCode: number
  readonly timedOut: number
}

/** A verified receiver that waits for a decision. Another holder of the whole code would be a second one, with another number. */
export interface PairingRequest {
  readonly receiverCode: string
  /** Untrusted: what the device calls itself. */
  readonly name: string | undefined
  /** Six digits, which the right device shows too. */
  readonly matchNumber: string
  /** For experts: 160 bits of the same comparison. */
  readonly fingerprint: string
  /** Lets the device have what is sent. PairingError `typing_required` when more than one device knows the code. */
  approve(): Promise<void>
  /** Refuses the device, and retires the code: somebody who should not knows it. */
  deny(): Promise<void>
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
  readonly #places = new Places(HANDSHAKES_AT_ONCE, HANDSHAKES_MAX)
  readonly #nonces = new Set<string>()
  readonly #runs = new Map<number, SenderRun>()
  readonly #turnedAway = new Set<number>()
  /** Verified receivers, in order. None ever leaves: a code that two devices know stays one that two devices know. */
  readonly #verified: SenderRun[] = []
  /** Approvals asked for, each counted against the bound from then on. */
  readonly #approvals = new Map<SenderRun, Promise<void>>()
  /** Receivers that have been told so: payload may follow. */
  readonly #approved = new Set<SenderRun>()
  readonly #requests: SenderRun[] = []
  #failed: FailedAttempts = { wrongCode: 0, timedOut: 0 }
  #wrongGuesses = 0
  #shaking = 0
  #retired = false
  #sending = false
  #closing = false
  #goodbye: Promise<void> | undefined
  #cancelling: Promise<void> | undefined
  readonly #abort = () => void this.cancel()
  #ended: PairingError | undefined
  #changed: (() => void)[] = []

  /** Registers a fresh code at the relay. Throws PairingError. */
  static async open(options: SenderOptions): Promise<Sender> {
    if (options.signal?.aborted) throw new PairingError('aborted')
    const environment = { ...(await defaultEnvironment()), ...options.environment }
    const api = new RelayApi(options.relay, environment)
    clientId ??= encodeBase64Url(environment.random(16))
    for (let attempt = 1; ; attempt++) {
      const code = generatePairingCode(environment.random)
      try {
        const { ttlSeconds, receivers: maxReceivers = 1 } = options
        const asked = { clientId, senderCode: code.locator, maxReceivers }
        const session = await api.createSession(ttlSeconds === undefined ? asked : { ...asked, ttlSeconds })
        return new Sender(options, environment, api, code, session)
      } catch (error) {
        const again =
          error instanceof RelayUnreachable || (error instanceof RelayRefusal && error.code === 'code_in_use')
        if (!again || attempt === OPEN_TRIES) throw pairingErrorOf(error)
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
      socketUrl: api.socketUrl,
      credentials: session,
      expiresInMs: session.expiresInMs,
      windowBytes: session.limits.windowBytes,
      environment,
      onView: (view) => this.#takeView(view),
      onStatus: (status) => this.#takeStatus(status),
      onEnd: (error) => this.#takeEnd(error),
    })
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
    return this.#failed
  }

  /** How many devices have proved that they know the code. From two on, the number must be typed. */
  get verifiedCount(): number {
    return this.#verified.length
  }

  /** Verified receivers, as they come; ends when there can be no more. Throws what ended the session. */
  async *requests(): AsyncGenerator<PairingRequest, void> {
    for (;;) {
      const run = this.#requests.shift()
      // Even one that has left by now: a device that knows the code is never hidden.
      if (run) yield this.#requestOf(run)
      else if (this.#ended && !this.#closing) throw this.#ended
      else if (this.#retired && this.#shaking === 0) return
      else await this.#change()
    }
  }

  /**
   * Approves the one waiting receiver that shows this number, typed by the person who reads it there. PairingError
   * `no_such_number` or `number_not_unique`, and then nobody is approved.
   */
  async approveNumber(typed: string): Promise<PairingRequest> {
    const digits = typed.replaceAll(/\D/g, '')
    const [run, second] = this.#verified.filter((each) => each.matchNumber === digits)
    if (!run) throw new PairingError('no_such_number')
    if (second) throw new PairingError('number_not_unique')
    await this.#approve(run)
    return this.#requestOf(run)
  }

  /**
   * Encrypts for each receiver approved now, and sends. Resolves when each has confirmed the last byte end to end, or
   * cannot any more: one receipt for each, in no case an exception for what one receiver did. RangeError for items that
   * a transfer cannot have; nothing is sent then.
   */
  async send(
    sources: readonly Source[],
    options: { onProgress?: ((progress: SendProgress) => void) | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<Receipt[]> {
    const header = encodeHeader(sources)
    const runs = [...this.#approved].filter((run) => !run.over)
    if (this.#ended || this.#goodbye) throw this.#ended ?? new PairingError('aborted')
    if (runs.length === 0) throw new PairingError('receiver_left')
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
    const live = [...this.#approved].filter((run) => !run.over)
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
    await this.#courtesy(() => this.#api.closeSession(this.#session))
  }

  #takeView(view: View): void {
    if (view.role !== 'sender') throw new PairingError('relay_misbehaved')
    const rows = new Map(view.receivers.map((row) => [row.channel, row]))
    for (const run of this.#runs.values()) {
      const row = rows.get(run.channelNumber)
      if (!row || !run.matches(row)) run.end(new PairingError('relay_misbehaved'))
      // Whom we refused is over already; this would be the relay's own word.
      else if (row.state === 'denied' || row.state === 'revoked') run.end(new PairingError('relay_misbehaved'))
      else if (row.state === 'left') run.end(new PairingError('receiver_left'))
      else if (row.state === 'done') run.end(new PairingError('not_delivered'))
      else run.setPresence(row.present === true)
    }
    for (const row of rows.values()) {
      const { publicKey } = row
      if (this.#runs.has(row.channel) || row.state !== 'pending' || publicKey === undefined) continue
      if (this.#retired) {
        this.#turnAway(row)
        continue
      }
      const run: SenderRun = new SenderRun(
        { ...row, publicKey },
        {
          code: this.#code,
          sessionId: this.#session.sessionId,
          maxFrameBytes: this.#session.limits.maxFrameBytes,
          connection: this.#connection,
          environment: this.#environment,
          isNewNonce: (nonce) => {
            const known = this.#nonces.size
            return this.#nonces.add(encodeBase64Url(nonce)).size > known
          },
          onWrongGuess: () => this.#countWrongGuess(),
          onVerified: () => {
            this.#verified.push(run)
            this.#requests.push(run)
          },
          admit: () => this.#places.take(),
        },
      )
      this.#runs.set(row.channel, run)
      run.setPresence(row.present === true)
      void this.#pair(run)
    }
    this.#wake()
  }

  /** Tells a device that came too late, once, or it would wait for its m2 until the session ends. */
  #turnAway({ channel, receiverCode }: ReceiverRow): void {
    if (this.#turnedAway.has(channel)) return
    this.#turnedAway.add(channel)
    void this.#refuse(receiverCode, 'rejected')
  }

  async #pair(run: SenderRun): Promise<void> {
    this.#shaking++
    try {
      await run.shakeHands()
    } catch (error) {
      const code = error instanceof PairingError ? error.code : undefined
      if (code === 'wrong_code') this.#countFailure({ ...this.#failed, wrongCode: this.#failed.wrongCode + 1 })
      if (code === 'handshake_timeout') this.#countFailure({ ...this.#failed, timedOut: this.#failed.timedOut + 1 })
      if (code !== 'receiver_left' && !this.#ended) {
        void this.#refuse(run.receiverCode, code === 'handshake_timeout' ? code : 'handshake_failed')
      }
    } finally {
      this.#shaking--
      if (this.#places.usedUp) this.#retire()
      this.#wake()
    }
  }

  #countWrongGuess(): void {
    this.#wrongGuesses++
    if (this.#wrongGuesses >= WRONG_GUESSES_MAX) this.#retire()
  }

  #countFailure(failed: FailedAttempts): void {
    this.#failed = failed
    this.#options.onFailedAttempt?.(failed)
  }

  #requestOf(run: SenderRun): PairingRequest {
    const { receiverCode, name, matchNumber, fingerprint } = run
    return {
      receiverCode,
      name,
      matchNumber,
      fingerprint,
      approve: () => {
        if (this.#verified.length > 1) return Promise.reject(new PairingError('typing_required'))
        return this.#approve(run)
      },
      deny: () => this.#deny(run),
    }
  }

  async #approve(run: SenderRun): Promise<void> {
    const underWay = this.#approvals.get(run)
    if (underWay) return underWay
    if (run.over) throw run.over
    const { receivers = 1 } = this.#options
    if (this.#approvals.size >= receivers) throw new PairingError('session_full')
    const approval = this.#carryApproval(run)
    this.#approvals.set(run, approval)
    await approval
    if (this.#approvals.size >= receivers) this.#retire()
  }

  async #carryApproval(run: SenderRun): Promise<void> {
    try {
      await this.#api.decide(this.#session, run.receiverCode, { decision: 'approved' })
    } catch (error) {
      this.#approvals.delete(run)
      throw pairingErrorOf(error)
    }
    await run.writer.writeJson({ type: 'approved' })
    this.#approved.add(run)
  }

  async #deny(run: SenderRun): Promise<void> {
    this.#retire()
    run.end(new PairingError('aborted'))
    await this.#refuse(run.receiverCode, 'rejected')
  }

  async #deliver(run: SenderRun, work: () => Promise<number>): Promise<Receipt> {
    const { receiverCode, matchNumber } = run
    try {
      // A source that has nothing to give at the moment must not hide that the receiver is gone.
      const bytes = await Promise.race([work(), run.ended])
      await this.#connection.flush()
      return { receiverCode, matchNumber, delivered: true, bytes }
    } catch (error) {
      const ended = run.over ?? this.#ended ?? (error instanceof PairingError ? error : undefined)
      // A message without an end cannot be followed by another: this receiver has to pair again.
      run.end(ended ?? new PairingError('source_failed', { cause: error }))
      if (!this.#ended) await this.#courtesy(() => this.#api.endReceiver(this.#session, receiverCode))
      return { receiverCode, matchNumber, delivered: false, error: run.over ?? new PairingError('aborted') }
    }
  }

  /** No more joins, no more handshakes. Who was verified before may still be approved. */
  #retire(): void {
    if (this.#retired) return
    this.#retired = true
    this.#places.close(new PairingError('session_full'))
    for (const run of this.#runs.values()) if (!run.verified) run.end(new PairingError('session_full'))
    void this.#courtesy(() => this.#api.retireCode(this.#session))
    this.#wake()
  }

  #refuse(receiverCode: string, reason: DenialReason): Promise<void> {
    return this.#courtesy(() => this.#api.decide(this.#session, receiverCode, { decision: 'denied', reason }))
  }

  /** Tells the relay something that our own safety does not rest on. */
  async #courtesy(tell: () => Promise<void>): Promise<void> {
    try {
      await tell()
    } catch (error) {
      if (!(error instanceof RelayRefusal || error instanceof RelayUnreachable)) throw error
    }
  }

  #takeStatus(status: ConnectionStatus): void {
    if (status === 'reconnecting') for (const run of this.#runs.values()) run.setPresence(false)
    this.#options.onStatus?.(status)
  }

  #takeEnd(error: PairingError): void {
    this.#ended = error
    this.#retired = true
    this.#options.signal?.removeEventListener('abort', this.#abort)
    this.#places.close(error)
    for (const run of this.#runs.values()) run.end(error)
    this.#wake()
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

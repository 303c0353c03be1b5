import { HandshakeError, ReceiverHandshake, type VerifiedPeer } from '../../crypto/handshake.ts'
import { type PairingCode, randomReceiverCode } from '../../crypto/pairing-code.ts'
import { SUITE } from '../../crypto/transcript.ts'
import { ERRORS } from '../../protocol/errors.ts'
import { withHeadroom } from '../../protocol/frame.ts'
import { PROFILE_DEFAULT } from '../../protocol/limits.ts'
import type { JoinResponse } from '../../protocol/responses.ts'
import { decodeBase64Url, encodeBase64Url } from '../../protocol/text.ts'
import type { View } from '../../protocol/view.ts'
import { RelayRefusal } from '../calls/http-call.ts'
import { type RelayApi, Tries } from '../calls/relay-api.ts'
import { courtesy, type Environment } from '../environment.ts'
import { errorOfAccident, errorOfRow, KNOWN_TO_RELAY, PairingError } from '../errors.ts'
import type { Channel } from '../link/channel.ts'
import { Connection, type ConnectionStatus } from '../link/connection.ts'
import { HANDSHAKE_STEP_MS, STEP, StepTimeout } from './step-timeout.ts'

/** Tags this device emits for one code, whatever happens in between. */
export const EMITTED_TAGS_MAX = 3

/** Where a device counts the tags it emits for a code, for longer than this process lives. Neither call rejects. */
export interface AttemptStore {
  /** Tags emitted so far for the code with this locator. */
  emitted(locator: string): Promise<number>
  /** Counts one more before it is emitted, and resolves with true, or with false where `max` were emitted. */
  take(locator: string, max: number, expiresInMs: number): Promise<boolean>
}

/** Tags emitted so far, per code. For the life of the process: a new code is the way out. */
const emittedTags = new Map<string, number>()

/** Throws PairingError when no tag may be emitted any more for this code. */
export async function requireTags(code: PairingCode, attempts: AttemptStore | undefined): Promise<void> {
  const emitted = Math.max(emittedTags.get(code.text) ?? 0, (await attempts?.emitted(code.locator)) ?? 0)
  if (emitted >= EMITTED_TAGS_MAX) throw new PairingError('attempts_used_up')
}

export interface ReceiverRunOptions {
  readonly api: RelayApi
  readonly environment: Environment
  readonly code: PairingCode
  readonly app: {
    readonly name?: string | undefined
    readonly patienceMs?: number | undefined
    readonly signal?: AbortSignal | undefined
    readonly onBusy?: ((who: 'relay' | 'sender') => void) | undefined
    readonly onStatus?: ((status: ConnectionStatus) => void) | undefined
    readonly onFallback?: (() => void) | undefined
    readonly onSmallFrames?: ((maxBytes: number) => void) | undefined
    readonly attempts?: AttemptStore | undefined
  }
  /** Called once, when this run is over. */
  readonly onEnd: (run: ReceiverRun, error: PairingError) => void
}

/** A join, with its keys, its connection and its handshake. */
export class ReceiverRun {
  readonly receiverCode: string
  readonly session: JoinResponse
  readonly connection: Connection
  readonly channel: Channel
  readonly peer: Promise<VerifiedPeer>
  readonly #options: ReceiverRunOptions
  readonly #publicKey: string
  #timeout: StepTimeout | undefined
  #bothPresent = false
  /** Reports whether a tag was counted, and may be out. */
  #tagged = false
  #rowEnded = false
  #displaced = false
  #telling: Promise<void> = Promise.resolve()

  /** Enters the code. Throws PairingError. */
  static async join(options: ReceiverRunOptions): Promise<ReceiverRun> {
    const { api, code, environment } = options
    const { name, signal, patienceMs, attempts } = options.app
    await requireTags(code, attempts)
    for (const tries = new Tries(environment, patienceMs); ; ) {
      if (signal?.aborted) throw new PairingError('aborted')
      const receiverCode = randomReceiverCode(environment.random)
      const handshake = new ReceiverHandshake({ code, receiverCode, random: environment.random })
      try {
        const asked = { senderCode: code.locator, receiverCode, publicKey: encodeBase64Url(handshake.publicKey) }
        const session = await api.join(name === undefined ? asked : { ...asked, name })
        return new ReceiverRun(options, session, handshake, receiverCode)
      } catch (error) {
        handshake.wipe()
        if (error instanceof RelayRefusal && error.code === 'session_not_found')
          throw new PairingError('code_not_found', { cause: error })
        await tries.next(error)
      }
    }
  }

  private constructor(
    options: ReceiverRunOptions,
    session: JoinResponse,
    handshake: ReceiverHandshake,
    receiverCode: string,
  ) {
    const { app } = options
    this.#options = options
    this.session = session
    this.receiverCode = receiverCode
    this.#publicKey = encodeBase64Url(handshake.publicKey)
    this.connection = new Connection({
      relayUrl: options.api.url,
      credentials: session,
      expiresInMs: session.expiresInMs,
      windowBytes: session.limits.windowBytes,
      environment: options.environment,
      onView: (view) => this.#takeView(view),
      onStatus: (status) => {
        if (status === 'reconnecting') this.#timeout?.setPresence(false)
        app.onStatus?.(status)
      },
      onFallback: app.onFallback,
      onSmallFrames: app.onSmallFrames,
      onChannelError: (_, error) => this.connection.end(error),
      onBusy: () => {
        if (this.#bothPresent) app.onBusy?.('relay')
      },
      onEnd: (error, closeCode) => this.#takeEnd(error, closeCode),
    })
    this.channel = this.connection.channel(session.channel)
    this.peer = this.#shakeHands(handshake)
    this.peer.catch(() => {})
    this.connection.start()
  }

  /** Reports whether the sender has a connection to the relay, as far as the relay says. */
  get senderPresent(): boolean {
    return this.#bothPresent
  }

  /** Reports whether the relay has forgotten this receiver before m3 went out, which lets somebody test a guess: it may join again. */
  get displaced(): boolean {
    return this.#displaced
  }

  /** Leaves, for a reason. Resolves when the relay knows, or does not answer. Never rejects. */
  async leave(reason = new PairingError('aborted')): Promise<void> {
    await this.connection.flush()
    // First of all here: a relay that does not answer must not keep anybody waiting for this.
    this.connection.end(reason)
    await this.#telling
  }

  async #shakeHands(handshake: ReceiverHandshake): Promise<VerifiedPeer> {
    const { code, environment, app } = this.#options
    try {
      const senderProfile = decodeBase64Url(this.session.profile ?? PROFILE_DEFAULT)
      if (senderProfile[0] !== SUITE) throw new PairingError('unsupported')
      await this.channel.send(withHeadroom(handshake.start(this.session.sessionId, senderProfile)))
      this.#time(new StepTimeout(environment, { presentMs: HANDSHAKE_STEP_MS }, () => app.onBusy?.('sender')))
      const m2 = await this.channel.receive()
      this.#timeout?.stop()
      const m3 = handshake.answerM2(m2)
      // Counted before it is sent, in one turn with the check: runs side by side share the budget.
      const emitted = (emittedTags.get(code.text) ?? 0) + 1
      if (emitted > EMITTED_TAGS_MAX) throw new PairingError('attempts_used_up')
      emittedTags.set(code.text, emitted)
      this.#tagged = true
      const { locator } = code
      const isCounted = await app.attempts?.take(locator, EMITTED_TAGS_MAX, this.session.expiresInMs)
      if (isCounted === false) throw new PairingError('attempts_used_up')
      this.channel.processed()
      await this.channel.send(withHeadroom(m3))
      const timedOut = () => this.connection.end(new PairingError('handshake_timeout'))
      this.#time(new StepTimeout(environment, STEP, timedOut))
      const m4 = await this.channel.receive()
      this.#timeout?.stop()
      const peer = handshake.finish(m4)
      this.channel.processed()
      this.channel.verified()
      return peer
    } catch (error) {
      const failure =
        error instanceof HandshakeError ? new PairingError('wrong_code', { cause: error }) : errorOfAccident(error)
      void this.leave(failure)
      throw failure
    } finally {
      this.#timeout?.stop()
      handshake.wipe()
    }
  }

  #time(timeout: StepTimeout): void {
    this.#timeout = timeout
    timeout.setPresence(this.#bothPresent)
  }

  #takeView(view: View): void {
    const [row, surplus] = view.receivers
    const pinned = row?.receiverCode === this.receiverCode && row.channel === this.session.channel
    const sameKey = row?.publicKey === undefined || row.publicKey === this.#publicKey
    if (view.role !== 'receiver' || surplus || !pinned || !sameKey) throw new PairingError('relay_misbehaved')
    if (row.state === 'approved') this.channel.approved()
    const ended = view.state === 'closed' ? undefined : errorOfRow(row)
    if (ended) {
      this.#rowEnded = true
      this.#displaced = !this.#tagged && (row.state === 'left' || row.state === 'ended')
      return this.connection.end(ended)
    }
    this.#bothPresent = view.senderPresent === true
    this.#timeout?.setPresence(this.#bothPresent)
  }

  #takeEnd(error: PairingError, closeCode: number | undefined): void {
    const { api, environment, onEnd } = this.#options
    this.#timeout?.stop()
    // A relay that has let go of a row knows its token no longer.
    if (closeCode === ERRORS.unauthorized.closeCode) {
      this.#rowEnded = true
      this.#displaced = !this.#tagged
    }
    if (!this.#rowEnded && !KNOWN_TO_RELAY.includes(error.code)) {
      this.#telling = courtesy(environment, api.endReceiver(this.session, this.receiverCode))
    }
    onEnd(this, error)
  }
}

import { HandshakeError, ReceiverHandshake, type VerifiedPeer } from '../../crypto/handshake.ts'
import { type PairingCode, randomReceiverCode } from '../../crypto/pairing-code.ts'
import { ERRORS } from '../../protocol/errors.ts'
import type { JoinResponse } from '../../protocol/responses.ts'
import { encodeBase64Url } from '../../protocol/text.ts'
import type { View } from '../../protocol/view.ts'
import { RelayRefusal } from '../calls/http-call.ts'
import { type RelayApi, Tries } from '../calls/relay-api.ts'
import { courtesy, type Environment } from '../environment.ts'
import { errorOfAccident, errorOfRow, KNOWN_TO_RELAY, PairingError } from '../errors.ts'
import type { Channel } from '../link/channel.ts'
import { Connection } from '../link/connection.ts'
import type { DeviceOptions } from '../options.ts'
import { type AttemptStore, countTag, requireTags } from './emitted-tags.ts'
import { HANDSHAKE_STEP_MS, HandshakeSteps, isOf, type Pinned, profileOf, STEP } from './handshake-steps.ts'

/** Options of a join. */
export interface JoinOptions extends DeviceOptions {
  /** The name that the sender sees beside the match number, unverified. At most 64 bytes. */
  readonly name?: string | undefined
  /** Where this device counts its tries, beyond this process. */
  readonly attempts?: AttemptStore | undefined
  /** Called when the sender, though present, has not answered for 20 s, or the relay has had no room for 5 s. */
  readonly onBusy?: ((who: 'relay' | 'sender') => void) | undefined
}

export interface ReceiverRunOptions {
  readonly code: PairingCode
  readonly api: RelayApi
  readonly environment: Environment
  readonly app: JoinOptions
  /** Called once, when this run is over. */
  readonly onEnd: (run: ReceiverRun, error: PairingError) => void
}

/** The receiver's side: a join with its key and its connection, and one handshake. Code, key and channel are pinned here. */
export class ReceiverRun {
  readonly receiverCode: string
  readonly channel: Channel
  readonly session: JoinResponse
  readonly connection: Connection
  /** Resolves once the handshake has verified the sender. Rejects with what ended the run before. */
  readonly peer: Promise<VerifiedPeer>
  readonly #options: ReceiverRunOptions
  readonly #pinned: Pinned
  readonly #steps: HandshakeSteps
  /** Reports whether a tag was counted, and may be out. */
  #tagged = false
  /** This device's row at the relay. A displaced one is forgotten before m3 went out, which lets somebody test a guess. */
  #row: 'live' | 'ended' | 'displaced' = 'live'
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
    const { api, environment, app } = options
    this.#options = options
    this.receiverCode = receiverCode
    this.session = session
    this.#pinned = { receiverCode, channel: session.channel, publicKey: encodeBase64Url(handshake.publicKey) }
    this.connection = new Connection({
      relayUrl: api.url,
      session,
      environment,
      app,
      onView: (view) => this.#takeView(view),
      onAway: () => this.#steps.setPresence(false),
      onChannelError: (_, error) => this.connection.end(error),
      onBusy: () => {
        if (this.present) app.onBusy?.('relay')
      },
      onEnd: (error, closeCode) => this.#takeEnd(error, closeCode),
    })
    this.channel = this.connection.channel(session.channel)
    this.#steps = new HandshakeSteps(environment, this.channel)
    this.peer = this.#shakeHands(handshake)
    this.peer.catch(() => {})
    this.connection.start()
  }

  /** Reports whether the sender has a connection to the relay, as far as the relay says. */
  get present(): boolean {
    return this.#steps.bothPresent
  }

  /** Reports whether this device may join again: nobody could test a guess. */
  get displaced(): boolean {
    return this.#row === 'displaced'
  }

  async #shakeHands(handshake: ReceiverHandshake): Promise<VerifiedPeer> {
    const { code, app } = this.#options
    const { sessionId, profile, expiresInMs } = this.session
    const timedOut = () => this.connection.end(new PairingError('handshake_timeout'))
    try {
      await this.#steps.send(handshake.start(sessionId, profileOf(profile)))
      const m2 = await this.#steps.receive({ presentMs: HANDSHAKE_STEP_MS }, () => app.onBusy?.('sender'))
      const m3 = handshake.answerM2(m2)
      this.#tagged = true
      await countTag(code, app.attempts, expiresInMs)
      await this.#steps.send(m3)
      const m4 = await this.#steps.receive(STEP, timedOut)
      const peer = handshake.finish(m4)
      this.channel.processed()
      this.channel.verified()
      return peer
    } catch (error) {
      const isWrong = error instanceof HandshakeError
      const ended = isWrong ? new PairingError('wrong_code', { cause: error }) : errorOfAccident(error)
      void this.leave(ended)
      throw ended
    } finally {
      this.#steps.stop()
      handshake.wipe()
    }
  }

  /** Leaves, for a reason. Resolves when the relay knows, or does not answer. Never rejects. */
  async leave(reason = new PairingError('aborted')): Promise<void> {
    await this.connection.flush()
    // First of all here: a relay that does not answer must not keep anybody waiting for this.
    this.connection.end(reason)
    await this.#telling
  }

  #takeView(view: View): void {
    const [row, surplus] = view.receivers
    if (view.role !== 'receiver' || surplus || !row || !isOf(this.#pinned, row))
      throw new PairingError('relay_misbehaved')
    if (row.state === 'approved') this.channel.approved()
    const ended = view.state === 'closed' ? undefined : errorOfRow(row)
    if (ended) {
      this.#endRow(row.state === 'left' || row.state === 'ended')
      return this.connection.end(ended)
    }
    this.#steps.setPresence(view.senderPresent === true)
  }

  #takeEnd(error: PairingError, closeCode: number | undefined): void {
    const { api, environment, onEnd } = this.#options
    this.#steps.stop()
    // A relay that has let go of a row knows its token no longer.
    if (closeCode === ERRORS.unauthorized.closeCode) this.#endRow(true)
    if (this.#row === 'live' && !KNOWN_TO_RELAY.includes(error.code)) {
      this.#telling = courtesy(environment, api.endReceiver(this.session, this.receiverCode))
    }
    onEnd(this, error)
  }

  #endRow(forgotten: boolean): void {
    this.#row = forgotten && !this.#tagged ? 'displaced' : 'ended'
  }
}

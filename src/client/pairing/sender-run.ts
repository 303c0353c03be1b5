import { HandshakeError, SenderHandshake, type VerifiedPeer } from '../../crypto/handshake.ts'
import type { PairingCode } from '../../crypto/pairing-code.ts'
import { SUITE } from '../../crypto/transcript.ts'
import { withHeadroom } from '../../protocol/frame.ts'
import { PROFILE_DEFAULT } from '../../protocol/limits.ts'
import { decodeBase64Url } from '../../protocol/text.ts'
import type { ReceiverRow } from '../../protocol/view.ts'
import type { Environment } from '../environment.ts'
import { errorOfAccident, PairingError } from '../errors.ts'
import type { Channel } from '../link/channel.ts'
import type { Connection } from '../link/connection.ts'
import { MessageReader, MessageWriter } from '../transfer/messages.ts'
import { STEP, StepTimeout } from './step-timeout.ts'

/** n_R, the first field of m1. */
const NONCE_BYTES = 32

export interface SenderRunOptions {
  readonly code: PairingCode
  readonly sessionId: string
  readonly maxFrameBytes: number
  readonly connection: Connection
  readonly environment: Environment
  /** Reports whether no other run of the session had this n_R. */
  readonly isNewNonce: (nonce: Uint8Array) => boolean
  /** Called in the turn in which a wrong tag was found, before any other is looked at. */
  readonly onWrongGuess: () => void
  /** Called before m4 opens our nonce: from then on this receiver is a row that somebody sees, whatever happens to it. */
  readonly onVerified: () => void
}

/** The sender's side of one receiver: one handshake, then the messages to it. Key, code and channel are pinned here. */
export class SenderRun {
  readonly receiverCode: string
  readonly channel: Channel
  readonly name: string | undefined
  /** Resolves with what ends the run, for whoever waits on something else than its channel. */
  readonly ended: Promise<PairingError>
  /** Reports whether the relay has taken the approval. */
  approved = false
  readonly #publicKey: string
  readonly #profile: string
  readonly #options: SenderRunOptions
  #timeout: StepTimeout | undefined
  #bothPresent = false
  #over: PairingError | undefined
  #guessSpent = false
  #peer: VerifiedPeer | undefined
  #writer: MessageWriter | undefined
  #reader: MessageReader | undefined
  #announceEnd: (error: PairingError) => void = () => {}

  constructor(row: ReceiverRow & { readonly publicKey: string }, options: SenderRunOptions) {
    this.receiverCode = row.receiverCode
    this.name = row.name
    this.#publicKey = row.publicKey
    this.#profile = row.profile ?? PROFILE_DEFAULT
    this.#options = options
    this.channel = options.connection.channel(row.channel)
    this.ended = new Promise((resolve) => {
      this.#announceEnd = resolve
    })
  }

  /** Reports whether the handshake has verified the receiver. */
  get verified(): boolean {
    return this.#peer !== undefined
  }

  /** Reports whether the receiver spent a guess at the code, a right one or a wrong one. */
  get guessSpent(): boolean {
    return this.#guessSpent
  }

  get over(): PairingError | undefined {
    return this.#over
  }

  get present(): boolean {
    return this.#bothPresent
  }

  /** Six digits. Only a verified receiver has them. */
  get matchNumber(): string {
    return this.#requirePeer().matchNumber
  }

  get fingerprint(): string {
    return this.#requirePeer().fingerprint
  }

  get writer(): MessageWriter {
    // Its keys are zeros once the run has ended: nothing may be sealed with them.
    this.#requireAlive()
    const { maxFrameBytes } = this.#options
    this.#writer ??= new MessageWriter(this.channel, this.#requirePeer().sendKey, maxFrameBytes)
    return this.#writer
  }

  get reader(): MessageReader {
    this.#requireAlive()
    this.#reader ??= new MessageReader(this.channel, this.#requirePeer().receiveKey)
    return this.#reader
  }

  /** Reports whether a later row of the view is still about the receiver that was seen first. */
  matches(row: ReceiverRow): boolean {
    const sameKey = row.publicKey === undefined || row.publicKey === this.#publicKey
    const sameProfile = row.publicKey === undefined || (row.profile ?? PROFILE_DEFAULT) === this.#profile
    const samePlace = row.receiverCode === this.receiverCode && row.channel === this.channel.number
    return samePlace && sameKey && sameProfile
  }

  setPresence(bothPresent: boolean): void {
    this.#bothPresent = bothPresent
    this.#timeout?.setPresence(bothPresent)
  }

  /**
   * Carries the handshake to its end. Throws PairingError `wrong_code` for a wrong guess, `peer_misbehaved`,
   * `handshake_timeout`, `unsupported`, or whatever `end` was given; the run is over then and its state wiped.
   */
  async shakeHands(): Promise<void> {
    const { code, sessionId, environment, onWrongGuess, onVerified, isNewNonce } = this.#options
    let handshake: SenderHandshake | undefined
    try {
      const receiverProfile = decodeBase64Url(this.#profile)
      if (receiverProfile[0] !== SUITE) throw new PairingError('unsupported')
      handshake = new SenderHandshake({
        code,
        sessionId,
        receiverCode: this.receiverCode,
        receiverPublicKey: decodeBase64Url(this.#publicKey),
        receiverProfile,
        random: environment.random,
      })
      const m1 = await this.#receiveInTime()
      if (!isNewNonce(m1.subarray(0, NONCE_BYTES))) throw new HandshakeError()
      const m2 = handshake.answerM1(m1)
      this.channel.processed()
      await this.channel.send(withHeadroom(m2))
      const m3 = await this.#receiveInTime()
      // Again, in the very turn: another run may just have spent the last guess.
      this.#requireAlive()
      const { m4, peer } = handshake.answerM3(m3)
      this.#guessSpent = true
      this.#peer = peer
      onVerified()
      this.channel.processed()
      await this.channel.send(withHeadroom(m4))
    } catch (error) {
      let ended = errorOfAccident(error)
      if (error instanceof HandshakeError) {
        this.#guessSpent = error.guessSpent
        if (error.guessSpent) onWrongGuess()
        ended = new PairingError(error.guessSpent ? 'wrong_code' : 'peer_misbehaved', { cause: error })
      }
      this.end(ended)
      throw ended
    } finally {
      this.#timeout?.stop()
      handshake?.wipe()
    }
  }

  /** Ends the run: whatever waits on its channel throws `error`, and its keys are wiped. */
  end(error: PairingError): void {
    if (this.#over) return
    this.#over = error
    this.#timeout?.stop()
    this.#options.connection.drop(this.channel.number, error)
    this.#writer?.wipe()
    this.#reader?.wipe()
    this.#peer?.sendKey.fill(0)
    this.#peer?.receiveKey.fill(0)
    this.#announceEnd(error)
  }

  async #receiveInTime(): Promise<Uint8Array> {
    this.#timeout = new StepTimeout(this.#options.environment, STEP, () =>
      this.end(new PairingError('handshake_timeout')),
    )
    this.#timeout.setPresence(this.#bothPresent)
    const frame = await this.channel.receive()
    this.#timeout.stop()
    this.#requireAlive()
    return frame
  }

  #requireAlive(): void {
    if (this.#over) throw this.#over
  }

  #requirePeer(): VerifiedPeer {
    if (!this.#peer) throw new Error('the receiver is not verified')
    return this.#peer
  }
}

import { HandshakeError, SenderHandshake, type VerifiedPeer, wipeKeys } from '../../crypto/handshake.ts'
import type { PairingCode } from '../../crypto/pairing-code.ts'
import { PROFILE_DEFAULT } from '../../protocol/limits.ts'
import { decodeBase64Url } from '../../protocol/text.ts'
import type { ReceiverRow } from '../../protocol/view.ts'
import type { Environment } from '../environment.ts'
import { errorOfAccident, PairingError } from '../errors.ts'
import type { Channel } from '../link/channel.ts'
import type { Connection } from '../link/connection.ts'
import { type DeviceParts, PairedDevice } from '../paired-device.ts'
import { HandshakeSteps, isOf, type Pinned, profileOf, STEP } from './handshake-steps.ts'

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

/** The sender's side of one receiver: one handshake, then the device. Key, code and channel are pinned here. */
export class SenderRun {
  readonly receiverCode: string
  readonly channel: Channel
  readonly name: string | undefined
  /** Resolves with what ends the run, for whoever waits on something else than its channel. */
  readonly ended: Promise<PairingError>
  readonly #options: SenderRunOptions
  readonly #row: ReceiverRow & Pinned
  readonly #steps: HandshakeSteps
  /** How far the receiver came. It stays, whatever ends the run. */
  #state: 'handshake' | 'wrong_guess' | 'verified' | 'approved' = 'handshake'
  #over: PairingError | undefined
  #peer: VerifiedPeer | undefined
  #device: PairedDevice | undefined
  #announceEnd: (error: PairingError) => void = () => {}

  constructor(row: ReceiverRow & Pinned, options: SenderRunOptions) {
    this.#options = options
    this.receiverCode = row.receiverCode
    this.name = row.name
    this.#row = row
    this.channel = options.connection.channel(row.channel)
    this.#steps = new HandshakeSteps(options.environment, this.channel)
    this.ended = new Promise((resolve) => {
      this.#announceEnd = resolve
    })
  }

  /** Reports whether both devices have a connection to the relay, as far as the relay says. */
  get present(): boolean {
    return this.#steps.bothPresent
  }

  /** Reports whether the receiver spent a guess at the code, a right one or a wrong one. */
  get guessSpent(): boolean {
    return this.#state !== 'handshake'
  }

  /** Reports whether the handshake has verified the receiver. */
  get verified(): boolean {
    return this.#peer !== undefined
  }

  /** Reports whether the relay has taken the approval. */
  get approved(): boolean {
    return this.#state === 'approved'
  }

  get over(): PairingError | undefined {
    return this.#over
  }

  /** The receiver, once it is verified. */
  get peer(): VerifiedPeer {
    if (!this.#peer) throw new Error('the receiver is not verified')
    return this.#peer
  }

  /** The device, once it is approved. */
  get device(): PairedDevice | undefined {
    return this.#device
  }

  /** Begins to talk to the device that was approved. The keys of the handshake go to it. */
  pair({ takes, name, leave }: Pick<DeviceParts, 'takes' | 'name' | 'leave'>): PairedDevice {
    this.#requireAlive()
    const { maxFrameBytes, environment } = this.#options
    const { channel, peer } = this
    channel.verified()
    channel.approved()
    this.#device = new PairedDevice({
      channel,
      peer,
      maxFrameBytes,
      environment,
      speaksFirst: true,
      takes,
      name,
      isPresent: () => this.present,
      leave,
    })
    return this.#device
  }

  /** The relay has taken the approval. */
  takeApproval(): void {
    this.#state = 'approved'
  }

  /** Reports whether a later row of the view is still about the receiver that was seen first. */
  matches(row: ReceiverRow): boolean {
    const { profile = PROFILE_DEFAULT } = this.#row
    const sameProfile = row.publicKey === undefined || (row.profile ?? PROFILE_DEFAULT) === profile
    return isOf(this.#row, row) && sameProfile
  }

  setPresence(bothPresent: boolean): void {
    this.#steps.setPresence(bothPresent)
  }

  /**
   * Carries the handshake to its end. Throws PairingError `wrong_code` for a wrong guess, `peer_misbehaved`,
   * `handshake_timeout`, `unsupported`, or whatever `end` was given; the run is over then and its state wiped.
   */
  async shakeHands(): Promise<void> {
    const { code, sessionId, environment, onWrongGuess, onVerified, isNewNonce } = this.#options
    const timedOut = () => this.end(new PairingError('handshake_timeout'))
    let handshake: SenderHandshake | undefined
    try {
      handshake = new SenderHandshake({
        code,
        sessionId,
        receiverCode: this.receiverCode,
        receiverPublicKey: decodeBase64Url(this.#row.publicKey),
        receiverProfile: profileOf(this.#row.profile),
        random: environment.random,
      })
      const m1 = await this.#steps.receive(STEP, timedOut)
      this.#requireAlive()
      if (!isNewNonce(m1.subarray(0, NONCE_BYTES))) throw new HandshakeError()
      await this.#steps.send(handshake.answerM1(m1))
      const m3 = await this.#steps.receive(STEP, timedOut)
      // In one turn with the look at m3: another run may just have spent the last guess.
      this.#requireAlive()
      const { m4, peer } = handshake.answerM3(m3)
      this.#state = 'verified'
      this.#peer = peer
      onVerified()
      await this.#steps.send(m4)
    } catch (error) {
      let ended = errorOfAccident(error)
      if (error instanceof HandshakeError) {
        if (error.guessSpent) {
          this.#state = 'wrong_guess'
          onWrongGuess()
        }
        ended = new PairingError(error.guessSpent ? 'wrong_code' : 'peer_misbehaved', { cause: error })
      }
      this.end(ended)
      throw ended
    } finally {
      this.#steps.stop()
      handshake?.wipe()
    }
  }

  /** Ends the run: whatever waits on its channel throws `error`, and its keys are wiped. */
  end(error: PairingError): void {
    if (this.#over) return
    this.#over = error
    this.#steps.stop()
    this.#options.connection.drop(this.channel.number, error)
    if (this.#device) void this.#device.end(error)
    else if (this.#peer) wipeKeys(this.#peer)
    this.#announceEnd(error)
  }

  #requireAlive(): void {
    if (this.#over) throw this.#over
  }
}

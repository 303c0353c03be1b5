import { HandshakeError, SenderHandshake, type VerifiedPeer } from '../crypto/handshake.ts'
import type { PairingCode } from '../crypto/pairing-code.ts'
import { decodeBase64Url } from '../protocol/codec.ts'
import type { ReceiverRow } from '../protocol/frames.ts'
import { FRAME_HEADER_BYTES } from '../protocol/limits.ts'
import type { Channel } from './channel.ts'
import type { Connection } from './connection.ts'
import { type Environment, PausableTimeout } from './environment.ts'
import { PairingError } from './errors.ts'
import { MessageReader, MessageWriter } from './messages.ts'

/** How long each step of a handshake may take, while both devices are present. */
export const HANDSHAKE_STEP_MS = 20_000

/** n_R, the first field of m1. */
const NONCE_BYTES = 32

export interface SenderRunOptions {
  readonly code: PairingCode
  readonly sessionId: string
  readonly maxFrameBytes: number
  readonly connection: Connection
  readonly environment: Environment
  /** Whether no other run of the session had this n_R. */
  readonly isNewNonce: (nonce: Uint8Array) => boolean
  /** Called in the turn in which a wrong tag was found, before any other is looked at. */
  readonly onWrongGuess: () => void
  /** Called before m4 opens our nonce: from then on this receiver is a row that somebody sees, whatever happens to it. */
  readonly onVerified: () => void
  /** Resolves when this run may answer its m1; the function that comes back frees the place. Throws when no run may any more. */
  readonly admit: () => Promise<() => void>
}

/** The sender's side of one receiver: one handshake, then the messages to it. Key, code and channel are pinned here. */
export class SenderRun {
  readonly receiverCode: string
  readonly channelNumber: number
  readonly name: string | undefined
  /** Resolves with what ends the run, for whoever waits on something else than its channel. */
  readonly ended: Promise<PairingError>
  readonly #publicKey: string
  readonly #options: SenderRunOptions
  readonly #channel: Channel
  #timeout: PausableTimeout | undefined
  #bothPresent = false
  #over: PairingError | undefined
  #peer: VerifiedPeer | undefined
  #writer: MessageWriter | undefined
  #reader: MessageReader | undefined
  #announceEnd: (error: PairingError) => void = () => {}

  constructor(row: ReceiverRow & { readonly publicKey: string }, options: SenderRunOptions) {
    this.receiverCode = row.receiverCode
    this.channelNumber = row.channel
    this.name = row.name
    this.#publicKey = row.publicKey
    this.#options = options
    this.#channel = options.connection.channel(row.channel)
    this.ended = new Promise((resolve) => {
      this.#announceEnd = resolve
    })
  }

  /** Whether the handshake has verified the receiver. */
  get verified(): boolean {
    return this.#peer !== undefined
  }

  get over(): PairingError | undefined {
    return this.#over
  }

  get present(): boolean {
    return this.#bothPresent
  }

  get channel(): Channel {
    return this.#channel
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
    this.#writer ??= new MessageWriter(this.#channel, this.#requirePeer().sendKey, maxFrameBytes)
    return this.#writer
  }

  get reader(): MessageReader {
    this.#requireAlive()
    this.#reader ??= new MessageReader(this.#channel, this.#requirePeer().receiveKey)
    return this.#reader
  }

  /** Whether a later row of the view is still about the receiver that was seen first. */
  matches(row: ReceiverRow): boolean {
    const sameKey = row.publicKey === undefined || row.publicKey === this.#publicKey
    return row.receiverCode === this.receiverCode && sameKey
  }

  setPresence(bothPresent: boolean): void {
    this.#bothPresent = bothPresent
    if (bothPresent) this.#timeout?.run()
    else this.#timeout?.pause()
  }

  /**
   * Carries the handshake to its end. Throws PairingError `wrong_code`, `handshake_timeout`, or whatever `end` was given;
   * the run is over then and its state wiped.
   */
  async shakeHands(): Promise<void> {
    const { code, sessionId, environment, onWrongGuess, onVerified, isNewNonce, admit } = this.#options
    let handshake: SenderHandshake | undefined
    let leave: (() => void) | undefined
    try {
      handshake = new SenderHandshake({
        code,
        sessionId,
        receiverCode: this.receiverCode,
        receiverPublicKey: decodeBase64Url(this.#publicKey),
        random: environment.random,
      })
      const m1 = await this.#receiveInTime()
      leave = await admit()
      this.#requireAlive()
      if (!isNewNonce(m1.subarray(0, NONCE_BYTES))) throw new HandshakeError()
      const m2 = handshake.answerM1(m1)
      this.#channel.processed()
      await this.#channel.send(withHeadroom(m2))
      const m3 = await this.#receiveInTime()
      // Again, in the very turn: another run may just have spent the last guess.
      this.#requireAlive()
      const { m4, peer } = handshake.answerM3(m3)
      this.#peer = peer
      onVerified()
      this.#channel.processed()
      await this.#channel.send(withHeadroom(m4))
    } catch (error) {
      const wrong = error instanceof HandshakeError
      if (wrong && error.guessSpent) onWrongGuess()
      const ended = wrong ? new PairingError('wrong_code', { cause: error }) : error
      this.end(ended instanceof PairingError ? ended : new PairingError('relay_misbehaved', { cause: error }))
      throw ended
    } finally {
      this.#timeout?.stop()
      leave?.()
      handshake?.wipe()
    }
  }

  /** Ends the run: whatever waits on its channel throws `error`, and its keys are wiped. */
  end(error: PairingError): void {
    if (this.#over) return
    this.#over = error
    this.#timeout?.stop()
    this.#options.connection.drop(this.channelNumber, error)
    this.#writer?.wipe()
    this.#reader?.wipe()
    this.#peer?.sendKey.fill(0)
    this.#peer?.receiveKey.fill(0)
    this.#announceEnd(error)
  }

  async #receiveInTime(): Promise<Uint8Array> {
    const { environment } = this.#options
    this.#timeout = new PausableTimeout(environment, HANDSHAKE_STEP_MS, () =>
      this.end(new PairingError('handshake_timeout')),
    )
    if (this.#bothPresent) this.#timeout.run()
    const frame = await this.#channel.receive()
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

/** A handshake message as a frame with room for its header. */
export function withHeadroom(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + message.length)
  bytes.set(message, FRAME_HEADER_BYTES)
  return bytes
}

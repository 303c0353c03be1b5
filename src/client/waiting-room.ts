import type { PairingCode } from '../crypto/pairing-code.ts'
import { encodeBase64Url } from '../protocol/codec.ts'
import type { ReceiverRow, View } from '../protocol/frames.ts'
import type { CreateSessionResponse, DenialReason } from '../protocol/http.ts'
import type { Connection } from './connection.ts'
import type { Environment } from './environment.ts'
import { PairingError } from './errors.ts'
import { Places } from './places.ts'
import { courtesy, type RelayApi } from './relay-api.ts'
import { SenderRun } from './sender-run.ts'

/** The budgets of one code at the sender. */
export const WRONG_GUESSES_MAX = 5
export const HANDSHAKES_MAX = 32
export const HANDSHAKES_AT_ONCE = 4
export interface FailedAttempts {
  readonly wrongCode: number
  readonly timedOut: number
}

export interface WaitingRoomOptions {
  readonly code: PairingCode
  readonly api: RelayApi
  readonly session: CreateSessionResponse
  readonly connection: Connection
  readonly environment: Environment
  readonly onFailedAttempt: ((failed: FailedAttempts) => void) | undefined
  /** Called after every change of what can be read here. */
  readonly onChange: () => void
}

/** Everyone who entered the sender's code: a handshake with each, within the budgets of the code, until it is retired. */
export class WaitingRoom {
  readonly #options: WaitingRoomOptions
  readonly #places = new Places(HANDSHAKES_AT_ONCE, HANDSHAKES_MAX)
  readonly #nonces = new Set<string>()
  readonly #runs = new Map<number, SenderRun>()
  readonly #turnedAway = new Set<number>()
  readonly #verified: SenderRun[] = []
  readonly #unseen: SenderRun[] = []
  #failed: FailedAttempts = { wrongCode: 0, timedOut: 0 }
  #wrongGuesses = 0
  #shaking = 0
  #retired = false
  #ended = false

  constructor(options: WaitingRoomOptions) {
    this.#options = options
  }

  /** Verified receivers, in order. None ever leaves: a code that two devices know stays one that two devices know. */
  get verified(): readonly SenderRun[] {
    return this.#verified
  }

  get failedAttempts(): FailedAttempts {
    return this.#failed
  }

  /** Whether nobody can become verified any more. */
  get settled(): boolean {
    return this.#retired && this.#shaking === 0
  }

  /** The next verified receiver that was not asked for yet, even one that has left by now. */
  next(): SenderRun | undefined {
    return this.#unseen.shift()
  }

  /** Brings everyone here in line with the relay's view. Throws PairingError `relay_misbehaved`. */
  takeView(view: View): void {
    if (view.role !== 'sender') throw new PairingError('relay_misbehaved')
    const { code, session, connection, environment } = this.#options
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
          code,
          sessionId: session.sessionId,
          maxFrameBytes: session.limits.maxFrameBytes,
          connection,
          environment,
          isNewNonce: (nonce) => {
            const known = this.#nonces.size
            return this.#nonces.add(encodeBase64Url(nonce)).size > known
          },
          onWrongGuess: () => this.#countWrongGuess(),
          onVerified: () => {
            this.#verified.push(run)
            this.#unseen.push(run)
          },
          admit: () => this.#places.take(),
        },
      )
      this.#runs.set(row.channel, run)
      run.setPresence(row.present === true)
      void this.#pair(run)
    }
    this.#options.onChange()
  }

  /** Tells a device that came too late, once, or it would wait for its m2 until the session ends. */
  #turnAway({ channel, receiverCode }: ReceiverRow): void {
    if (this.#turnedAway.has(channel)) return
    this.#turnedAway.add(channel)
    void this.refuse(receiverCode, 'rejected')
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
        void this.refuse(run.receiverCode, code === 'handshake_timeout' ? code : 'handshake_failed')
      }
    } finally {
      this.#shaking--
      if (this.#places.usedUp) this.retire()
      this.#options.onChange()
    }
  }

  #countWrongGuess(): void {
    this.#wrongGuesses++
    if (this.#wrongGuesses >= WRONG_GUESSES_MAX) this.retire()
  }

  #countFailure(failed: FailedAttempts): void {
    this.#failed = failed
    this.#options.onFailedAttempt?.(failed)
  }

  /** No more joins, no more handshakes. Who was verified before may still be approved. */
  retire(): void {
    if (this.#retired) return
    this.#retired = true
    this.#places.close(new PairingError('session_full'))
    for (const run of this.#runs.values()) if (!run.verified) run.end(new PairingError('session_full'))
    const { api, session } = this.#options
    void courtesy(api.retireCode(session))
    this.#options.onChange()
  }

  /** Denies a receiver at the relay, which is a courtesy: its run is over here. */
  refuse(receiverCode: string, reason: DenialReason): Promise<void> {
    const { api, session } = this.#options
    return courtesy(api.decide(session, receiverCode, { decision: 'denied', reason }))
  }

  /** Pauses the time-outs: our own side is not there. */
  absent(): void {
    for (const run of this.#runs.values()) run.setPresence(false)
  }

  /** The session has ended, for everyone here. */
  end(error: PairingError): void {
    this.#ended = true
    this.#retired = true
    this.#places.close(error)
    for (const run of this.#runs.values()) run.end(error)
    this.#options.onChange()
  }
}

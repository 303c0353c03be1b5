import type { PairingCode } from '../../crypto/pairing-code.ts'
import type { DenialReason } from '../../protocol/fields.ts'
import { PENDING_MAX } from '../../protocol/limits.ts'
import type { CreateSessionResponse } from '../../protocol/responses.ts'
import type { ReceiverRow, View } from '../../protocol/view.ts'
import type { RelayApi } from '../calls/relay-api.ts'
import { courtesy, type Environment } from '../environment.ts'
import { errorOfAccident, PairingError, type PairingErrorCode } from '../errors.ts'
import type { Connection } from '../link/connection.ts'
import { HandshakeSlots } from './handshake-slots.ts'
import { SenderRun } from './sender-run.ts'

/** How many devices failed: with a wrong code, without an answer in time, by breaking the handshake before any guess. */
export interface FailedAttempts {
  /** Devices with a wrong code, each a spent guess. */
  readonly wrongCode: number
  /** Devices that did not answer in time. */
  readonly timedOut: number
  /** Devices that broke the handshake before any guess. */
  readonly invalid: number
}

/** A sender's session. */
export interface SenderSession {
  readonly api: RelayApi
  readonly session: CreateSessionResponse
  readonly connection: Connection
  readonly environment: Environment
}

/** Calls to an app about those who enter its code. */
export interface WaitingListeners {
  /** Called when a device failed the handshake, with how many failed so far, and how. */
  readonly onFailedAttempt?: ((failed: FailedAttempts) => void) | undefined
  /** Called when there are more or fewer devices that have proved nothing yet. */
  readonly onWaiting?: ((waiting: { unproven: number }) => void) | undefined
  /** Called once, when the relay takes no more devices although this side has not said so: others used the code up. */
  readonly onUsedUp?: (() => void) | undefined
}

export interface WaitingRoomOptions extends SenderSession {
  readonly code: PairingCode
  readonly app: WaitingListeners
  /** Reports whether the approvals asked for are as many as the relay allows: then it retires the code by itself. */
  readonly isFull: () => boolean
  /** Called after every change of what can be read here. */
  readonly onChange: () => void
}

/** Failures, as the relay is told and as they are counted here. */
const FAILURES: Partial<Record<PairingErrorCode, [DenialReason, (keyof FailedAttempts)?]>> = {
  wrong_code: ['handshake_failed', 'wrongCode'],
  peer_misbehaved: ['handshake_invalid', 'invalid'],
  handshake_timeout: ['handshake_timeout', 'timedOut'],
  unsupported: ['unsupported'],
}

/** Everyone who entered the sender's code: a handshake with each, within the budgets of the code, until it is retired. */
export class WaitingRoom {
  readonly #options: WaitingRoomOptions
  readonly #slots = new HandshakeSlots()
  /** Those whose rows are live, by channel. */
  readonly #runs = new Map<number, SenderRun>()
  readonly #verified: SenderRun[] = []
  readonly #unseen: SenderRun[] = []
  /** The last channel seen. A relay gives each number once, in their order. */
  #lastChannel = 0
  #failed: FailedAttempts = { wrongCode: 0, timedOut: 0, invalid: 0 }
  #toldUnproven = 0
  /** The code takes devices; others used it up, this side retired it, or the session is over. */
  #code: 'open' | 'used_up' | 'retired' | 'ended' = 'open'
  #expired = false
  /** Refusals go one after the other: however many there are, one call is under way. */
  #refusals: Promise<void> = Promise.resolve()

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

  /** Devices that have entered the locator and proved nothing yet. */
  get unproven(): number {
    return [...this.#runs.values()].filter((run) => !run.verified && !run.over).length
  }

  /** Reports whether more than one device may know the code, as far as can be told now. */
  get typingRequired(): boolean {
    const { wrongCode, timedOut, invalid } = this.#failed
    return this.#verified.length > 1 || wrongCode + timedOut + invalid > 0 || this.unproven > 0
  }

  /** Reports whether the relay takes no more devices, and not because of this side. */
  get usedUp(): boolean {
    return this.#code === 'used_up'
  }

  /** Reports whether the code's time was over before it was retired. */
  get expired(): boolean {
    return this.#expired
  }

  /** Reports whether nobody can become verified any more. */
  get settled(): boolean {
    return this.#code !== 'open' && !this.#slots.busy
  }

  /** The next verified receiver that was not asked for yet, even one that has left by now. */
  next(): SenderRun | undefined {
    return this.#unseen.shift()
  }

  /** Brings everyone here in line with the relay's view. Throws PairingError `relay_misbehaved`. */
  takeView(view: View): void {
    const rows = new Map(view.receivers.map((row) => [row.channel, row]))
    const pending = view.receivers.filter(({ state }) => state === 'pending')
    if (view.role !== 'sender' || rows.size < view.receivers.length || pending.length > PENDING_MAX) {
      throw new PairingError('relay_misbehaved')
    }
    for (const [channel, run] of this.#runs) {
      const row = view.receivers.find((each) => each.channel === channel || each.receiverCode === run.receiverCode)
      if (row && !run.matches(row)) throw new PairingError('relay_misbehaved')
      if (row?.state === 'pending' || row?.state === 'approved') run.setPresence(row.present === true)
      else {
        run.end(run.over ?? endOf(run, row))
        this.#runs.delete(channel)
      }
    }
    for (const row of pending) if (row.channel > this.#lastChannel) this.#meet(row)
    // A place that a pending receiver gives back would make it joinable again.
    const isUsedUp = !view.joinable && view.state === 'open' && pending.length === 0
    if (isUsedUp && !this.#options.isFull()) this.#takeUsedUp()
    this.#changed()
  }

  #meet(row: ReceiverRow): void {
    const { publicKey } = row
    this.#lastChannel = row.channel
    if (publicKey === undefined) throw new PairingError('relay_misbehaved')
    if (!this.#slots.see()) return this.#takeUsedUp()
    // Without a word it would wait for its m2 until the session ends.
    if (this.#code === 'retired' || this.#slots.usedUp) {
      void this.refuse(row.receiverCode, 'rejected')
      return
    }
    const { code, session, connection, environment } = this.#options
    const run: SenderRun = new SenderRun(
      { ...row, publicKey },
      {
        code,
        sessionId: session.sessionId,
        maxFrameBytes: session.limits.maxFrameBytes,
        connection,
        environment,
        isNewNonce: (nonce) => this.#slots.isNewNonce(nonce),
        onWrongGuess: () => {
          this.#slots.countWrongGuess()
          if (this.#slots.usedUp) this.retire()
        },
        onVerified: () => {
          this.#verified.push(run)
          this.#unseen.push(run)
        },
      },
    )
    this.#runs.set(row.channel, run)
    run.setPresence(row.present === true)
    this.#pair(run).catch((error) => connection.crash(error))
  }

  async #pair(run: SenderRun): Promise<void> {
    this.#slots.take()
    try {
      await run.shakeHands()
    } catch (error) {
      const ended = errorOfAccident(error)
      const failure = FAILURES[ended.code]?.[1]
      if (failure && !run.verified) {
        this.#failed = { ...this.#failed, [failure]: this.#failed[failure] + 1 }
        this.#options.app.onFailedAttempt?.(this.#failed)
      }
      void this.dismiss(run, ended)
    } finally {
      this.#slots.end(run.guessSpent)
      if (this.#slots.usedUp) this.retire()
      this.#changed()
    }
  }

  /** A channel has ended for what came on it. */
  takeChannelError(channel: number, error: PairingError): void {
    const run = this.#runs.get(channel)
    // Before it is verified, its handshake sees the error by itself.
    if (run?.verified) void this.dismiss(run, error)
    this.#changed()
  }

  #takeUsedUp(): void {
    if (this.#code !== 'open') return
    this.#code = 'used_up'
    this.#options.app.onUsedUp?.()
  }

  #changed(): void {
    const { unproven } = this
    if (unproven !== this.#toldUnproven) {
      this.#toldUnproven = unproven
      this.#options.app.onWaiting?.({ unproven })
    }
    this.#options.onChange()
  }

  /** No more joins, no more handshakes. Who was verified before may still be approved. */
  retire(): void {
    if (this.#code === 'retired' || this.#code === 'ended') return
    this.#code = 'retired'
    for (const run of this.#runs.values()) if (!run.verified) run.end(new PairingError('session_full'))
    const { api, session, environment } = this.#options
    void courtesy(environment, api.retireCode(session))
    this.#changed()
  }

  /** The time of the code is over. Who was verified before may still be approved. */
  expire(): void {
    this.#expired = this.#code === 'open'
    this.retire()
  }

  /** Ends a run and tells the relay, unless the receiver has ended by itself. Never rejects. */
  async dismiss(run: SenderRun, error: PairingError): Promise<void> {
    run.end(error)
    if (this.#code === 'ended' || error.code === 'receiver_left') return
    const { api, session, environment } = this.#options
    if (run.approved) return courtesy(environment, api.endReceiver(session, run.receiverCode))
    return courtesy(environment, this.refuse(run.receiverCode, FAILURES[error.code]?.[0] ?? 'rejected'))
  }

  /** Denies a receiver at the relay, which is a courtesy: its run is over here. Never rejects. */
  refuse(receiverCode: string, reason: DenialReason): Promise<void> {
    const { api, session } = this.#options
    this.#refusals = this.#refusals
      .then(() =>
        this.#code === 'ended' ? undefined : api.decide(session, receiverCode, { decision: 'denied', reason }),
      )
      .catch(() => {})
    return this.#refusals
  }

  /** Pauses the time-outs: our own side is not there. */
  absent(): void {
    for (const run of this.#runs.values()) run.setPresence(false)
  }

  /** The session has ended, for everyone here. */
  end(error: PairingError): void {
    this.#code = 'ended'
    for (const run of this.#runs.values()) run.end(error)
    this.#runs.clear()
    this.#changed()
  }
}

/**
 * How a row that is not live any more, or gone, ends its run. Rows of pending receivers go when there are many. Throws
 * PairingError `relay_misbehaved` for an end that only this side could have brought about.
 */
function endOf(run: SenderRun, row: ReceiverRow | undefined): PairingError {
  const state = row?.state
  if (state === 'denied' || state === 'revoked' || (run.approved && state === undefined)) {
    throw new PairingError('relay_misbehaved', { detail: 'It ended a device in the name of the sender.' })
  }
  return new PairingError(state === 'done' ? 'not_delivered' : 'receiver_left')
}

import { pairingErrorOf } from '../calls/relay-api.ts'
import { courtesy } from '../environment.ts'
import { errorOfAccident, PairingError } from '../errors.ts'
import type { PairedDevice } from '../paired-device.ts'
import type { Takes } from '../transfer/conversation.ts'
import type { SenderRun } from './sender-run.ts'
import type { SenderSession, WaitingRoom } from './waiting-room.ts'

/** A verified receiver that waits for a decision. Another holder of the whole code would be a second one, with another number. */
export interface PairingRequest {
  /** The device's name at the relay. */
  readonly receiverCode: string
  /** Untrusted: what the device calls itself. */
  readonly name: string | undefined
  /** Six digits, which the right device shows too. */
  readonly matchNumber: string
  /** For experts: 160 bits of the same comparison. */
  readonly fingerprint: string
  /** Reports whether the device has a connection to the relay, as far as the relay says. */
  readonly present: boolean
  /** Resolves when nothing can be sent to the device any more, with the reason: `receiver_left` when it has gone. */
  readonly ended: Promise<PairingError>
  /** Lets the device have what is sent. PairingError `typing_required` when another device may know the code. */
  approve(): Promise<PairedDevice>
  /** Refuses the device, and retires the code: somebody who should not knows it. */
  deny(): Promise<void>
}

export interface ApprovalsOptions extends SenderSession {
  readonly room: WaitingRoom
  /** How many receivers may be approved, as far as the relay grants it. */
  readonly receivers: number
  /** Kinds that this side takes from the devices. */
  readonly takes: Takes
  /** Name that this side gives itself. */
  readonly name: string | undefined
}

/** The sender's decisions. An approval takes the handle of a verified handshake, never a string that came from elsewhere. */
export class Approvals {
  readonly #options: ApprovalsOptions
  /** Approvals asked for, each counted against the bound from then on. */
  readonly #asked = new Map<SenderRun, Promise<PairedDevice>>()
  readonly #approved = new Set<SenderRun>()

  constructor(options: ApprovalsOptions) {
    this.#options = options
  }

  /** Receivers that have been told so: payload may follow. */
  get approved(): readonly SenderRun[] {
    return [...this.#approved]
  }

  /** Reports whether no more approvals can be asked for. */
  get isFull(): boolean {
    return this.#asked.size >= this.#options.receivers
  }

  /** See `Sender.approveNumber`. */
  async approveNumber(typed: string): Promise<PairedDevice> {
    const digits = typed.replaceAll(/\D/g, '')
    const [run, second] = this.#options.room.verified.filter((each) => each.peer.matchNumber === digits)
    if (!run) throw new PairingError('no_such_number')
    if (second) throw new PairingError('number_not_unique')
    return this.#approve(run)
  }

  /** The request that an app gets to see of a verified receiver. */
  requestOf(run: SenderRun): PairingRequest {
    const { receiverCode, name, peer } = run
    return {
      receiverCode,
      name,
      matchNumber: peer.matchNumber,
      fingerprint: peer.fingerprint,
      get present() {
        return run.present
      },
      ended: run.ended,
      approve: () => {
        if (this.#options.room.typingRequired) return Promise.reject(new PairingError('typing_required'))
        return this.#approve(run)
      },
      deny: () => this.#deny(run),
    }
  }

  async #approve(run: SenderRun): Promise<PairedDevice> {
    const underWay = this.#asked.get(run)
    if (underWay) return underWay
    if (run.over) throw run.over
    if (this.isFull) throw new PairingError('session_full')
    const approval = this.#carryApproval(run)
    this.#asked.set(run, approval)
    try {
      return await approval
    } finally {
      if (this.isFull) this.#options.room.retire()
    }
  }

  async #carryApproval(run: SenderRun): Promise<PairedDevice> {
    const { api, environment, session } = this.#options
    try {
      await api.decide(session, run.receiverCode, { decision: 'approved' })
    } catch (error) {
      this.#asked.delete(run)
      throw pairingErrorOf(error)
    }
    run.takeApproval()
    if (run.over) {
      await courtesy(environment, api.endReceiver(session, run.receiverCode))
      throw run.over
    }
    const leave = async (reason: PairingError | undefined) => {
      if (reason && !run.over) await this.#options.room.dismiss(run, reason)
    }
    this.#approved.add(run)
    try {
      const { takes, name } = this.#options
      return run.pair({ takes, name, leave })
    } catch (error) {
      await this.#options.room.dismiss(run, errorOfAccident(error))
      throw error
    }
  }

  async #deny(run: SenderRun): Promise<void> {
    const { room } = this.#options
    room.retire()
    await room.dismiss(run, new PairingError('aborted'))
  }
}

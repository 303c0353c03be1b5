import { SUITE } from '../../crypto/transcript.ts'
import { withHeadroom } from '../../protocol/frame.ts'
import { PROFILE_DEFAULT } from '../../protocol/limits.ts'
import { decodeBase64Url } from '../../protocol/text.ts'
import type { ReceiverRow } from '../../protocol/view.ts'
import type { Environment } from '../environment.ts'
import { PairingError } from '../errors.ts'
import type { Channel } from '../link/channel.ts'

/** How long each step of a handshake may take: while both devices are present, and in all. */
export const HANDSHAKE_STEP_MS = 20_000
export const HANDSHAKE_STEP_IN_ALL_MS = 60_000
export const STEP = { presentMs: HANDSHAKE_STEP_MS, inAllMs: HANDSHAKE_STEP_IN_ALL_MS }

/** The steps of one side of a handshake: a message goes out, and the next one comes in its time. */
export class HandshakeSteps {
  readonly #environment: Environment
  readonly #channel: Channel
  #bothPresent = false
  /** Set while a message is awaited. */
  #onTimeout: (() => void) | undefined
  #leftMs = 0
  #startedAt: number | undefined
  #timer: unknown
  #timerInAll: unknown

  constructor(environment: Environment, channel: Channel) {
    this.#environment = environment
    this.#channel = channel
  }

  get bothPresent(): boolean {
    return this.#bothPresent
  }

  /** Counts the time from here on, or stops counting it. */
  setPresence(bothPresent: boolean): void {
    this.#pause()
    this.#bothPresent = bothPresent
    this.#run()
  }

  /** Sends a message. The one that it answers is dealt with. */
  async send(message: Uint8Array): Promise<void> {
    this.#channel.processed()
    await this.#channel.send(withHeadroom(message))
  }

  /**
   * The peer's next message. Calls `onTimeout` once where it has not come `presentMs` after the call, not counting the time
   * while somebody is away, or `inAllMs` after it in any case.
   */
  async receive(times: { presentMs: number; inAllMs?: number }, onTimeout: () => void): Promise<Uint8Array> {
    this.#onTimeout = onTimeout
    this.#leftMs = times.presentMs
    if (times.inAllMs) this.#timerInAll = this.#environment.setTimeout(() => this.#fire(), times.inAllMs)
    this.#run()
    const message = await this.#channel.receive()
    this.stop()
    return message
  }

  /** Ends the wait: nothing more can time out. */
  stop(): void {
    this.#pause()
    this.#environment.clearTimeout(this.#timerInAll)
    this.#onTimeout = undefined
  }

  #run(): void {
    if (!this.#onTimeout || !this.#bothPresent) return
    this.#startedAt = this.#environment.now()
    this.#timer = this.#environment.setTimeout(() => this.#fire(), this.#leftMs)
  }

  #pause(): void {
    if (this.#startedAt === undefined) return
    this.#environment.clearTimeout(this.#timer)
    this.#leftMs = Math.max(0, this.#leftMs - (this.#environment.now() - this.#startedAt))
    this.#startedAt = undefined
  }

  #fire(): void {
    const onTimeout = this.#onTimeout
    this.stop()
    onTimeout?.()
  }
}

/** Pinned of a receiver, from the first view of it on. */
export type Pinned = Pick<ReceiverRow, 'receiverCode' | 'channel'> & { readonly publicKey: string }

/** Reports whether a later row of the view is still about the receiver that was seen first. */
export function isOf(pinned: Pinned, row: ReceiverRow): boolean {
  const samePlace = row.receiverCode === pinned.receiverCode && row.channel === pinned.channel
  const sameKey = row.publicKey === undefined || row.publicKey === pinned.publicKey
  return samePlace && sameKey
}

/** The peer's profile as bytes. Throws PairingError `unsupported` for another suite than this device's. */
export function profileOf(text = PROFILE_DEFAULT): Uint8Array {
  const profile = decodeBase64Url(text)
  if (profile[0] !== SUITE) throw new PairingError('unsupported')
  return profile
}

import * as z from 'zod/mini'
import { HandshakeError, ReceiverHandshake, type VerifiedPeer } from '../crypto/handshake.ts'
import { type PairingCode, PairingCodeError, parsePairingCode, randomReceiverCode } from '../crypto/pairing-code.ts'
import { encodeBase64Url } from '../protocol/codec.ts'
import type { View } from '../protocol/frames.ts'
import type { JoinResponse } from '../protocol/http.ts'
import type { Channel } from './channel.ts'
import { Connection, type ConnectionStatus } from './connection.ts'
import { type Environment, PausableTimeout } from './environment.ts'
import { errorOfRow, PairingError } from './errors.ts'
import { RelayRefusal } from './http-call.ts'
import { MessageReader, MessageWriter } from './messages.ts'
import { Offer } from './offer.ts'
import { courtesy, RelayApi } from './relay-api.ts'
import { defaultEnvironment } from './runtime.ts'
import { HANDSHAKE_STEP_MS, withHeadroom } from './sender-run.ts'
import { isControl, TransferReader } from './transfer.ts'

/** Tags this device emits for one code, whatever happens in between. */
export const EMITTED_TAGS_MAX = 3
/** How long a receipt's ack is waited for. */
const ACK_WAIT_MS = 10_000

/** Tags emitted so far, per code. For the life of the process: a new code is the way out. */
const emittedTags = new Map<string, number>()

export interface ReceiverOptions {
  readonly relay: string
  /** What the person typed, or a link's fragment. */
  readonly code: string
  /** What the sender sees beside the match number, unverified. At most 64 bytes. */
  readonly name?: string | undefined
  /** Aborting it leaves the session. */
  readonly signal?: AbortSignal | undefined
  /** Called when the sender has approved this device: what it sends comes next. */
  readonly onApproved?: (() => void) | undefined
  readonly onStatus?: ((status: ConnectionStatus) => void) | undefined
  readonly onFallback?: (() => void) | undefined
  readonly environment?: Partial<Environment> | undefined
}

const Approved = z.strictObject({ type: z.literal('approved') })
const End = z.object({ type: z.literal('end'), messages: z.int().check(z.nonnegative()) })

/** The side that wants the data. See README.md for the whole of a pairing. */
export class Receiver {
  readonly receiverCode: string
  /** The match number, once the sender's tag has verified. Rejects when that cannot come any more. */
  readonly verified: Promise<string>
  readonly #api: RelayApi
  readonly #session: JoinResponse
  readonly #options: ReceiverOptions
  readonly #environment: Environment
  readonly #connection: Connection
  readonly #channel: Channel
  readonly #publicKey: string
  readonly #expiresAt: number
  #timeout: PausableTimeout | undefined
  #bothPresent = false
  #matchNumber: string | undefined
  #fingerprint: string | undefined
  #peer: Promise<VerifiedPeer>
  #ended: PairingError | undefined
  #leaving: Promise<void> | undefined
  #reading = false
  readonly #abort = () => void this.close()

  /** Enters a code. Throws PairingError `code_invalid`, `code_not_found`, `attempts_used_up`, `session_full`, … */
  static async join(options: ReceiverOptions): Promise<Receiver> {
    const environment = { ...(await defaultEnvironment()), ...options.environment }
    const api = new RelayApi(options.relay, environment)
    const code = parseCode(options.code)
    if ((emittedTags.get(code.text) ?? 0) >= EMITTED_TAGS_MAX) throw new PairingError('attempts_used_up')
    for (let attempt = 1; ; attempt++) {
      if (options.signal?.aborted) throw new PairingError('aborted')
      const receiverCode = randomReceiverCode(environment.random)
      const handshake = new ReceiverHandshake({ code, receiverCode, random: environment.random })
      try {
        const { name } = options
        const asked = { senderCode: code.locator, receiverCode, publicKey: encodeBase64Url(handshake.publicKey) }
        const session = await api.join(name === undefined ? asked : { ...asked, name })
        return new Receiver(options, environment, api, code, session, handshake, receiverCode)
      } catch (error) {
        handshake.wipe()
        if (error instanceof RelayRefusal && error.code === 'session_not_found')
          throw new PairingError('code_not_found', { cause: error })
        await api.beforeNextTry(attempt, error)
      }
    }
  }

  private constructor(
    options: ReceiverOptions,
    environment: Environment,
    api: RelayApi,
    code: PairingCode,
    session: JoinResponse,
    handshake: ReceiverHandshake,
    receiverCode: string,
  ) {
    this.#options = options
    this.#environment = environment
    this.#api = api
    this.#session = session
    this.receiverCode = receiverCode
    this.#expiresAt = environment.now() + session.expiresInMs
    this.#publicKey = encodeBase64Url(handshake.publicKey)
    this.#connection = new Connection({
      relayUrl: api.url,
      credentials: session,
      expiresInMs: session.expiresInMs,
      windowBytes: session.limits.windowBytes,
      environment,
      onView: (view) => this.#takeView(view),
      onStatus: (status) => this.#takeStatus(status),
      onFallback: () => options.onFallback?.(),
      onEnd: (error) => {
        this.#ended = error
        this.#timeout?.stop()
        options.signal?.removeEventListener('abort', this.#abort)
      },
    })
    this.#channel = this.#connection.channel(session.channel)
    this.#peer = this.#shakeHands(handshake, code)
    this.verified = this.#peer.then((peer) => peer.matchNumber)
    // Whoever asks for it gets the error; nobody has to ask.
    this.verified.catch(() => {})
    this.#connection.start()
    // It may have been aborted while the relay was asked.
    if (options.signal?.aborted) this.#abort()
    else options.signal?.addEventListener('abort', this.#abort)
  }

  /** Six digits that the sender shows too, once it is certain that the sender knows the code. */
  get matchNumber(): string | undefined {
    return this.#matchNumber
  }

  get fingerprint(): string | undefined {
    return this.#fingerprint
  }

  /** Whether the sender has a connection to the relay, as far as the relay says. */
  get senderPresent(): boolean {
    return this.#bothPresent
  }

  /** Milliseconds until the relay forgets the session. */
  get expiresInMs(): number {
    return Math.max(0, this.#expiresAt - this.#environment.now())
  }

  /**
   * The sender's transfers, after it has approved this device. Ends when the sender has said that it was all, or after an
   * offer that was declined. Throws PairingError: `denied`, `wrong_code`, `incomplete`, `closed_by_sender`, `expired`, …
   */
  async *offers(): AsyncGenerator<Offer, void> {
    const peer = await this.#peer
    this.#reading = true
    const reader = new MessageReader(this.#channel, peer.receiveKey)
    let writer: MessageWriter | undefined
    let approved = false
    try {
      const receipts = new MessageWriter(this.#channel, peer.sendKey, this.#session.limits.maxFrameBytes)
      writer = receipts
      const approval = await reader.next()
      if (!Approved.safeParse(await approval.readJson()).success) throw new PairingError('corrupt')
      approved = true
      this.#options.onApproved?.()
      for (let transfers = 0; ; transfers++) {
        const body = await reader.next()
        if (await isControl(body)) {
          const end = End.safeParse(await body.readJson())
          if (!end.success || end.data.messages !== transfers) throw new PairingError('corrupt')
          return
        }
        const offer = new Offer({
          index: body.index,
          transfer: await TransferReader.open(body),
          receipts,
          settle: (send) => this.#settle(send),
          decline: () => this.close(),
        })
        yield offer
        if (offer.declined) return
        if (!offer.delivered) throw new PairingError('incomplete')
      }
    } catch (error) {
      throw approved ? this.#meaningOf(error) : error
    } finally {
      reader.wipe()
      // An offer that is accepted after this must not seal its receipt under what is left of the key.
      writer?.wipe()
      wipeKeys(peer)
      await this.close()
    }
  }

  /** Leaves: done when everything was received, a withdrawal when not. The relay forgets this receiver. */
  close(): Promise<void> {
    this.#leaving ??= this.#leave()
    return this.#leaving
  }

  async #leave(): Promise<void> {
    await this.#connection.flush()
    const ended = this.#ended
    // First of all here: a relay that does not answer must not keep anybody waiting for this.
    this.#connection.end(new PairingError('aborted'))
    if (!this.#reading) void this.#peer.then(wipeKeys, () => {})
    if (ended) return
    await courtesy(this.#api.endReceiver(this.#session, this.receiverCode))
  }

  async #shakeHands(handshake: ReceiverHandshake, code: PairingCode): Promise<VerifiedPeer> {
    try {
      await this.#channel.send(withHeadroom(handshake.start(this.#session.sessionId)))
      const m2 = await this.#channel.receive()
      const m3 = handshake.answerM2(m2)
      const emitted = emittedTags.get(code.text) ?? 0
      // Counted when it is sent, in one turn with the check: runs side by side share the budget.
      if (emitted >= EMITTED_TAGS_MAX) throw new PairingError('attempts_used_up')
      emittedTags.set(code.text, emitted + 1)
      this.#channel.processed()
      await this.#channel.send(withHeadroom(m3))
      const timedOut = () => this.#connection.end(new PairingError('handshake_timeout'))
      this.#timeout = new PausableTimeout(this.#environment, HANDSHAKE_STEP_MS, timedOut)
      if (this.#bothPresent) this.#timeout.run()
      const m4 = await this.#channel.receive()
      this.#timeout.stop()
      const peer = handshake.finish(m4)
      this.#channel.processed()
      this.#matchNumber = peer.matchNumber
      this.#fingerprint = peer.fingerprint
      return peer
    } catch (error) {
      const failure = error instanceof HandshakeError ? new PairingError('wrong_code', { cause: error }) : error
      void this.close()
      throw failure
    } finally {
      this.#timeout?.stop()
      handshake.wipe()
    }
  }

  #takeView(view: View): void {
    const [row, surplus] = view.receivers
    const pinned = row?.receiverCode === this.receiverCode && row.channel === this.#session.channel
    const sameKey = row?.publicKey === undefined || row.publicKey === this.#publicKey
    if (view.role !== 'receiver' || surplus || !pinned || !sameKey) throw new PairingError('relay_misbehaved')
    const ended = view.state === 'closed' ? undefined : errorOfRow(row)
    if (ended) return this.#connection.end(ended)
    this.#bothPresent = view.senderPresent === true
    if (this.#bothPresent) this.#timeout?.run()
    else this.#timeout?.pause()
  }

  #takeStatus(status: ConnectionStatus): void {
    if (status === 'reconnecting') this.#timeout?.pause()
    this.#options.onStatus?.(status)
  }

  /** Sends a receipt and waits for its ack: until then this device must not leave. */
  async #settle(send: () => Promise<void>): Promise<void> {
    await send()
    let timer: unknown
    const patience = new Promise<void>((resolve) => {
      timer = this.#environment.setTimeout(resolve, ACK_WAIT_MS)
    })
    try {
      await Promise.race([this.#channel.flushed(), patience])
    } catch (error) {
      // A session that ends now has ended after we had everything.
      if (!(error instanceof PairingError)) throw error
    } finally {
      this.#environment.clearTimeout(timer)
    }
  }

  /** A session that ends while something is still to come leaves the transfer incomplete; say so, and why. */
  #meaningOf(error: unknown): unknown {
    if (!(error instanceof PairingError) || error.code !== 'closed_by_sender') return error
    return new PairingError('closed_by_sender', { detail: 'It may not have sent everything.', cause: error })
  }
}

function parseCode(text: string): PairingCode {
  try {
    return parsePairingCode(text)
  } catch (error) {
    throw error instanceof PairingCodeError ? new PairingError('code_invalid', { cause: error }) : error
  }
}

function wipeKeys({ sendKey, receiveKey }: VerifiedPeer): void {
  sendKey.fill(0)
  receiveKey.fill(0)
}

import { ReceiverHandshake, SenderHandshake, type VerifiedPeer } from '../../src/crypto/handshake.ts'
import { generatePairingCode, type PairingCode, randomReceiverCode } from '../../src/crypto/pairing-code.ts'
import { messageKey, StreamOpener, StreamSealer } from '../../src/crypto/stream.ts'
import type { View } from '../../src/protocol/view.ts'
import { WireSocket } from '../support/wire-socket.ts'
import { freshAddress } from './world.ts'

/** Clients that speak the protocol by hand, so that they can break it. */

export const random = (length: number) => crypto.getRandomValues(new Uint8Array(length))

interface Credentials {
  readonly sessionId: string
  readonly token: string
}

async function call(
  method: string,
  url: string,
  body?: unknown,
  more: { readonly token?: string; readonly source?: string | undefined } = {},
): Promise<Record<string, unknown>> {
  const { token, source = freshAddress() } = more
  const response = await fetch(url, {
    method,
    headers: {
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      'x-forwarded-for': source,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, ...(text ? JSON.parse(text) : {}) }
}

/** An attached socket and everything that came on it. Acks every data frame unless told otherwise. */
export class RawSocket extends WireSocket {
  acks = true
  readonly #read = new Map<number, number>()

  constructor(...args: ConstructorParameters<typeof WireSocket>) {
    super(...args)
    this.socket.on('message', () => {
      const last = this.messages.at(-1)
      if (this.acks && last?.kind === 'data') this.ack(last.channel, last.seq)
    })
  }

  get closeCode(): number | undefined {
    return this.ending?.code
  }

  /** Waits for a view that a condition holds for. */
  override until(condition: (view: View | undefined) => boolean): Promise<void> {
    return super.until(() => condition(this.views.at(-1)))
  }

  /** The ciphertext of the next data frame of a channel. */
  async next(channel: number): Promise<Uint8Array> {
    const read = this.#read.get(channel) ?? 0
    this.#read.set(channel, read + 1)
    const frames = () =>
      this.messages.flatMap((each) => (each.kind === 'data' && each.channel === channel ? [each] : []))
    await this.until(() => frames().length > read)
    return frames()[read].bytes.subarray(8)
  }

  override async close(): Promise<void> {
    super.close()
    await this.closed()
  }
}

/** A client with a token, which sends only what it is told to. */
class RawPeer {
  /** The channel of what it sends and waits for, unless told otherwise. */
  readonly channel: number
  socket: RawSocket
  protected verified: VerifiedPeer | undefined
  readonly #relay: string
  readonly #credentials: Credentials
  readonly #seqs = new Map<number, number>()
  #messages = { sent: 0, read: 0 }

  constructor(relay: string, credentials: Credentials, socket: RawSocket, channel = 1) {
    this.#relay = relay
    this.#credentials = credentials
    this.socket = socket
    this.channel = channel
  }

  get peer(): VerifiedPeer {
    if (!this.verified) throw new Error('the handshake is not over')
    return this.verified
  }

  get sessionId(): string {
    return this.#credentials.sessionId
  }

  /** A new socket, for one that was closed. */
  async attach(): Promise<void> {
    this.socket = await RawSocket.attach(this.#relay, this.#credentials)
  }

  send(ciphertext: Uint8Array, channel = this.channel): void {
    const seq = (this.#seqs.get(channel) ?? 0) + 1
    this.#seqs.set(channel, seq)
    this.socket.data(channel, seq, ciphertext)
  }

  next(channel = this.channel): Promise<Uint8Array> {
    return this.socket.next(channel)
  }

  /** Seals the next message of this side and sends it, or one with another index. */
  sendMessage(plaintext: Uint8Array | string, index = this.#messages.sent): void {
    this.#messages.sent++
    const sealer = new StreamSealer(messageKey(this.peer.sendKey, index))
    this.send(sealer.sealFrame(Buffer.from(plaintext), true))
  }

  /** Opens the next message of the other side. */
  async readMessage(): Promise<Buffer> {
    const opener = new StreamOpener(messageKey(this.peer.receiveKey, this.#messages.read++))
    const pieces: Uint8Array[] = []
    while (!opener.finished) pieces.push(opener.openFrame(await this.next()).plaintext)
    return Buffer.concat(pieces)
  }

  /** The head of the other side's next message. */
  async readHead(): Promise<Record<string, unknown>> {
    return headOf(await this.readMessage())
  }

  protected command(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
    const { sessionId, token } = this.#credentials
    return call(method, `${this.#relay}/v1/sessions/${sessionId}${path}`, body, { token })
  }
}

/** A device that joins. */
export class RawReceiver extends RawPeer {
  readonly receiverCode: string
  readonly #handshake: ReceiverHandshake

  private constructor(
    receiverCode: string,
    handshake: ReceiverHandshake,
    ...of: ConstructorParameters<typeof RawPeer>
  ) {
    super(...of)
    this.receiverCode = receiverCode
    this.#handshake = handshake
  }

  /** `source` is where it comes from, to a relay that believes who is in between. */
  static async join(
    relay: string,
    code: PairingCode,
    options: { readonly receiverCode?: string; readonly source?: string } = {},
  ): Promise<RawReceiver> {
    const receiverCode = randomReceiverCode(random)
    const handshake = new ReceiverHandshake({ code, receiverCode, random })
    const asked = options.receiverCode ?? receiverCode
    const body = {
      senderCode: code.locator,
      receiverCode: asked,
      publicKey: Buffer.from(handshake.publicKey).toString('base64url'),
    }
    const joined = await call('POST', `${relay}/v1/receivers`, body, options)
    if (joined.status !== 201) throw new Error(`the join was refused: ${joined.code}`)
    const credentials = { sessionId: String(joined.sessionId), token: String(joined.token) }
    const socket = await RawSocket.attach(relay, credentials)
    return new RawReceiver(asked, handshake, relay, credentials, socket, Number(joined.channel))
  }

  m1(): Uint8Array {
    return this.#handshake.start(this.sessionId)
  }

  m3(m2: Uint8Array): Uint8Array {
    return this.#handshake.answerM2(m2)
  }

  /** The whole handshake, by the rules. */
  async shakeHands(): Promise<VerifiedPeer> {
    this.send(this.m1())
    this.send(this.m3(await this.next()))
    this.verified = this.#handshake.finish(await this.next())
    return this.verified
  }

  /** Hello both ways. */
  async greet(): Promise<void> {
    await this.readMessage()
    this.sendMessage(messageOf(HELLO))
  }

  /** Reads an offer, and says yes to it. */
  async accept(): Promise<void> {
    const { offer } = headOf(await this.readMessage())
    this.sendMessage(messageOf({ kind: 'answer', offer, accepted: true, through: 4_194_304 }))
  }

  async leave(): Promise<void> {
    await this.command('DELETE', `/receivers/${this.receiverCode}`)
  }

  async close(): Promise<void> {
    await this.socket.close()
  }
}

/** A device that waits under a code. */
export class RawSender extends RawPeer {
  readonly code: PairingCode

  private constructor(code: PairingCode, ...of: ConstructorParameters<typeof RawPeer>) {
    super(...of)
    this.code = code
  }

  static async open(relay: string): Promise<RawSender> {
    const code = generatePairingCode(random)
    const created = await call('POST', `${relay}/v1/sessions`, { clientId: 'raw', senderCode: code.locator })
    const credentials = { sessionId: String(created.sessionId), token: String(created.token) }
    return new RawSender(code, relay, credentials, await RawSocket.attach(relay, credentials))
  }

  /** Waits for the receiver of a channel, and gives the sender's side of its handshake. */
  async awaitReceiver(channel = 1): Promise<SenderHandshake> {
    await this.socket.until((view) => view?.receivers[channel - 1]?.publicKey !== undefined)
    const row = this.socket.view?.receivers[channel - 1]
    if (!row) throw new Error('the view lost a receiver')
    return new SenderHandshake({
      code: this.code,
      sessionId: this.sessionId,
      receiverCode: row.receiverCode,
      receiverPublicKey: Buffer.from(row.publicKey ?? '', 'base64url'),
      random,
    })
  }

  async shakeHands(): Promise<VerifiedPeer> {
    const handshake = await this.awaitReceiver()
    this.send(handshake.answerM1(await this.next()))
    const { m4, peer } = handshake.answerM3(await this.next())
    this.send(m4)
    this.verified = peer
    return peer
  }

  decide(decision: Record<string, string>): Promise<Record<string, unknown>> {
    const [row] = this.socket.view?.receivers ?? []
    return this.command('PUT', `/receivers/${row.receiverCode}/decision`, decision)
  }

  /** Handshake, approval, and the hello that says so. */
  async pairWith(): Promise<void> {
    await this.shakeHands()
    await this.decide({ decision: 'approved' })
    this.sendMessage(messageOf(HELLO))
  }

  async closeSession(): Promise<void> {
    await this.command('DELETE', '')
  }

  async close(): Promise<void> {
    await this.closeSession()
    await this.socket.close()
  }
}

export const HELLO = { kind: 'hello', offers: true, posts: 0, features: [] }

/** The plaintext of a message: its head, then whatever bytes. */
export function messageOf(head: unknown, ...bytes: (Uint8Array | string)[]): Buffer {
  const json = Buffer.from(JSON.stringify(head))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  return Buffer.concat([length, json, ...bytes.map((each) => Buffer.from(each))])
}

/** An offer with entries that may be anything. */
export function offerOf(entries: readonly object[], fields: object = {}): Buffer {
  const lines = entries.map((entry) => `${JSON.stringify(entry)}\n`)
  const token = Buffer.alloc(16).toString('base64url')
  return messageOf({ kind: 'offer', offer: 1, count: entries.length, token, ...fields }, ...lines)
}

/** The head of a message. */
export function headOf(message: Buffer): Record<string, unknown> {
  return JSON.parse(message.subarray(4, 4 + message.readUInt32BE()).toString())
}

/** The body of a message. */
export function bodyOf(message: Buffer): Buffer {
  return message.subarray(4 + message.readUInt32BE())
}

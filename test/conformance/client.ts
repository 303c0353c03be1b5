import { randomBytes } from 'node:crypto'
import type { JoinResponse } from '../../src/protocol/responses.ts'
import type { View } from '../../src/protocol/view.ts'
import { DEADLINE_MS, Device } from './device.ts'
import type { Relay } from './relay.ts'

export type { Problem } from '../../src/protocol/responses.ts'
export type { View } from '../../src/protocol/view.ts'

/** A client made of PROTOCOL.md alone, but for names of types: here its HTTP. It does what it is told, right or wrong. */

/** Where a client is on a channel. */
export interface Claim {
  readonly channel: number
  readonly received: number
  readonly acked: number
}

type Grant = Omit<JoinResponse, 'features'>

/** An HTTP answer. `body` is whatever JSON came; the caller says what it takes it for. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly bytes: Buffer
  readonly body: unknown
}

export interface CallOptions {
  readonly token?: string | undefined
  /** Text goes out as it is, bytes as ciphertext, anything else as JSON. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export async function call(relay: Relay, method: string, path: string, options: CallOptions = {}): Promise<Answer> {
  const { token, body, headers } = options
  const isCiphertext = body instanceof Uint8Array
  const response = await fetch(relay.url + path, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': isCiphertext ? 'application/octet-stream' : 'application/json' }),
      ...headers,
    },
    ...(body === undefined
      ? {}
      : { body: isCiphertext ? new Uint8Array(body) : typeof body === 'string' ? body : JSON.stringify(body) }),
    signal: AbortSignal.timeout(2 * DEADLINE_MS),
  })
  const bytes = Buffer.from(await response.arrayBuffer())
  const text = bytes.toString()
  const isJson = /^application\/(problem\+)?json\b/.test(response.headers.get('content-type') ?? '')
  return {
    status: response.status,
    headers: response.headers,
    text,
    bytes,
    body: isJson && text ? JSON.parse(text) : undefined,
  }
}

/** A code nobody else has. */
export function freshCode(): string {
  return randomBytes(9).toString('base64url')
}

let addresses = 0

/** An address that nobody else has, for a relay that trusts this machine as a proxy. */
export function freshAddress(): string {
  addresses++
  return `198.18.${addresses >> 8}.${addresses & 0xff}`
}

/** 32 bytes in base64url: a public key, or a token that nobody was given. */
export function fresh32Bytes(): string {
  return randomBytes(32).toString('base64url')
}

/** A role in a session. */
export class Party {
  readonly relay: Relay
  readonly sessionId: string
  readonly token: string
  readonly limits: JoinResponse['limits']
  readonly expiresInMs: number

  constructor(relay: Relay, grant: Grant) {
    this.relay = relay
    this.sessionId = grant.sessionId
    this.token = grant.token
    this.limits = grant.limits
    this.expiresInMs = grant.expiresInMs
  }

  /** A call below this session, with this role's token. */
  call(method: string, path = '', body?: unknown): Promise<Answer> {
    return call(this.relay, method, `/v1/sessions/${this.sessionId}${path}`, { token: this.token, body })
  }

  async view(query = ''): Promise<View> {
    const answer = await this.call('GET', query)
    if (answer.status !== 200) throw new Error(`GET of the view answered ${answer.status} ${answer.text}`)
    return answer.body as View
  }

  /** Attaches without a socket. The view that comes back. */
  async attachOverHttp(channels: readonly Claim[] = []): Promise<View> {
    const answer = await this.call('PUT', '/attachment', { channels })
    if (answer.status !== 200) throw new Error(`the attach answered ${answer.status} ${answer.text}`)
    return answer.body as View
  }

  put(channel: number, seq: number | string, ciphertext: unknown): Promise<Answer> {
    return this.call('PUT', `/channels/${channel}/frames/${seq}`, bytesOf(ciphertext))
  }

  fetch(channel: number, seq: number): Promise<Answer> {
    return this.call('GET', `/channels/${channel}/frames/${seq}`)
  }

  ack(channel: number, seq: number): Promise<Answer> {
    return this.call('DELETE', `/channels/${channel}/frames/${seq}`)
  }

  /** A socket that has attached and got its first view. */
  async attach(channels: readonly Claim[] = []): Promise<Device> {
    const device = await Device.open(this.relay, this.sessionId)
    device.send(JSON.stringify({ type: 'attach', token: this.token, channels }))
    await device.nextView()
    return device
  }
}

export class Sender extends Party {
  readonly senderCode: string

  constructor(relay: Relay, senderCode: string, grant: Grant) {
    super(relay, grant)
    this.senderCode = senderCode
  }

  decide(receiverCode: string, decision: string, reason?: string): Promise<Answer> {
    return this.call('PUT', `/receivers/${receiverCode}/decision`, { decision, reason })
  }

  async approve(...receivers: readonly Receiver[]): Promise<void> {
    for (const { receiverCode } of receivers) expectNoContent(await this.decide(receiverCode, 'approved'))
  }

  async deny(receiver: Receiver, reason?: string): Promise<void> {
    expectNoContent(await this.decide(receiver.receiverCode, 'denied', reason))
  }

  async revoke(receiver: Receiver): Promise<void> {
    expectNoContent(await this.call('DELETE', `/receivers/${receiver.receiverCode}`))
  }

  async retireCode(): Promise<void> {
    expectNoContent(await this.call('DELETE', '/code'))
  }

  async close(): Promise<void> {
    expectNoContent(await this.call('DELETE'))
  }
}

export class Receiver extends Party {
  readonly receiverCode: string
  readonly publicKey: string
  readonly channel: number

  constructor(relay: Relay, request: { receiverCode: string; publicKey: string }, grant: Grant) {
    super(relay, grant)
    this.receiverCode = request.receiverCode
    this.publicKey = request.publicKey
    this.channel = grant.channel
  }

  /** Says that it is done, or leaves. */
  async leave(): Promise<void> {
    expectNoContent(await this.call('DELETE', `/receivers/${this.receiverCode}`))
  }
}

/** A session, from an address of its own unless `from` says which. */
export function createSession(relay: Relay, request: Readonly<Record<string, unknown>> = {}): Promise<Answer> {
  const { from = freshAddress(), ...fields } = request
  const body = { clientId: freshCode(), senderCode: freshCode(), ...fields }
  return call(relay, 'POST', '/v1/sessions', { body, headers: { 'x-forwarded-for': String(from) } })
}

export async function openSession(relay: Relay, request: Readonly<Record<string, unknown>> = {}): Promise<Sender> {
  const senderCode = freshCode()
  const answer = await createSession(relay, { senderCode, maxReceivers: 8, ...request })
  if (answer.status !== 201) throw new Error(`no session: ${answer.status} ${answer.text}`)
  return new Sender(relay, senderCode, answer.body as Grant)
}

/** A join, from an address of its own unless `from` says which. */
export function tryToJoin(
  relay: Relay,
  senderCode: string,
  request: Readonly<Record<string, unknown>> = {},
): Promise<Answer> {
  const { from = freshAddress(), ...fields } = request
  const body = { senderCode, receiverCode: freshCode(), publicKey: fresh32Bytes(), ...fields }
  const headers = { 'x-forwarded-for': String(from) }
  return call(relay.forReceivers ?? relay, 'POST', '/v1/receivers', { body, headers })
}

type JoinFields = Readonly<{
  receiverCode?: string
  publicKey?: string
  name?: string
  profile?: string
  from?: string | undefined
}>

export function join({ relay, senderCode }: Sender, request: JoinFields = {}): Promise<Receiver> {
  return joinWith(relay, senderCode, request)
}

export async function joinWith(relay: Relay, senderCode: string, request: JoinFields = {}): Promise<Receiver> {
  const whole = { receiverCode: freshCode(), publicKey: fresh32Bytes(), ...request }
  const answer = await tryToJoin(relay, senderCode, whole)
  if (answer.status !== 201) throw new Error(`no join: ${answer.status} ${answer.text}`)
  return new Receiver(relay.forReceivers ?? relay, whole, answer.body as Grant)
}

/**
 * Attaches both. Each has seen the other: what is sent before that may go to a node that the other is not at, whose sockets
 * then have to attach again.
 */
export async function attachBoth(sender: Sender, receiver: Receiver): Promise<[Device, Device]> {
  const [S, R] = [await sender.attach(), await receiver.attach()]
  await S.nextView(({ receivers }) => receivers[receiver.channel - 1].present === true)
  return [S, R]
}

/** A session whose receivers are all approved, everybody attached, and the sender aware of it. */
export async function pair(relay: Relay, count = 1) {
  const sender = await openSession(relay)
  const receivers: Receiver[] = []
  for (let i = 0; i < count; i++) receivers.push(await join(sender))
  const S = await sender.attach()
  const Rs: Device[] = []
  for (const receiver of receivers) Rs.push(await receiver.attach())
  await sender.approve(...receivers)
  await S.nextView(({ receivers: rows }) =>
    rows.every(({ state, present }) => state === 'approved' && present === true),
  )
  for (const R of Rs) await R.nextView((view) => view.receivers[0].state === 'approved')
  return { sender, receivers, receiver: receivers[0], S, Rs, R: Rs[0] }
}

function bytesOf(ciphertext: unknown): unknown {
  return typeof ciphertext === 'string' ? Buffer.from(ciphertext) : ciphertext
}

function expectNoContent(answer: Answer): void {
  if (answer.status !== 204 || answer.text !== '') throw new Error(`expected 204: ${answer.status} ${answer.text}`)
}

/** A session with the largest view there is: 31 receivers, of which 8 are approved and 7 wait. */
export async function openFull(relay: Relay): Promise<Sender> {
  const sender = await openSession(relay, { maxReceivers: 8 })
  const joined = async (from: number, to: number) => {
    const receivers = []
    for (let i = from; i < to; i++) {
      const number = String(i).padStart(2, '0')
      receivers.push(await join(sender, { receiverCode: number + 'r'.repeat(62), name: number + '"'.repeat(31) }))
    }
    return receivers
  }
  // The longest of all reasons as often as receivers of one source may fail and others still join.
  for (const each of await joined(0, 8)) await sender.deny(each, each.channel <= 4 ? 'handshake_timeout' : 'rejected')
  for (const each of await joined(8, 16)) await sender.deny(each)
  const approved = await joined(16, 24)
  for (const each of approved.slice(1)) await sender.approve(each)
  await joined(24, 31)
  if (approved[0]) await sender.approve(approved[0])
  return sender
}

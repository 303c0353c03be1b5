import { ciphertextOf, decodeFrame, encodeAck, encodeData, FRAME_ACK, type Frame } from '../../../src/protocol/frame.ts'
import type { CreateSessionRequest, JoinRequest } from '../../../src/protocol/requests.ts'
import { Attach } from '../../../src/protocol/requests.ts'
import type { CreateSessionResponse, JoinResponse } from '../../../src/protocol/responses.ts'
import type { CloseReason, Role, View } from '../../../src/protocol/view.ts'
import type { FakeTime } from '../../client/fake-time.ts'
import { type Guest, isLive, LIMITS, Meeting, newLine } from './meeting.ts'
import { Plug } from './plug.ts'
import type { Seed } from './seed.ts'

/** A data frame on its way from one device to the other. */
export interface Flying {
  readonly meeting: Meeting
  readonly guest: Guest
  readonly from: Role
  /** The writer's number. */
  readonly seq: number
  readonly ciphertext: Uint8Array
  /** The number it is delivered under, if not simply the reader's next. */
  readonly as?: number
}

/**
 * A breach by a relay. Operators are composed by order: the output of each is the input of the next.
 * A hook that returns undefined leaves things as they are.
 */
export interface Operator {
  readonly name: string
  /** Changes the answer to the sender's create. */
  created?(answer: CreateSessionResponse): CreateSessionResponse
  /** Changes a receiver's join. */
  join?(request: JoinRequest, relay: Relay): JoinRequest
  /** Changes the answer to a receiver's join. */
  joined?(answer: JoinResponse): JoinResponse
  /** Frames that reach the other device in place of this one. */
  data?(frame: Flying, relay: Relay): readonly Flying[] | undefined
  /** The ack that reaches the writer in place of this one. Negative: none. */
  ack?(seq: number, to: Role, guest: Guest): number
  view?(view: View, to: Role, guest: Guest | undefined): View | string | undefined
  /** How a command after the join is answered instead of being carried out: a status, and a code if it is a refusal. */
  command?(method: string, path: string, body: unknown, relay: Relay): { status: number; code?: string } | undefined
  /** Called whenever a device has attached. */
  attached?(to: Role, plug: Plug, relay: Relay): void
}

export const other = (role: Role): Role => (role === 'sender' ? 'receiver' : 'sender')
const HEARTBEAT_MS = 25_000

/** A relay in memory that does what its operators say, and otherwise its duty. It keeps every byte that it was given. */
export class Relay {
  readonly time: FakeTime
  operators: readonly Operator[] = []
  readonly meetings: Meeting[] = []
  /** Every byte any device gave to this relay, in order. */
  readonly heard: Uint8Array[] = []
  /** Every data frame of every device. */
  readonly frames: Flying[] = []
  /** Commands after the join, such as `DELETE /code`. */
  readonly commands: string[] = []
  readonly #seed: Seed

  constructor(time: FakeTime, seed: Seed) {
    this.time = time
    this.#seed = seed
    this.#heartbeat()
  }

  /** The network of a device. */
  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    this.#note(`${init.method} ${url}`, JSON.stringify(init.headers), init.body)
    const path = new URL(url).pathname.replace(/^\/v1/, '')
    const body = typeof init.body === 'string' ? JSON.parse(init.body) : undefined
    if (path === '/sessions') return this.#create(body)
    if (path === '/receivers') return this.#join(body)
    return this.#command(String(init.method), path, body, new Headers(init.headers).get('authorization') ?? '')
  }

  readonly openWebSocket = (url: string, protocol: string): Plug => {
    this.#note(url, protocol)
    return new Plug(
      (data, plug) => this.#hear(data, plug),
      (plug) => this.#detach(plug),
    )
  }

  /** The one session of most scenarios. */
  get meeting(): Meeting {
    return this.meetings[0]
  }

  /** A session that no sender has asked for. */
  pretend(locator: string, sessionId = this.token(16)): Meeting {
    const meeting = new Meeting(sessionId, locator, this.token(32))
    this.meetings.push(meeting)
    return meeting
  }

  /** A receiver that does not exist: the relay speaks for it with `deliver`, and hears what it is told. */
  invite(
    receiverCode: string,
    publicKey: string,
    hears: (ciphertext: Uint8Array) => void,
    meeting = this.meeting,
  ): Guest {
    const guest = this.#admit(meeting, { receiverCode, publicKey, hears, ownCode: receiverCode, ownKey: publicKey })
    this.show(meeting)
    return guest
  }

  token(length: number): string {
    return Buffer.from(this.#seed.bytes(length)).toString('base64url')
  }

  /** Gives a device a data frame, whoever wrote it. */
  deliver({ meeting, guest, from, ciphertext, as }: Omit<Flying, 'seq'>): void {
    if (from === 'sender' && guest.hears) return guest.hears(ciphertext)
    const plug = from === 'sender' ? guest.plug : meeting.plug
    const { delivered } = guest.lines[from]
    if (as === undefined) delivered.push(ciphertext)
    plug?.say(encodeData(guest.channel, as ?? delivered.length, ciphertext))
  }

  /** Tells everybody how things are. */
  show(meeting: Meeting): void {
    this.#show(meeting, 'sender')
    for (const guest of meeting.guests) this.#show(meeting, guest)
  }

  close(meeting: Meeting, reason: CloseReason): void {
    meeting.closed = reason
    this.show(meeting)
  }

  #show(meeting: Meeting, to: Guest | 'sender'): void {
    const plug = to === 'sender' ? meeting.plug : to.plug
    if (!plug) return
    const [role, guest] = to === 'sender' ? (['sender', undefined] as const) : (['receiver', to] as const)
    let view: View | string = meeting.view(to)
    for (const operator of this.operators) {
      if (typeof view === 'string' || !operator.view) continue
      const changed = operator.view(view, role, guest)
      if (changed === undefined) return
      view = changed
    }
    plug.say(typeof view === 'string' ? view : JSON.stringify(view))
  }

  #heartbeat(): void {
    this.time.setTimeout(() => {
      for (const meeting of this.meetings) this.show(meeting)
      this.#heartbeat()
    }, HEARTBEAT_MS)
  }

  #create({ senderCode }: CreateSessionRequest): Response {
    const { sessionId, token } = this.pretend(senderCode)
    let answer: CreateSessionResponse = { sessionId, token, expiresInMs: LIMITS.ttlSeconds * 1000, limits: LIMITS }
    for (const operator of this.operators) answer = operator.created?.(answer) ?? answer
    return Response.json(answer, { status: 201 })
  }

  #join(asked: JoinRequest): Response {
    let request = asked
    for (const operator of this.operators) request = operator.join?.(request, this) ?? request
    const meeting = this.meetings.find(({ locator }) => locator === request.senderCode)
    if (!meeting) return refusal(404, 'session_not_found')
    const own = { ownCode: asked.receiverCode, ownKey: asked.publicKey }
    const { token, channel } = this.#admit(meeting, { ...request, ...own, hears: undefined })
    this.show(meeting)
    const { sessionId } = meeting
    let answer: JoinResponse = { sessionId, token, channel, expiresInMs: 900_000, limits: LIMITS }
    for (const operator of this.operators) answer = operator.joined?.(answer) ?? answer
    return Response.json(answer, { status: 201 })
  }

  #admit(
    meeting: Meeting,
    row: Pick<Guest, 'receiverCode' | 'publicKey' | 'hears' | 'ownCode' | 'ownKey'> & { name?: string | undefined },
  ): Guest {
    const { receiverCode, publicKey, hears, ownCode, ownKey, name } = row
    const guest: Guest = {
      ...{ receiverCode, publicKey, hears, ownCode, ownKey, name },
      token: this.token(32),
      channel: meeting.guests.length + 1,
      lines: { sender: newLine(), receiver: newLine() },
      state: 'pending',
      plug: undefined,
    }
    meeting.guests.push(guest)
    return guest
  }

  #command(
    method: string,
    path: string,
    body: { decision?: 'approved' | 'denied'; reason?: Guest['reason'] },
    authorization: string,
  ): Response {
    const [, , sessionId, what, code, decision] = path.split('/')
    this.commands.push([method, ...path.split('/').slice(3), body?.decision ?? ''].join(' ').trim())
    for (const operator of this.operators) {
      const answer = operator.command?.(method, path, body, this)
      if (answer?.code) return refusal(answer.status, answer.code)
      if (answer) return new Response(undefined, { status: answer.status })
    }
    const meeting = this.meetings.find((each) => each.sessionId === sessionId) ?? this.meeting
    const guest = meeting.guests.find((each) => each.receiverCode === code || each.ownCode === code)
    if (what === 'code') meeting.retired = true
    else if (what === undefined) meeting.closed = 'closed_by_sender'
    else if (!guest) return refusal(404, 'receiver_not_found')
    else if (decision === 'decision' && isLive(guest)) {
      guest.state = body.decision ?? guest.state
      if (body.reason) guest.reason = body.reason
    } else if (method === 'DELETE' && isLive(guest)) {
      const bySender = authorization.endsWith(meeting.token)
      guest.state = bySender ? 'revoked' : guest.state === 'approved' ? 'done' : 'left'
    }
    this.show(meeting)
    return new Response(undefined, { status: 204 })
  }

  #hear(data: string | Uint8Array, plug: Plug): void {
    this.#note(data)
    if (typeof data === 'string') return this.#attach(Attach.parse(JSON.parse(data)), plug)
    const frame = decodeFrame(data)
    for (const meeting of this.meetings) {
      const from = meeting.plug === plug ? 'sender' : 'receiver'
      const guest = meeting.guest(frame.channel)
      if (!guest || (from === 'receiver' && guest.plug !== plug)) continue
      if (frame.type === FRAME_ACK) this.acknowledge(guest, other(from), frame.seq, meeting)
      else this.#take(frame, meeting, guest, from)
    }
  }

  #take(frame: Frame, meeting: Meeting, guest: Guest, from: Role): void {
    const line = guest.lines[from]
    if (frame.seq !== line.received + 1) return
    line.received = frame.seq
    const flying: Flying = { meeting, guest, from, seq: frame.seq, ciphertext: ciphertextOf(frame) }
    this.frames.push(flying)
    let frames: readonly Flying[] = [flying]
    // The relay itself hears all that is sent to a receiver it made up.
    for (const operator of guest.hears ? [] : this.operators) {
      frames = frames.flatMap((each) => operator.data?.(each, this) ?? [each])
    }
    for (const each of frames) this.deliver(each)
  }

  /** Tells a writer what was processed, never more than it sent: who wants to lie does it in an operator. */
  acknowledge(guest: Guest, to: Role, seq: number, meeting = this.meeting): void {
    const line = guest.lines[to]
    let passed = Math.min(seq, line.received)
    for (const operator of this.operators) passed = operator.ack?.(passed, to, guest) ?? passed
    if (passed <= line.acked) return
    line.acked = passed
    const plug = to === 'sender' ? meeting.plug : guest.plug
    plug?.say(encodeAck(guest.channel, passed))
  }

  #attach({ token, channels }: Attach, plug: Plug): void {
    for (const meeting of this.meetings) {
      const guest = meeting.guests.find((each) => each.token === token)
      if (meeting.token !== token && !guest) continue
      if (guest) guest.plug = plug
      else meeting.plug = plug
      this.show(meeting)
      const role = guest ? 'receiver' : 'sender'
      for (const operator of this.operators) operator.attached?.(role, plug, this)
      for (const each of guest ? [guest] : meeting.guests) {
        const received = channels.find(({ channel }) => channel === each.channel)?.received ?? 0
        this.acknowledge(each, other(role), received, meeting)
        const { delivered } = each.lines[other(role)]
        for (let seq = received + 1; seq <= delivered.length; seq++) {
          plug.say(encodeData(each.channel, seq, delivered[seq - 1]))
        }
      }
    }
  }

  #detach(plug: Plug): void {
    for (const meeting of this.meetings) {
      if (meeting.plug === plug) meeting.plug = undefined
      for (const guest of meeting.guests) if (guest.plug === plug) guest.plug = undefined
      this.show(meeting)
    }
  }

  #note(...what: unknown[]): void {
    for (const each of what) {
      if (each !== undefined) this.heard.push(each instanceof Uint8Array ? each.slice() : Buffer.from(String(each)))
    }
  }
}

function refusal(status: number, code: string): Response {
  const problem = { type: 'about:blank', title: code, status, code, retryable: false }
  return Response.json(problem, { status, headers: { 'content-type': 'application/problem+json' } })
}

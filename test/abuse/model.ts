import type { CloseErrorCode, ErrorCode } from '../../src/protocol/errors.ts'
import type { View } from '../../src/protocol/frames.ts'
import type { DenialReason } from '../../src/protocol/http.ts'
import type { Attach } from '../../src/protocol/requests.ts'
import { Model, type ModelLimits, type ModelReceiver, type ModelSession } from '../relay/model.ts'

/**
 * The model of sessions of `test/relay/model.ts`, with what a session is for: tokens, sockets, frames, acks and windows.
 * Written from PROTOCOL.md, sections 3 and 5; nothing is shared with `src/relay`.
 */

export type Role = ModelSession | ModelReceiver

interface Direction {
  received: number
  acked: number
  window: number
  frames: { readonly seq: number; readonly text: string; readonly cost: number }[]
}

/** A socket as its client sees it. */
export class ModelSocket {
  readonly session: ModelSession
  readonly role: Role
  closed: CloseErrorCode | undefined
  /** Data frames it was sent, in order. */
  readonly data: { readonly channel: number; readonly seq: number; readonly text: string }[] = []
  /** The last ack it was sent, by channel. */
  readonly acks = new Map<number, number>()
  readonly cursors = new Map<number, number>()

  constructor(session: ModelSession, role: Role) {
    this.session = session
    this.role = role
  }
}

export interface AbuseLimits extends ModelLimits {
  readonly maxWindow: number
}

const HANDSHAKE = { seq: 4, ciphertext: 2_048 }

export class AbuseModel extends Model {
  readonly #limits: AbuseLimits
  readonly #channels = new Map<ModelReceiver, { readonly s2r: Direction; readonly r2s: Direction }>()
  /** The open socket of each role that has one. */
  readonly sockets = new Map<Role, ModelSocket>()

  constructor(limits: AbuseLimits) {
    super(limits)
    this.#limits = limits
  }

  /** What a token is answered before anything else is looked at. */
  authorize(session: ModelSession, token: string, only?: 'sender'): ErrorCode | undefined {
    if (token === session.token) return undefined
    if (!session.receivers.some((each) => each.token === token)) return 'unauthorized'
    return only && 'forbidden'
  }

  override join(senderCode: string, input: Parameters<Model['join']>[1]): void {
    super.join(senderCode, input)
    const receiver = this.sessions.find((each) => each.code === senderCode)?.receivers.at(-1)
    const direction = () => ({ received: 0, acked: 0, window: this.#limits.pendingWindow, frames: [] })
    if (receiver) this.#channels.set(receiver, { s2r: direction(), r2s: direction() })
  }

  override decide(session: ModelSession, receiver: ModelReceiver | undefined, decision: 'approved' | DenialReason) {
    const was = receiver?.state
    const refused = super.decide(session, receiver, decision)
    if (was === 'pending' && receiver?.state === 'approved') {
      for (const direction of this.#directions(receiver)) direction.window = this.#limits.approvedWindow
    }
    return refused
  }

  override get granted(): number {
    const windows = this.live().flatMap((each) => this.#directions(each).map(({ window }) => window))
    return windows.reduce((sum, each) => sum + each, 0)
  }

  get unacked(): number {
    const frames = this.live().flatMap((each) => this.#directions(each).flatMap((direction) => direction.frames))
    return frames.reduce((sum, { cost }) => sum + cost, 0)
  }

  override view(session: ModelSession, me?: ModelReceiver): Omit<View, 'version'> {
    const view = super.view(session, me)
    const channels = view.channels.map(({ channel }) => {
      const { received, acked, window } = this.#direction(session.receivers[channel - 1], me ? 'r2s' : 's2r')
      return { channel, received, acked, window }
    })
    return { ...view, channels }
  }

  override pass(milliseconds: number): void {
    super.pass(milliseconds)
    this.endSockets()
  }

  /** Sockets of sessions that have ended are closed. */
  endSockets(): void {
    for (const socket of this.sockets.values()) if (socket.session.ended) this.#close(socket, 'session_gone')
  }

  /** A first message of the right form. What comes back is closed already when it was refused. */
  attach(session: ModelSession, token: string, claims: Attach['channels']): ModelSocket {
    const role = [session, ...session.receivers].find((each) => each.token === token)
    const socket = new ModelSocket(session, role ?? session)
    if (!role) socket.closed = 'unauthorized'
    else if (session.ended) socket.closed = 'session_gone'
    if (!role || socket.closed) return socket
    const older = this.sockets.get(role)
    if (older) this.#close(older, 'superseded')
    this.sockets.set(role, socket)
    role.attached = true
    for (const receiver of session.receivers) {
      if (!isLive(session, receiver) || (role !== session && role !== receiver)) continue
      const channel = session.receivers.indexOf(receiver) + 1
      const claim = claims.find((each) => each.channel === channel) ?? { received: 0, acked: 0 }
      const [out, into] = this.#both(socket, receiver)
      ackThrough(out, claim.acked)
      ackThrough(into, claim.received)
      socket.cursors.set(channel, claim.received)
      this.#peer(socket, receiver)?.acks.set(channel, into.acked)
      this.#deliver(socket, channel, into)
    }
    return socket
  }

  /** A data frame with this text as its ciphertext. */
  data(socket: ModelSocket, channel: number, seq: number, text: string): void {
    const receiver = this.#receiverOf(socket, channel)
    if (!receiver) return
    const pending = receiver.state === 'pending'
    if (pending && (seq > HANDSHAKE.seq || text.length > HANDSHAKE.ciphertext))
      return this.#close(socket, 'invalid_frame')
    const [out] = this.#both(socket, receiver)
    if (seq <= out.received) return void socket.acks.set(channel, out.acked)
    if (seq > out.received + 1) return this.#close(socket, 'invalid_frame')
    const cost = Math.max(256, 8 + text.length)
    if (costOf(out) + cost > out.window) return this.#close(socket, 'window_exceeded')
    out.frames.push({ seq, text, cost })
    out.received = seq
    const peer = this.#peer(socket, receiver)
    if (peer) this.#deliver(peer, channel, out)
    if (!pending) this.#grow(out)
  }

  ack(socket: ModelSocket, channel: number, seq: number): void {
    const receiver = this.#receiverOf(socket, channel)
    if (!receiver) return
    const [, into] = this.#both(socket, receiver)
    if (seq <= into.acked) return
    ackThrough(into, seq)
    this.#peer(socket, receiver)?.acks.set(channel, seq)
  }

  /** Something that no message after the attach may be. */
  nonsense(socket: ModelSocket): void {
    this.#close(socket, 'invalid_frame')
  }

  detach(socket: ModelSocket): void {
    this.sockets.delete(socket.role)
    socket.role.attached = false
  }

  /** What an honest client of a role would attach with, or what it last knew, `behind` acks ago. */
  claims(session: ModelSession, role: Role, behind: number): Attach['channels'] {
    const rows: Attach['channels'] = []
    for (const [i, receiver] of session.receivers.entries()) {
      if (!isLive(session, receiver) || (role !== session && role !== receiver)) continue
      const { s2r, r2s } = this.#channelOf(receiver)
      const [out, into] = role === session ? [s2r, r2s] : [r2s, s2r]
      const received = Math.max(0, into.received - behind)
      rows.push({ channel: i + 1, received, acked: Math.max(0, out.acked - behind) })
    }
    return rows
  }

  /** The next seq a role would send on a channel, and the next it would ack. */
  next(socket: ModelSocket, channel: number): { readonly data: number; readonly ack: number } {
    const receiver = socket.session.receivers[channel - 1]
    if (!receiver) return { data: 1, ack: 1 }
    const [out, into] = this.#both(socket, receiver)
    return { data: out.received + 1, ack: into.acked + 1 }
  }

  /** The receiver whose live channel this frame is about. Anything else is discarded, or closes the socket. */
  #receiverOf(socket: ModelSocket, channel: number): ModelReceiver | undefined {
    const { session, role } = socket
    const receiver = session.receivers[channel - 1]
    if (!receiver || (role !== session && role !== receiver)) {
      this.#close(socket, 'invalid_frame')
      return undefined
    }
    return isLive(session, receiver) ? receiver : undefined
  }

  #grow(direction: Direction): void {
    const { window } = direction
    const { approvedWindow, maxWindow, budget } = this.#limits
    if (window >= maxWindow || costOf(direction) + approvedWindow <= window) return
    const grown = Math.min(maxWindow, 2 * window)
    if (this.granted + grown - window <= budget) direction.window = grown
  }

  #deliver(reader: ModelSocket, channel: number, { frames }: Direction): void {
    for (const { seq, text } of frames) {
      if (seq <= (reader.cursors.get(channel) ?? 0)) continue
      reader.cursors.set(channel, seq)
      reader.data.push({ channel, seq, text })
    }
  }

  #close(socket: ModelSocket, code: CloseErrorCode): void {
    socket.closed = code
    this.detach(socket)
  }

  #peer({ session, role }: ModelSocket, receiver: ModelReceiver): ModelSocket | undefined {
    return this.sockets.get(role === session ? receiver : session)
  }

  /** Outbound and inbound, as this socket has them. */
  #both({ session, role }: ModelSocket, receiver: ModelReceiver): [Direction, Direction] {
    const { s2r, r2s } = this.#channelOf(receiver)
    return role === session ? [s2r, r2s] : [r2s, s2r]
  }

  #channelOf(receiver: ModelReceiver): { readonly s2r: Direction; readonly r2s: Direction } {
    const channel = this.#channels.get(receiver)
    if (!channel) throw new Error('no such channel')
    return channel
  }

  #directions(receiver: ModelReceiver): Direction[] {
    return Object.values(this.#channelOf(receiver))
  }

  #direction(receiver: ModelReceiver, name: 's2r' | 'r2s'): Direction {
    return this.#channelOf(receiver)[name]
  }
}

function ackThrough(direction: Direction, seq: number): void {
  if (seq <= direction.acked) return
  direction.acked = seq
  direction.received = Math.max(direction.received, seq)
  direction.frames = direction.frames.filter((each) => each.seq > seq)
}

function costOf({ frames }: Direction): number {
  return frames.reduce((sum, { cost }) => sum + cost, 0)
}

function isLive(session: ModelSession, { state }: ModelReceiver): boolean {
  return !session.ended && (state === 'pending' || state === 'approved')
}

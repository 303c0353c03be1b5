import type { CloseErrorCode, ErrorCode } from '../../../src/protocol/errors.ts'
import type { Attach } from '../../../src/protocol/requests.ts'
import type { View } from '../../../src/protocol/view.ts'
import { Model, type ModelLimits, type ModelReceiver, type ModelSession } from './sessions.ts'

/**
 * The model of sessions of `sessions.ts`, with what a session is for: tokens, sockets, frames, acks and windows.
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

const HANDSHAKE = { seq: 2, ciphertext: 2_048 }

export class AbuseModel extends Model {
  readonly #limits: AbuseLimits
  readonly #channels = new Map<ModelReceiver, { readonly s2r: Direction; readonly r2s: Direction }>()
  /** The open socket of each role that has one. */
  readonly sockets = new Map<Role, ModelSocket>()

  constructor(limits: AbuseLimits) {
    super(limits)
    this.#limits = limits
  }

  /** The answer to a token before anything else is looked at. */
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
    // A row that made way takes its token along.
    for (const socket of this.sockets.values()) {
      const { session, role } = socket
      if (role !== session && !session.receivers.some((each) => each === role)) this.#close(socket, 'unauthorized')
    }
  }

  /** Also says which windows there are then, and ends the sockets of those whose frames are forgotten. */
  override settle(session: ModelSession): Role[] {
    const before = new Map(session.receivers.map((each) => [each, each.windows]))
    const resuming = super.settle(session)
    for (const receiver of session.receivers) {
      if (before.get(receiver) === receiver.windows && receiver.opened) continue
      for (const direction of this.#directions(receiver)) {
        if (!receiver.opened) Object.assign(direction, { received: 0, acked: 0, frames: [] })
        if (before.get(receiver) !== receiver.windows) direction.window = this.windowOf(receiver)
      }
    }
    for (const role of resuming) {
      const socket = this.sockets.get(role)
      if (socket) this.#close(socket, 'resume_required')
    }
    return resuming.length > 0 ? this.settle(session) : []
  }

  settleAll(): void {
    for (const session of this.sessions) this.settle(session)
  }

  get granted(): number {
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
      const { received, acked, window } = this.#direction(receiverIn(session, channel), me ? 'r2s' : 's2r')
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
      const { channel } = receiver
      const claim = claims.find((each) => each.channel === channel) ?? { received: 0, acked: 0 }
      const [out, into] = this.#both(socket, receiver)
      // The word of a writer counts where the relay has forgotten what it had.
      if (!receiver.opened) ackThrough(out, claim.acked)
      ackThrough(into, claim.received)
      receiver.opened = true
      socket.cursors.set(channel, Math.max(claim.received, into.acked))
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
    if (seq === 2 && socket.role === socket.session) receiver.answered = true
    const peer = this.#peer(socket, receiver)
    if (peer) this.#deliver(peer, channel, out)
    if (receiver.windows === 'transfer') this.#grow(out)
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
    if ('awaySince' in socket.role) socket.role.awaySince = this.now
    socket.role.attached = false
  }

  /** Positions in an honest client's attach, or its knowledge of `behind` acks ago. */
  claims(session: ModelSession, role: Role, behind: number): Attach['channels'] {
    const rows: Attach['channels'] = []
    for (const receiver of session.receivers) {
      if (!isLive(session, receiver) || (role !== session && role !== receiver)) continue
      const { s2r, r2s } = this.#channelOf(receiver)
      const [out, into] = role === session ? [s2r, r2s] : [r2s, s2r]
      const received = Math.max(0, into.received - behind)
      rows.push({ channel: receiver.channel, received, acked: Math.max(0, out.acked - behind) })
    }
    return rows
  }

  /** The next seq a role would send on a channel, and the next it would ack. */
  next(socket: ModelSocket, channel: number): { readonly data: number; readonly ack: number } {
    const receiver = receiverIn(socket.session, channel)
    if (!receiver) return { data: 1, ack: 1 }
    const [out, into] = this.#both(socket, receiver)
    return { data: out.received + 1, ack: into.acked + 1 }
  }

  /** The receiver whose live channel this frame is about. Anything else is discarded, or closes the socket. */
  #receiverOf(socket: ModelSocket, channel: number): ModelReceiver | undefined {
    const { session, role } = socket
    const receiver = receiverIn(session, channel)
    if (channel > session.joins || (role !== session && role !== receiver)) {
      this.#close(socket, 'invalid_frame')
      return undefined
    }
    return receiver && isLive(session, receiver) ? receiver : undefined
  }

  #grow(direction: Direction): void {
    const { window } = direction
    const { approvedWindow, maxWindow } = this.#limits
    if (window >= maxWindow || costOf(direction) + approvedWindow <= window) return
    direction.window = Math.min(maxWindow, 2 * window)
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

  #direction(receiver: ModelReceiver | undefined, name: 's2r' | 'r2s'): Direction {
    if (!receiver) throw new Error('no such channel')
    return this.#channelOf(receiver)[name]
  }
}

function receiverIn(session: ModelSession, channel: number): ModelReceiver | undefined {
  return session.receivers.find((each) => each.channel === channel)
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

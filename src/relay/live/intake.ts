import { FRAME_ACK, type Frame } from '../../protocol/frame.ts'
import { FRAME_HEADER_BYTES, HANDSHAKE_MAX_CIPHERTEXT_BYTES, HANDSHAKE_MAX_SEQ } from '../../protocol/limits.ts'
import { type Awaitable, after } from '../awaitable.ts'
import type { Channels } from '../channel/channels.ts'
import { RelayError } from '../errors.ts'
import type { AppendOutcome, Clock, Direction, Metrics, SessionStore, StoredFrame } from '../ports.ts'
import { answer } from '../session/presence.ts'
import { type Holder, liveReceiver, type Session } from '../session/session.ts'
import { inbound, outbound } from '../session/view.ts'
import { type AttachedLeg, keyOf } from './leg.ts'

export interface IntakePorts {
  readonly channels: Channels
  readonly clock: Clock
  readonly metrics: Metrics
  readonly sessions: SessionStore
}

/** The other sockets of this node, and whoever else has to hear of a frame. */
export interface Neighbours {
  /** A frame of this direction is there to be read. */
  arrived(session: Session, channel: number, direction: Direction): void
  /** Frames of this direction were acked through a seq. */
  acked(session: Session, channel: number, direction: Direction, seq: number): void
  /** Re-reads a session and brings all its sockets in line, so that what changed is shown before what it allows. */
  refresh(sessionId: string): Promise<void>
}

const UNKNOWN = { kind: 'unknown' } as const

/** What happens to the frames that come in: kept, passed on, discarded with a reason, or the end of their socket. */
export class Intake {
  readonly #ports: IntakePorts
  readonly #neighbours: Neighbours

  constructor(ports: IntakePorts, neighbours: Neighbours) {
    this.#ports = ports
    this.#neighbours = neighbours
  }

  /** Takes one binary frame of an attached socket. Throws RelayError for one that closes it. */
  take(leg: AttachedLeg, frame: Frame): Awaitable<void> {
    return after(this.#channelState(leg, frame), (state) => {
      if (state === 'ended') return this.#ports.metrics.discarded('channel_ended')
      // A channel that has just moved is being opened where it is now.
      const opening = leg.attached.channels?.get(frame.channel)?.opening
      return opening ? opening.then(() => this.#takeKnown(leg, frame)) : this.#takeKnown(leg, frame)
    })
  }

  #takeKnown(leg: AttachedLeg, frame: Frame): Awaitable<void> {
    return frame.type === FRAME_ACK ? this.#takeAck(leg, frame) : this.#takeData(leg, frame)
  }

  #takeData(leg: AttachedLeg, frame: Frame): Awaitable<void> {
    const { channel, seq, bytes } = frame
    const { session, holder, channels } = leg.attached
    const window = this.#ports.channels.windowOf(session, holder, channel)
    const outcome = channels?.get(channel)?.mailboxes.append(keyOf(leg, channel, 'outbound'), { seq, bytes }, window)
    return after(outcome ?? UNKNOWN, (known) => this.#settleData(leg, frame, known))
  }

  #settleData(leg: AttachedLeg, frame: Frame, outcome: AppendOutcome): Awaitable<void> {
    const { channel, seq } = frame
    const { session, holder, channels } = leg.attached
    const open = channels?.get(channel)
    switch (outcome.kind) {
      case 'stored': {
        if (open) open.received = seq
        this.#neighbours.arrived(session, channel, outbound(holder))
        if (isAnswer(session, holder, channel, seq)) void this.#recordAnswer(session, channel)
        const grown = this.#ports.channels.grow(session, holder, channel, outcome.unackedCost)
        if (grown) void leg.showView()
        return undefined
      }
      case 'duplicate':
        this.#ports.metrics.discarded('duplicate')
        return leg.passAck(channel, outcome.position.acked)
      case 'gap':
        // Either the client has left one out, or the store has lost what it had.
        throw new RelayError(seq === (open?.received ?? 0) + 1 ? 'resume_required' : 'invalid_frame')
      case 'full':
        throw new RelayError('window_exceeded')
      case 'unknown':
        return this.#resumeForgotten(leg, frame)
      default:
        return outcome satisfies never
    }
  }

  async #recordAnswer({ id }: Session, channel: number): Promise<void> {
    try {
      await this.#ports.sessions.update(id, (session) => answer(session, channel))
    } catch (error) {
      // Without the record a receiver can be displaced, and nothing else is lost.
      if (!(error instanceof RelayError)) this.#ports.metrics.failed(error)
    }
  }

  #takeAck(leg: AttachedLeg, frame: Frame): Awaitable<void> {
    const { channel, seq } = frame
    const { session, holder, channels } = leg.attached
    const outcome = channels?.get(channel)?.mailboxes.ackThrough(keyOf(leg, channel, 'inbound'), seq)
    return after(outcome ?? UNKNOWN, ({ kind }) => {
      if (kind === 'unknown') return this.#resumeForgotten(leg, frame)
      return kind === 'raised' ? this.#neighbours.acked(session, channel, inbound(holder), seq) : undefined
    })
  }

  /**
   * What a frame meets on its channel. The session is re-read before anything is refused: another node may have changed it. What
   * has ended stays ended.
   */
  #channelState(leg: AttachedLeg, frame: Frame): Awaitable<'pending' | 'approved' | 'ended'> {
    const now = this.#ports.clock.now()
    const state = channelStateFor(leg, frame, now)
    return state === 'invalid' ? this.#channelStateAfresh(leg, frame, now) : state
  }

  async #channelStateAfresh(leg: AttachedLeg, frame: Frame, now: number): Promise<'pending' | 'approved' | 'ended'> {
    await this.#neighbours.refresh(leg.attached.sessionId)
    if (leg.closed) return 'ended'
    const state = channelStateFor(leg, frame, now)
    if (state === 'invalid') throw new RelayError('invalid_frame')
    return state
  }

  /** The mailbox is not there: either its channel ended just now, or the relay forgot it and both sides must resume. */
  async #resumeForgotten(leg: AttachedLeg, frame: Frame): Promise<void> {
    const state = await this.#channelStateAfresh(leg, frame, this.#ports.clock.now())
    if (state === 'ended') return this.#ports.metrics.discarded('channel_ended')
    throw new RelayError('resume_required')
  }
}

function channelStateFor(leg: AttachedLeg, frame: Frame, now: number): 'pending' | 'approved' | 'ended' | 'invalid' {
  const { session, holder } = leg.attached
  const state = channelState(session, holder, frame.channel, now)
  if (state !== 'pending' || frame.type === FRAME_ACK) return state
  return isHandshake(frame) ? state : 'invalid'
}

/** What a role's channel is. `invalid`: never given out, or not the caller's. */
export function channelState(
  session: Session,
  holder: Holder,
  channel: number,
  now: number,
): 'pending' | 'approved' | 'ended' | 'invalid' {
  if (holder.role === 'receiver' && holder.channel !== channel) return 'invalid'
  if (channel > session.joins) return 'invalid'
  const receiver = liveReceiver(session, channel)
  if (!receiver || session.state === 'closed' || now >= session.expiresAt) return 'ended'
  return receiver.state
}

/** Reports whether this is the sender's last frame of a handshake that waits for it. */
export function isAnswer(session: Session, holder: Holder, channel: number, seq: number): boolean {
  if (seq !== HANDSHAKE_MAX_SEQ || holder.role === 'receiver') return false
  const receiver = liveReceiver(session, channel)
  return receiver?.state === 'pending' && !receiver.answered
}

/** Whether a frame, header included, may pass before the approval. */
export function isHandshake({ seq, bytes }: StoredFrame): boolean {
  return seq <= HANDSHAKE_MAX_SEQ && bytes.length - FRAME_HEADER_BYTES <= HANDSHAKE_MAX_CIPHERTEXT_BYTES
}

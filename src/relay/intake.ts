import { FRAME_ACK, type Frame } from '../protocol/codec.ts'
import { FRAME_HEADER_BYTES, HANDSHAKE_MAX_CIPHERTEXT_BYTES, HANDSHAKE_MAX_SEQ } from '../protocol/limits.ts'
import { type Awaitable, after } from './awaitable.ts'
import type { Budget } from './budget.ts'
import { RelayError } from './error.ts'
import { type AttachedLeg, keyOf } from './leg.ts'
import type { AppendOutcome, Clock, MailboxStore, Metrics } from './ports.ts'
import { liveReceiver } from './session.ts'

export interface IntakePorts {
  readonly mailboxes: MailboxStore
  readonly budget: Budget
  readonly clock: Clock
  readonly metrics: Metrics
  /** The largest a grant grows, in bytes of frame cost. */
  readonly windowBytes: number
  /** The largest frame, header included. */
  readonly maxFrameBytes: number
}

/** The other sockets of this node. */
export interface Legs {
  peerOf(leg: AttachedLeg, channel: number): AttachedLeg | undefined
  /** Re-reads a session and brings all its sockets in line, so that what changed is shown before what it allows. */
  refresh(sessionId: string): Promise<void>
}

/** What happens to the frames that come in: kept, passed on, discarded with a reason, or the end of their socket. */
export class Intake {
  readonly #ports: IntakePorts
  readonly #legs: Legs

  constructor(ports: IntakePorts, legs: Legs) {
    this.#ports = ports
    this.#legs = legs
  }

  /** Takes one binary frame of an attached socket. Throws RelayError for one that closes it. */
  take(leg: AttachedLeg, frame: Frame): Awaitable<void> {
    return after(this.#channelState(leg, frame), (state) => {
      if (state === 'ended') return this.#ports.metrics.discarded('channel_ended')
      return frame.type === FRAME_ACK ? this.#takeAck(leg, frame) : this.#takeData(leg, frame)
    })
  }

  #takeData(leg: AttachedLeg, frame: Frame): Awaitable<void> {
    const { channel, seq, bytes } = frame
    const key = keyOf(leg, channel, 'outbound')
    const outcome = this.#ports.mailboxes.append(key, { seq, bytes }, this.#ports.budget.grantOf(key))
    return after(outcome, (known) => this.#settleData(leg, frame, known))
  }

  #settleData(leg: AttachedLeg, frame: Frame, outcome: AppendOutcome): Awaitable<void> {
    const { channel } = frame
    switch (outcome.kind) {
      case 'stored':
        this.#legs.peerOf(leg, channel)?.wakeChannel(channel)
        return this.#growWindow(leg, channel, outcome.unackedCost)
      case 'duplicate':
        this.#ports.metrics.discarded('duplicate')
        return leg.passAck(channel, outcome.position.acked)
      case 'gap':
        throw new RelayError('invalid_frame')
      case 'full':
        throw new RelayError('window_exceeded')
      case 'unknown':
        return this.#resumeForgotten(leg, frame)
      default:
        return outcome satisfies never
    }
  }

  #takeAck(leg: AttachedLeg, frame: Frame): Awaitable<void> {
    const { channel, seq } = frame
    return after(this.#ports.mailboxes.ackThrough(keyOf(leg, channel, 'inbound'), seq), ({ kind }) => {
      if (kind === 'unknown') return this.#resumeForgotten(leg, frame)
      return kind === 'raised' ? this.#legs.peerOf(leg, channel)?.passAck(channel, seq) : undefined
    })
  }

  /** What a frame meets on its channel. The session is re-read before anything is refused: another node may have changed it. */
  #channelState(leg: AttachedLeg, frame: Frame): Awaitable<'pending' | 'approved' | 'ended'> {
    const now = this.#ports.clock.now()
    const state = channelStateFor(leg, frame, now)
    return state === 'pending' || state === 'approved' ? state : this.#channelStateAfresh(leg, frame, now)
  }

  async #channelStateAfresh(leg: AttachedLeg, frame: Frame, now: number): Promise<'pending' | 'approved' | 'ended'> {
    await this.#legs.refresh(leg.attached.sessionId)
    if (leg.closed) return 'ended'
    const state = channelStateFor(leg, frame, now)
    if (state === 'invalid') throw new RelayError('invalid_frame')
    return state
  }

  /** The mailbox is not there: either its channel ended just now, or the relay forgot it and both sides must resume. */
  async #resumeForgotten(leg: AttachedLeg, frame: Frame): Promise<void> {
    const state = await this.#channelStateAfresh(leg, frame, this.#ports.clock.now())
    if (state === 'ended') return this.#ports.metrics.discarded('channel_ended')
    throw new RelayError('going_away')
  }

  /** Doubles a grant that the next full frame would not fit into, as long as the node has room. Never taken back. */
  #growWindow(leg: AttachedLeg, channel: number, unackedCost: number): void {
    const { budget, windowBytes, maxFrameBytes } = this.#ports
    if (liveReceiver(leg.attached.session, channel)?.state !== 'approved') return
    const key = keyOf(leg, channel, 'outbound')
    const granted = budget.grantOf(key)
    if (granted >= windowBytes || unackedCost + maxFrameBytes <= granted) return
    if (budget.raise([key], Math.min(windowBytes, granted * 2))) void leg.showView()
  }
}

function channelStateFor(leg: AttachedLeg, frame: Frame, now: number): 'pending' | 'approved' | 'ended' | 'invalid' {
  const { session, holder } = leg.attached
  if (holder.role === 'receiver' && holder.channel !== frame.channel) return 'invalid'
  if (frame.channel > session.receivers.length) return 'invalid'
  const receiver = liveReceiver(session, frame.channel)
  if (!receiver || session.state === 'closed' || now >= session.expiresAt) return 'ended'
  if (receiver.state === 'approved' || frame.type === FRAME_ACK) return receiver.state
  const ciphertextBytes = frame.bytes.length - FRAME_HEADER_BYTES
  return frame.seq > HANDSHAKE_MAX_SEQ || ciphertextBytes > HANDSHAKE_MAX_CIPHERTEXT_BYTES ? 'invalid' : 'pending'
}

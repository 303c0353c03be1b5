import { FRAME_ACK, type Frame } from '../protocol/codec.ts'
import { FRAME_HEADER_BYTES, HANDSHAKE_MAX_CIPHERTEXT_BYTES, HANDSHAKE_MAX_SEQ } from '../protocol/limits.ts'
import type { Budget } from './budget.ts'
import { RelayError } from './error.ts'
import { type AttachedLeg, keyOf } from './leg.ts'
import type { Clock, MailboxStore, Metrics, SessionStore } from './ports.ts'
import { liveReceiver } from './session.ts'

export interface IntakePorts {
  readonly sessions: SessionStore
  readonly mailboxes: MailboxStore
  readonly budget: Budget
  readonly clock: Clock
  readonly metrics: Metrics
  /** The largest a grant grows, in bytes of frame cost. */
  readonly windowBytes: number
  /** The largest frame, header included. */
  readonly maxFrameBytes: number
}

/** What happens to the frames that come in: kept, passed on, discarded with a reason, or the end of their socket. */
export class Intake {
  readonly #ports: IntakePorts
  readonly #peerOf: (leg: AttachedLeg, channel: number) => AttachedLeg | undefined

  constructor(ports: IntakePorts, peerOf: (leg: AttachedLeg, channel: number) => AttachedLeg | undefined) {
    this.#ports = ports
    this.#peerOf = peerOf
  }

  /** Takes one binary frame of an attached socket. Throws RelayError for one that closes it. */
  async take(leg: AttachedLeg, frame: Frame): Promise<void> {
    const state = await this.#channelState(leg, frame)
    if (state === 'ended') return this.#ports.metrics.discarded('channel_ended')
    return frame.type === FRAME_ACK ? this.#takeAck(leg, frame) : this.#takeData(leg, frame)
  }

  async #takeData(leg: AttachedLeg, frame: Frame): Promise<void> {
    const { channel, seq, bytes } = frame
    const key = keyOf(leg, channel, 'outbound')
    const outcome = await this.#ports.mailboxes.append(key, { seq, bytes }, this.#ports.budget.grantOf(key))
    switch (outcome.kind) {
      case 'stored':
        this.#peerOf(leg, channel)?.wakeChannel(channel)
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

  async #takeAck(leg: AttachedLeg, frame: Frame): Promise<void> {
    const { channel, seq } = frame
    const outcome = await this.#ports.mailboxes.ackThrough(keyOf(leg, channel, 'inbound'), seq)
    if (outcome.kind === 'unknown') return this.#resumeForgotten(leg, frame)
    if (outcome.kind === 'raised') this.#peerOf(leg, channel)?.passAck(channel, seq)
  }

  /** What a frame meets on its channel. The session is re-read before anything is refused: another node may have changed it. */
  async #channelState(leg: AttachedLeg, frame: Frame): Promise<'pending' | 'approved' | 'ended'> {
    const now = this.#ports.clock.now()
    const state = channelStateFor(leg, frame, now)
    if (state === 'pending' || state === 'approved') return state
    await this.#reread(leg)
    const afresh = channelStateFor(leg, frame, now)
    if (afresh === 'invalid') throw new RelayError('invalid_frame')
    return afresh
  }

  async #reread(leg: AttachedLeg): Promise<void> {
    const session = await this.#ports.sessions.get(leg.attached.sessionId)
    if (!session) throw new RelayError('session_not_found')
    leg.attached.session = session
  }

  /** The mailbox is not there: either its channel ended just now, or the relay forgot it and both sides must resume. */
  async #resumeForgotten(leg: AttachedLeg, frame: Frame): Promise<void> {
    await this.#reread(leg)
    if (channelStateFor(leg, frame, this.#ports.clock.now()) === 'ended') {
      return this.#ports.metrics.discarded('channel_ended')
    }
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

import { encodeData } from '../../protocol/frame.ts'
import { FRAME_HEADER_BYTES } from '../../protocol/limits.ts'
import type { Channels } from '../channel/channels.ts'
import { RelayError } from '../errors.ts'
import type { Clock, MailboxPosition, Metrics, Secrets, SessionStore, StoredFrame } from '../ports.ts'
import { type Authorized, authorize, requireCurrent } from '../session/authorize.ts'
import { answer } from '../session/presence.ts'
import { inbound, mailboxKey, outbound } from '../session/view.ts'
import { channelState, isAnswer, isHandshake, type Neighbours } from './intake.ts'

export interface HttpFramesPorts {
  readonly sessions: SessionStore
  readonly secrets: Secrets
  readonly clock: Clock
  readonly metrics: Metrics
  readonly channels: Channels
  readonly neighbours: Neighbours
}

/** One frame's place, and who asks. */
export interface FrameCall {
  readonly sessionId: string
  readonly token: string
  readonly channel: number
  readonly seq: number
  /** Which attach over HTTP the caller goes by. */
  readonly attachment?: string | undefined
}

/** Frames for clients that cannot hold a socket. Every call may be repeated. */
export class HttpFrames {
  readonly #ports: HttpFramesPorts

  constructor(ports: HttpFramesPorts) {
    this.#ports = ports
  }

  /**
   * Takes the next frame of the caller's direction, its ciphertext given. RelayError `frame_refused` when it is not the
   * next, is not the one that is held, or does not fit the window, `resume_required` when the relay knows nothing of the channel: attach again.
   */
  async put(call: FrameCall, ciphertext: Uint8Array): Promise<MailboxPosition & { readonly window: number }> {
    const { channel, seq } = call
    const { channels, neighbours, metrics, sessions } = this.#ports
    const { session, holder } = await this.#authorize(call)
    const frame = { seq, bytes: encodeData(channel, seq, ciphertext) }
    const pending = channelState(session, holder, channel, this.#ports.clock.now()) === 'pending'
    if (pending && !isHandshake(frame)) throw new RelayError('invalid_frame', 'the receiver is not approved')
    const key = mailboxKey(session.id, channel, outbound(holder))
    const window = channels.windowOf(session, holder, channel)
    const mailboxes = channels.storeOf(session, channel)
    const outcome = await mailboxes.append(key, frame, window)
    switch (outcome.kind) {
      case 'stored':
        neighbours.arrived(session, channel, outbound(holder))
        channels.grow(session, holder, channel, outcome.unackedCost)
        break
      case 'duplicate':
        if (isAnother(await mailboxes.read(key, seq - 1), frame)) {
          throw new RelayError('frame_refused', 'this frame came with other bytes')
        }
        metrics.discarded('duplicate')
        break
      case 'gap':
      case 'full':
        throw new RelayError('frame_refused')
      case 'unknown':
        throw new RelayError('resume_required')
      default:
        return outcome satisfies never
    }
    if (isAnswer(session, holder, channel, seq))
      await sessions.update(session.id, (current) => answer(current, channel))
    return { ...outcome.position, window: channels.windowOf(session, holder, channel) }
  }

  /** The ciphertext of a frame that came for the caller, or undefined while it is not there. */
  async get(call: FrameCall): Promise<Uint8Array | undefined> {
    const { channel, seq } = call
    const { session, holder } = await this.#authorize(call)
    const key = mailboxKey(session.id, channel, inbound(holder))
    const mailboxes = this.#ports.channels.storeOf(session, channel)
    const frame = await mailboxes.read(key, seq - 1)
    const position = frame ? undefined : await mailboxes.position(key)
    if (!frame && !position) throw new RelayError('resume_required')
    if ((frame && frame.seq !== seq) || (position && position.acked >= seq))
      throw new RelayError('frame_refused', 'this frame was acked')
    return frame?.bytes.subarray(FRAME_HEADER_BYTES)
  }

  /** Acks every frame of the caller's inbound direction up to this one. */
  async ackThrough(call: FrameCall): Promise<void> {
    const { channel, seq } = call
    const { channels, neighbours } = this.#ports
    const { session, holder } = await this.#authorize(call)
    const key = mailboxKey(session.id, channel, inbound(holder))
    const { kind } = await channels.storeOf(session, channel).ackThrough(key, seq)
    if (kind === 'unknown') throw new RelayError('resume_required')
    if (kind === 'raised') neighbours.acked(session, channel, inbound(holder), seq)
  }

  async #authorize({ sessionId, token, channel, attachment }: FrameCall): Promise<Authorized> {
    const authorized = await authorize(this.#ports, sessionId, token)
    const { session, holder } = authorized
    if (session.state === 'closed' || this.#ports.clock.now() >= session.expiresAt) throw new RelayError('session_gone')
    const state = channelState(session, holder, channel, this.#ports.clock.now())
    if (state === 'invalid') throw new RelayError(holder.role === 'receiver' ? 'forbidden' : 'receiver_not_found')
    if (state === 'ended') throw new RelayError('receiver_gone')
    requireCurrent(authorized, attachment)
    return authorized
  }
}

/** Reports whether another frame is held at this seq. */
function isAnother(held: StoredFrame | undefined, { seq, bytes }: StoredFrame): boolean {
  if (held?.seq !== seq) return false
  return held.bytes.length !== bytes.length || held.bytes.some((byte, i) => byte !== bytes[i])
}

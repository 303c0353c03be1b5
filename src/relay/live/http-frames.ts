import { encodeData } from '../../protocol/frame.ts'
import { FRAME_HEADER_BYTES } from '../../protocol/limits.ts'
import type { ChannelEnd } from '../channel/channel-end.ts'
import { RelayError } from '../errors.ts'
import { inOnePiece } from '../pieces.ts'
import type { MailboxPosition } from '../ports.ts'
import { requireCurrent } from '../session/authorize.ts'
import { channelState } from '../session/channel-state.ts'
import type { Session } from '../session/session.ts'
import type { LiveSession } from './live-session.ts'
import type { RelayNode } from './node.ts'

/** A frame of a channel, and the client that asks. */
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
  readonly #node: RelayNode

  constructor(node: RelayNode) {
    this.#node = node
  }

  /**
   * Takes the next frame of the caller's direction, its ciphertext given. RelayError `frame_refused` when it is not the next, is
   * not the one that is held, or does not fit the window, `resume_required` when the relay knows nothing of the channel.
   */
  async put(call: FrameCall, ciphertext: Uint8Array): Promise<MailboxPosition & { readonly window: number }> {
    const { session, live, end } = await this.#open(call)
    const frame = { seq: call.seq, bytes: encodeData(call.channel, call.seq, ciphertext) }
    const outcome = await end.put(session, frame, this.#node.ports.clock.now())
    switch (outcome.kind) {
      case 'stored':
      case 'duplicate':
        if (outcome.kind === 'duplicate' && (await end.holdsAnother(frame)))
          throw new RelayError('frame_refused', 'this frame came with other bytes')
        await live.kept(end, outcome, frame.bytes.length)
        return { ...outcome.position, window: end.windowIn(session) }
      case 'ended':
        throw new RelayError('receiver_gone')
      case 'forgotten':
        throw new RelayError('resume_required')
      case 'refused':
        if (outcome.why === 'early') throw new RelayError('invalid_frame', 'the receiver is not approved')
        throw new RelayError('frame_refused')
      default:
        return outcome satisfies never
    }
  }

  /** The ciphertext of a frame that came for the caller, or undefined while it is not there. */
  async get(call: FrameCall): Promise<Uint8Array | undefined> {
    const { end } = await this.#open(call)
    const frame = await end.next(call.seq - 1)
    const position = frame ? undefined : await end.inboundPosition()
    if (!frame && !position) throw new RelayError('resume_required')
    if ((frame && frame.seq !== call.seq) || (position && position.acked >= call.seq))
      throw new RelayError('frame_refused', 'this frame was acked')
    return frame && inOnePiece(frame.bytes).subarray(FRAME_HEADER_BYTES)
  }

  /** Acks every frame of the caller's inbound direction up to this one. */
  async ackThrough(call: FrameCall): Promise<void> {
    const { session, live, end } = await this.#open(call)
    const { kind } = await end.ackThrough(session, call.seq, this.#node.ports.clock.now())
    if (kind === 'forgotten') throw new RelayError('resume_required')
    if (kind === 'raised') live.acked(end, call.seq)
  }

  async #open(call: FrameCall): Promise<{ session: Session; live: LiveSession; end: ChannelEnd }> {
    const { sessionId, token, channel, attachment } = call
    const authorized = await this.#node.authorize(sessionId, token)
    const { session, party } = authorized
    const now = this.#node.ports.clock.now()
    if (session.state === 'closed' || now >= session.expiresAt) throw new RelayError('session_gone')
    const state = channelState(session, party, channel, now)
    if (state === 'invalid') throw new RelayError(party.role === 'receiver' ? 'forbidden' : 'receiver_not_found')
    if (state === 'ended') throw new RelayError('receiver_gone')
    requireCurrent(authorized, attachment)
    const live = this.#node.peek(sessionId)
    return { session, live, end: live.channels.endOf(session, party, channel) }
  }
}

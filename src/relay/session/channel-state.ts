import { HANDSHAKE_MAX_CIPHERTEXT_BYTES, HANDSHAKE_MAX_SEQ } from '../../protocol/limits.ts'
import { isLive, liveReceiver, type Party, type Session } from './session.ts'

/** Rules for what a channel carries now, for one of its roles. */

/** `invalid`: never given out, or not the party's. */
export type ChannelState = 'pending' | 'approved' | 'ended' | 'invalid'

export function channelState(session: Session, party: Party, channel: number, now: number): ChannelState {
  if (party.role === 'receiver' && party.channel !== channel) return 'invalid'
  if (channel > session.joins) return 'invalid'
  const receiver = liveReceiver(session, channel)
  if (!receiver || session.state === 'closed' || now >= session.expiresAt) return 'ended'
  return receiver.state
}

/** The channels a role can send and receive frames on now. */
export function channelsOf(session: Session, party: Party): number[] {
  if (party.role === 'receiver') return liveReceiver(session, party.channel) ? [party.channel] : []
  if (session.state === 'closed') return []
  return session.receivers.filter(isLive).map((receiver) => receiver.channel)
}

/** Reports whether a frame may pass before the approval. */
export function isHandshake(seq: number, ciphertextBytes: number): boolean {
  return seq <= HANDSHAKE_MAX_SEQ && ciphertextBytes <= HANDSHAKE_MAX_CIPHERTEXT_BYTES
}

/** Reports whether this is the sender's last frame of a handshake that waits for it. */
export function isAnswer(session: Session, party: Party, channel: number, seq: number): boolean {
  if (seq !== HANDSHAKE_MAX_SEQ || party.role === 'receiver') return false
  const receiver = liveReceiver(session, channel)
  return receiver?.state === 'pending' && !receiver.answered
}

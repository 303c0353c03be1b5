import {
  AttachmentId,
  ChannelNumber,
  Code,
  DENIAL_REASONS,
  DeviceName,
  knownWord,
  Profile,
  PublicKey,
  Seq,
} from './fields.ts'
import * as form from './forms.ts'
import { RECEIVER_ROWS_MAX } from './limits.ts'

/** The text messages of a relay. Unknown fields are ignored, unknown words read as known ones: a later version can add some. */

/** `Sec-WebSocket-Protocol`. */
export const SUBPROTOCOL = 'pairlay.v1'

/** The states of a receiver. */
export const RECEIVER_STATES = ['pending', 'approved', 'denied', 'done', 'left', 'revoked'] as const
export type ReceiverState = (typeof RECEIVER_STATES)[number]

/** Why a session is closed. */
export const CLOSE_REASONS = ['completed', 'closed_by_sender', 'expired', 'shutting_down'] as const
export type CloseReason = (typeof CLOSE_REASONS)[number]

export const Role = form.literal('sender', 'receiver')
export type Role = form.Infer<typeof Role>

export const ReceiverRow = form.object({
  receiverCode: Code,
  channel: ChannelNumber,
  /** A state that a client does not know reads as `ended`. */
  state: knownWord(RECEIVER_STATES, 'ended'),
  reason: form.optional(knownWord(DENIAL_REASONS, 'rejected')),
  publicKey: form.optional(PublicKey),
  profile: form.optional(Profile),
  name: form.optional(DeviceName),
  present: form.optional(form.boolean()),
})
export type ReceiverRow = form.Infer<typeof ReceiverRow>

/**
 * The caller's outbound direction of a live channel: what the relay holds, what the peer acked, what may be unacked. Over
 * HTTP also `available`: the last inbound frame that can be fetched.
 */
export const ChannelRow = form.object({
  channel: ChannelNumber,
  received: Seq,
  acked: Seq,
  window: form.integer(0),
  available: form.optional(Seq),
})
export type ChannelRow = form.Infer<typeof ChannelRow>

/** Opaque, compared for equality only; fit for a URL once encoded. */
export const ViewVersion = form.string({ pattern: /^[\x21-\x7e]{1,32}$/ })

/** Relay to client: everything this role may know of the session. `senderPresent` is in a receiver's view alone. */
export const View = form.object({
  type: form.literal('session'),
  version: ViewVersion,
  role: Role,
  state: knownWord(['open', 'closed'], 'closed'),
  reason: form.optional(knownWord(CLOSE_REASONS, 'closed_by_sender')),
  expiresInMs: form.integer(0),
  joinable: form.boolean(),
  senderPresent: form.optional(form.boolean()),
  receivers: form.array(ReceiverRow, RECEIVER_ROWS_MAX),
  channels: form.array(ChannelRow, RECEIVER_ROWS_MAX),
})
export type View = form.Infer<typeof View>

/** The answer to an attach over HTTP: the view, and the name that later calls carry. */
export const AttachedView = form.object({ ...View.fields, attachment: AttachmentId })
export type AttachedView = form.Infer<typeof AttachedView>

import * as z from 'zod/mini'
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

export const Role = z.literal(['sender', 'receiver'])
export type Role = z.infer<typeof Role>

export const ReceiverRow = z.object({
  receiverCode: Code,
  channel: ChannelNumber,
  /** A state that a client does not know reads as `ended`. */
  state: knownWord(RECEIVER_STATES, 'ended'),
  reason: z.optional(knownWord(DENIAL_REASONS, 'rejected')),
  publicKey: z.optional(PublicKey),
  profile: z.optional(Profile),
  name: z.optional(DeviceName),
  present: z.optional(z.boolean()),
})
export type ReceiverRow = z.infer<typeof ReceiverRow>

/**
 * The caller's outbound direction of a live channel: what the relay holds, what the peer acked, what may be unacked. Over
 * HTTP also `available`: the last inbound frame that can be fetched.
 */
export const ChannelRow = z.object({
  channel: ChannelNumber,
  received: Seq,
  acked: Seq,
  window: z.int().check(z.minimum(0)),
  available: z.optional(Seq),
})
export type ChannelRow = z.infer<typeof ChannelRow>

/** Opaque, compared for equality only; fit for a URL once encoded. */
export const ViewVersion = z.string().check(z.regex(/^[\x21-\x7e]{1,32}$/))

/** Relay to client: everything this role may know of the session. `senderPresent` is in a receiver's view alone. */
export const View = z.object({
  type: z.literal('session'),
  version: ViewVersion,
  role: Role,
  state: knownWord(['open', 'closed'], 'closed'),
  reason: z.optional(knownWord(CLOSE_REASONS, 'closed_by_sender')),
  expiresInMs: z.int().check(z.minimum(0)),
  joinable: z.boolean(),
  senderPresent: z.optional(z.boolean()),
  receivers: z.array(ReceiverRow).check(z.maxLength(RECEIVER_ROWS_MAX)),
  channels: z.array(ChannelRow).check(z.maxLength(RECEIVER_ROWS_MAX)),
})
export type View = z.infer<typeof View>

/** The answer to an attach over HTTP: the view, and the name that later calls carry. */
export const AttachedView = z.extend(View, { attachment: AttachmentId })
export type AttachedView = z.infer<typeof AttachedView>

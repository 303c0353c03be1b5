import * as z from 'zod/mini'
import { ChannelNumber, Code, DenialReason, DeviceName, PublicKey, Seq } from './http.ts'

/** What the relay says in text. Unknown fields are ignored, so that a later version can add some. */

/** `Sec-WebSocket-Protocol`. */
export const SUBPROTOCOL = 'pairlay.v1'

export const ReceiverState = z.enum(['pending', 'approved', 'denied', 'done', 'left', 'revoked'])
export type ReceiverState = z.infer<typeof ReceiverState>

export const CloseReason = z.enum(['completed', 'closed_by_sender', 'expired', 'shutting_down'])
export type CloseReason = z.infer<typeof CloseReason>

export const Role = z.enum(['sender', 'receiver'])
export type Role = z.infer<typeof Role>

export const ReceiverRow = z.object({
  receiverCode: Code,
  channel: ChannelNumber,
  state: ReceiverState,
  reason: z.optional(DenialReason),
  publicKey: z.optional(PublicKey),
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
  window: z.int().check(z.nonnegative()),
  available: z.optional(Seq),
})
export type ChannelRow = z.infer<typeof ChannelRow>

/** Relay to client: everything this role may know of the session. `senderPresent` is in a receiver's view alone. */
export const View = z.object({
  type: z.literal('session'),
  version: z.string().check(z.maxLength(32)),
  role: Role,
  state: z.enum(['open', 'closed']),
  reason: z.optional(CloseReason),
  expiresInMs: z.int().check(z.nonnegative()),
  joinable: z.boolean(),
  senderPresent: z.optional(z.boolean()),
  receivers: z.array(ReceiverRow).check(z.maxLength(32)),
  channels: z.array(ChannelRow).check(z.maxLength(32)),
})
export type View = z.infer<typeof View>

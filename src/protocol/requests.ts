import * as z from 'zod/mini'
import {
  AttachmentId,
  CHANNEL_MAX,
  ChannelNumber,
  Code,
  DenialReason,
  DeviceName,
  Profile,
  PublicKey,
  Seq,
  Token,
} from './fields.ts'
import {
  CLIENT_ID_MAX_LENGTH,
  JOINS_MAX,
  LONG_POLL_MAX_MS,
  RECEIVERS_MAX,
  SEQ_MAX,
  TTL_MAX_SECONDS,
  TTL_MIN_SECONDS,
} from './limits.ts'
import type * as types from './request-types.ts'
import { ViewVersion } from './view.ts'
import { zodOf } from './zod.ts'

/** The requests of clients. Only the relay checks them: the SDK takes no more than the types. */

/** 32 channels of 28 characters. */
const SEEN_MAX_LENGTH = 32 * 28

export const CreateSessionRequest = z.object({
  clientId: z.string().check(z.minLength(1), z.maxLength(CLIENT_ID_MAX_LENGTH)),
  senderCode: zodOf(Code),
  ttlSeconds: z.optional(z.int().check(z.minimum(TTL_MIN_SECONDS), z.maximum(TTL_MAX_SECONDS))),
  maxReceivers: z.optional(z.int().check(z.minimum(1), z.maximum(RECEIVERS_MAX))),
  profile: z.optional(zodOf(Profile)),
}) satisfies z.ZodMiniType<types.CreateSessionRequest>
export type CreateSessionRequest = types.CreateSessionRequest

export const JoinRequest = z.object({
  senderCode: zodOf(Code),
  receiverCode: zodOf(Code),
  publicKey: zodOf(PublicKey),
  name: z.optional(zodOf(DeviceName)),
  profile: z.optional(zodOf(Profile)),
}) satisfies z.ZodMiniType<types.JoinRequest>
export type JoinRequest = types.JoinRequest

export const DecisionRequest = z.discriminatedUnion('decision', [
  z.object({ decision: z.literal('approved'), reason: z.optional(z.never()) }),
  z.object({ decision: z.literal('denied'), reason: z.optional(zodOf(DenialReason)) }),
]) satisfies z.ZodMiniType<types.DecisionRequest>
export type DecisionRequest = types.DecisionRequest

/** `channel.fetched.acked` of each channel, joined by commas, each a whole number. */
const SeenChannels = z.pipe(
  z
    .string()
    .check(z.maxLength(SEEN_MAX_LENGTH), z.regex(/^\d{1,5}\.\d{1,10}\.\d{1,10}(,\d{1,5}\.\d{1,10}\.\d{1,10})*$/)),
  z.transform((text) =>
    text.split(',').map((each) => {
      const [channel = 0, fetched = 0, acked = 0] = each.split('.').map(Number)
      return { channel, fetched, acked }
    }),
  ),
)

/**
 * The position of the caller of a view. `channels` only from one that is attached over HTTP: of each channel the last inbound
 * frame that it has fetched, and the last of its own that it knows to be acked; may be empty.
 */
export const ViewQuery = z.object({
  version: z.optional(z.union([z.literal(''), zodOf(ViewVersion)])),
  waitMs: z.optional(z.coerce.number().check(z.int(), z.minimum(0), z.maximum(LONG_POLL_MAX_MS))),
  channels: z.optional(
    z.union([
      z.pipe(
        z.literal(''),
        z.transform(() => []),
      ),
      SeenChannels,
    ]),
  ),
  attachment: z.optional(zodOf(AttachmentId)),
})

/** The attach that a call about a frame belongs to. */
export const FrameQuery = z.object({ attachment: z.optional(zodOf(AttachmentId)) })

/** Where a client goes on, each channel once. `received`: the last inbound seq it has processed; `acked`: its last seq that it knows to be acked. */
export const AttachedChannels = z
  .array(z.object({ channel: zodOf(ChannelNumber), received: zodOf(Seq), acked: zodOf(Seq) }))
  .check(
    z.maxLength(JOINS_MAX),
    z.refine((rows) => new Set(rows.map(({ channel }) => channel)).size === rows.length),
  )
export type AttachedChannels = z.infer<typeof AttachedChannels>

export const AttachRequest = z.object({ channels: AttachedChannels })
export type AttachRequest = z.infer<typeof AttachRequest>

/** The first frame of a WebSocket. */
export const Attach = z.object({ type: z.literal('attach'), token: zodOf(Token), channels: AttachedChannels })
export type Attach = z.infer<typeof Attach>

/** A frame's place in a path, as decimal numbers. */
export const ChannelInPath = decimal(1, CHANNEL_MAX)
export const SeqInPath = decimal(1, SEQ_MAX)

function decimal(min: number, max: number) {
  return z.pipe(
    z.pipe(z.string().check(z.regex(/^\d{1,10}$/)), z.transform(Number)),
    z.int().check(z.minimum(min), z.maximum(max)),
  )
}

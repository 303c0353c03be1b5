import * as z from 'zod/mini'
import { utf8Length } from './codec.ts'
import {
  CLIENT_ID_MAX_LENGTH,
  CODE_MAX_LENGTH,
  CODE_MIN_LENGTH,
  JOINS_MAX,
  LONG_POLL_MAX_MS,
  NAME_MAX_BYTES,
  PUBLIC_KEY_BYTES,
  RECEIVERS_MAX,
  SEQ_MAX,
  SESSION_ID_BYTES,
  TOKEN_BYTES,
  TTL_MAX_SECONDS,
  TTL_MIN_SECONDS,
} from './limits.ts'

/** The schemas of the HTTP commands. The server validates with them and prints them as OpenAPI, the SDK checks answers. */

/** What frames are in bodies. */
export const CIPHERTEXT_TYPE = 'application/octet-stream'
/** 32 channels of 28 characters. */
const SEEN_MAX_LENGTH = 32 * 28
const CHANNEL_MAX = 0xffff

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** The one base64url text of so many bytes: the bits that its last character has too many are zero. */
function base64UrlBytes(bytes: number) {
  const length = Math.ceil((bytes * 8) / 6)
  const step = 2 ** (length * 6 - bytes * 8)
  const last = [...BASE64URL].filter((_, value) => value % step === 0).join('')
  return z.string().check(z.length(length), z.regex(new RegExp(`^[A-Za-z0-9_-]{${length - 1}}[${last}]$`)))
}

/** The bytes of UTF-8 a text takes inside a JSON string, quotes not counted. */
function jsonBytes(text: string): number {
  return utf8Length(JSON.stringify(text)) - 2
}

export const Code = z
  .string()
  .check(z.minLength(CODE_MIN_LENGTH), z.maxLength(CODE_MAX_LENGTH), z.regex(/^[A-Za-z0-9_-]+$/))
export const SessionId = base64UrlBytes(SESSION_ID_BYTES)
export const Token = base64UrlBytes(TOKEN_BYTES)
export const PublicKey = base64UrlBytes(PUBLIC_KEY_BYTES)
export const DeviceName = z.string().check(
  z.minLength(1),
  z.maxLength(NAME_MAX_BYTES),
  z.refine((text) => jsonBytes(text) <= NAME_MAX_BYTES),
)
export const DenialReason = z.enum(['rejected', 'handshake_failed', 'handshake_timeout'])
export type DenialReason = z.infer<typeof DenialReason>

export const CreateSessionRequest = z.object({
  clientId: z.string().check(z.minLength(1), z.maxLength(CLIENT_ID_MAX_LENGTH)),
  senderCode: Code,
  ttlSeconds: z.optional(z.int().check(z.minimum(TTL_MIN_SECONDS), z.maximum(TTL_MAX_SECONDS))),
  maxReceivers: z.optional(z.int().check(z.minimum(1), z.maximum(RECEIVERS_MAX))),
})
export type CreateSessionRequest = z.infer<typeof CreateSessionRequest>

/** What the relay holds this session to. `ttlSeconds` and `maxReceivers` are as granted, which may be less than asked. */
export const SessionLimits = z.object({
  windowBytes: z.int().check(z.positive()),
  maxFrameBytes: z.int().check(z.positive()),
  maxReceivers: z.int().check(z.positive()),
  ttlSeconds: z.int().check(z.positive()),
})
export type SessionLimits = z.infer<typeof SessionLimits>

export const CreateSessionResponse = z.object({
  sessionId: SessionId,
  token: Token,
  expiresInMs: z.int().check(z.nonnegative()),
  limits: SessionLimits,
})
export type CreateSessionResponse = z.infer<typeof CreateSessionResponse>

export const JoinRequest = z.object({
  senderCode: Code,
  receiverCode: Code,
  publicKey: PublicKey,
  name: z.optional(DeviceName),
})
export type JoinRequest = z.infer<typeof JoinRequest>

export const JoinResponse = z.object({
  sessionId: SessionId,
  token: Token,
  channel: z.int().check(z.minimum(1), z.maximum(CHANNEL_MAX)),
  expiresInMs: z.int().check(z.nonnegative()),
  limits: SessionLimits,
})
export type JoinResponse = z.infer<typeof JoinResponse>

export const DecisionRequest = z.discriminatedUnion('decision', [
  z.object({ decision: z.literal('approved') }),
  z.object({ decision: z.literal('denied'), reason: z.optional(DenialReason) }),
])
export type DecisionRequest = z.infer<typeof DecisionRequest>

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
 * What the caller of a view knows. `channels` only from one that is attached over HTTP: the last inbound frame it has fetched
 * of each channel and the last of its own that it knows to be acked; may be empty.
 */
export const ViewQuery = z.object({
  version: z.optional(z.string().check(z.maxLength(32))),
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
})

const channel = z.int().check(z.minimum(1), z.maximum(CHANNEL_MAX))
const seq = z.int().check(z.minimum(0), z.maximum(SEQ_MAX))

/** Where a client goes on. `received`: the last inbound seq it has processed; `acked`: its last seq that it knows to be acked. */
export const AttachedChannels = z.array(z.object({ channel, received: seq, acked: seq })).check(z.maxLength(JOINS_MAX))
export type AttachedChannels = z.infer<typeof AttachedChannels>

export const AttachRequest = z.object({ channels: AttachedChannels })
export type AttachRequest = z.infer<typeof AttachRequest>

/** A frame's place in a path, as decimal numbers. */
export const ChannelNumber = decimal(1, CHANNEL_MAX)
export const SeqNumber = decimal(1, SEQ_MAX)

/** What the relay has of a direction after a frame was put into it. */
export const FramePosition = z.object({ received: seq, acked: seq, window: z.int().check(z.nonnegative()) })
export type FramePosition = z.infer<typeof FramePosition>

function decimal(min: number, max: number) {
  return z.pipe(
    z.pipe(z.string().check(z.regex(/^\d{1,10}$/)), z.transform(Number)),
    z.int().check(z.minimum(min), z.maximum(max)),
  )
}

/** RFC 9457, with the code of the error table and whether a retry can help. */
export const Problem = z.object({
  type: z.literal('about:blank'),
  title: z.string(),
  status: z.int(),
  code: z.string(),
  retryable: z.boolean(),
  detail: z.optional(z.string()),
})
export type Problem = z.infer<typeof Problem>

import * as z from 'zod/mini'
import { utf8Length } from './codec.ts'
import {
  CODE_MAX_LENGTH,
  CODE_MIN_LENGTH,
  NAME_MAX_BYTES,
  PUBLIC_KEY_BYTES,
  SEQ_MAX,
  SESSION_ID_BYTES,
  TOKEN_BYTES,
} from './limits.ts'

/** What HTTP answers are made of: the SDK checks them, the relay prints them as OpenAPI. What it checks itself is in `requests.ts`. */

/** What frames are in bodies. */
export const CIPHERTEXT_TYPE = 'application/octet-stream'
export const CHANNEL_MAX = 0xffff

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
export const ChannelNumber = z.int().check(z.minimum(1), z.maximum(CHANNEL_MAX))
export const Seq = z.int().check(z.minimum(0), z.maximum(SEQ_MAX))
export const DenialReason = z.enum(['rejected', 'handshake_failed', 'handshake_timeout'])
export type DenialReason = z.infer<typeof DenialReason>

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

export const JoinResponse = z.object({
  sessionId: SessionId,
  token: Token,
  channel: ChannelNumber,
  expiresInMs: z.int().check(z.nonnegative()),
  limits: SessionLimits,
})
export type JoinResponse = z.infer<typeof JoinResponse>

/** What the relay has of a direction after a frame was put into it. */
export const FramePosition = z.object({ received: Seq, acked: Seq, window: z.int().check(z.nonnegative()) })
export type FramePosition = z.infer<typeof FramePosition>

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

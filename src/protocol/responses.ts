import * as z from 'zod/mini'
import { ChannelNumber, Features, Profile, Seq, SessionId, Token } from './fields.ts'

/** The answers over HTTP. The SDK checks them, and the relay prints them as OpenAPI. */

/** Limits that the relay holds a session to. `ttlSeconds` and `maxReceivers` are as granted, which may be less than asked. */
export const SessionLimits = z.object({
  windowBytes: z.int().check(z.minimum(1)),
  maxFrameBytes: z.int().check(z.minimum(1)),
  maxReceivers: z.int().check(z.minimum(1)),
  ttlSeconds: z.int().check(z.minimum(1)),
})
export type SessionLimits = z.infer<typeof SessionLimits>

export const CreateSessionResponse = z.object({
  sessionId: SessionId,
  token: Token,
  expiresInMs: z.int().check(z.minimum(0)),
  limits: SessionLimits,
  features: z.optional(Features),
})
export type CreateSessionResponse = z.infer<typeof CreateSessionResponse>

export const JoinResponse = z.object({
  sessionId: SessionId,
  token: Token,
  channel: ChannelNumber,
  expiresInMs: z.int().check(z.minimum(0)),
  limits: SessionLimits,
  features: z.optional(Features),
  /** The sender's. Absent, it is the default. */
  profile: z.optional(Profile),
})
export type JoinResponse = z.infer<typeof JoinResponse>

/** The position of a direction after a frame was put into it. */
export const FramePosition = z.object({ received: Seq, acked: Seq, window: z.int().check(z.minimum(0)) })
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

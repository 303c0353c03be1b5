import { ChannelNumber, Features, Profile, Seq, SessionId, Token } from './fields.ts'
import * as form from './forms.ts'

/** The answers over HTTP. The SDK checks them, and the relay prints them as OpenAPI. */

/** Limits that the relay holds a session to. `ttlSeconds` and `maxReceivers` are as granted, which may be less than asked. */
export const SessionLimits = form.object({
  windowBytes: form.integer(1),
  maxFrameBytes: form.integer(1),
  maxReceivers: form.integer(1),
  ttlSeconds: form.integer(1),
})
export type SessionLimits = form.Infer<typeof SessionLimits>

export const CreateSessionResponse = form.object({
  sessionId: SessionId,
  token: Token,
  expiresInMs: form.integer(0),
  limits: SessionLimits,
  features: form.optional(Features),
})
export type CreateSessionResponse = form.Infer<typeof CreateSessionResponse>

export const JoinResponse = form.object({
  sessionId: SessionId,
  token: Token,
  channel: ChannelNumber,
  expiresInMs: form.integer(0),
  limits: SessionLimits,
  features: form.optional(Features),
  /** The sender's. Absent, it is the default. */
  profile: form.optional(Profile),
})
export type JoinResponse = form.Infer<typeof JoinResponse>

/** The position of a direction after a frame was put into it. */
export const FramePosition = form.object({ received: Seq, acked: Seq, window: form.integer(0) })
export type FramePosition = form.Infer<typeof FramePosition>

/** RFC 9457, with the code of the error table and whether a retry can help. */
export const Problem = form.object({
  type: form.literal('about:blank'),
  title: form.string(),
  status: form.integer(0),
  code: form.string(),
  retryable: form.boolean(),
  detail: form.optional(form.string()),
})
export type Problem = form.Infer<typeof Problem>

import * as form from './forms.ts'
import {
  CODE_MAX_LENGTH,
  CODE_MIN_LENGTH,
  NAME_MAX_BYTES,
  PROFILE_MAX_BYTES,
  PUBLIC_KEY_MAX_BYTES,
  SEQ_MAX,
  SESSION_ID_BYTES,
  TOKEN_BYTES,
} from './limits.ts'
import { utf8Length } from './text.ts'

/** The fields of requests, views and responses. */

/** The media type of a frame in a body. */
export const CIPHERTEXT_TYPE = 'application/octet-stream'
export const CHANNEL_MAX = 0xffff
/** The longest state, reason or feature that a client reads, and how many features. */
const WORD_MAX_LENGTH = 64
const FEATURES_MAX = 64

/** base64url without padding, in the one spelling: the bits that its last character has too many are zero. */
const CANONICAL = /^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?$/

/** The one base64url text of so many bytes, or of 1 to that many. */
export function base64Url(maxBytes: number, minBytes = maxBytes) {
  const length = (bytes: number) => Math.ceil((bytes * 8) / 6)
  return form.string({ min: length(minBytes), max: length(maxBytes), pattern: CANONICAL })
}

/**
 * A word of the other side that may be newer than this code. One that is not known reads as `otherwise`, and never ends
 * anything.
 */
export function knownWord<const Word extends string, const Other extends string>(
  words: readonly Word[],
  otherwise: Other,
) {
  return form.word(words, otherwise, WORD_MAX_LENGTH)
}

/** The bytes of UTF-8 a text takes inside a JSON string, quotes not counted. */
function jsonBytes(text: string): number {
  return utf8Length(JSON.stringify(text)) - 2
}

export const Code = form.string({ min: CODE_MIN_LENGTH, max: CODE_MAX_LENGTH, pattern: /^[A-Za-z0-9_-]+$/ })
export const SessionId = base64Url(SESSION_ID_BYTES)
export const Token = base64Url(TOKEN_BYTES)
export const PublicKey = base64Url(PUBLIC_KEY_MAX_BYTES, 1)
/** The suite in the first byte, the rest is the app's. */
export const Profile = base64Url(PROFILE_MAX_BYTES, 1)
/** Abilities of a relay beyond this protocol. A client ignores those that it does not know. */
export const Features = form.array(form.string({ max: WORD_MAX_LENGTH }), FEATURES_MAX)
/** The relay's name for one attach over HTTP. */
export const AttachmentId = form.string({ pattern: /^[A-Za-z0-9_-]{1,32}$/ })
export const DeviceName = form.string({
  min: 1,
  max: NAME_MAX_BYTES,
  holds: (text) => jsonBytes(text) <= NAME_MAX_BYTES,
})
export const ChannelNumber = form.integer(1, CHANNEL_MAX)
export const Seq = form.integer(0, SEQ_MAX)
/**
 * Why a receiver was denied: by a person; a spent guess at the code; a handshake broken before any guess; no answer in time;
 * a suite that the sender does not know.
 */
export const DENIAL_REASONS = [
  'rejected',
  'handshake_failed',
  'handshake_invalid',
  'handshake_timeout',
  'unsupported',
] as const
export const DenialReason = form.literal(...DENIAL_REASONS)
export type DenialReason = form.Infer<typeof DenialReason>

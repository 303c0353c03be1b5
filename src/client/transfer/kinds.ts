import { base64Url, DeviceName, Features, knownWord } from '../../protocol/fields.ts'
import * as form from '../../protocol/forms.ts'
import { utf8Length } from '../../protocol/text.ts'
import { PairingError } from '../errors.ts'
import { jsonOf } from './lines.ts'

/** Messages after the approval: `u32be h ‖ h bytes of JSON with a "kind" ‖ body`. PROTOCOL.md, section 10.2. */

export const HEAD_MIN_BYTES = 2
export const HEAD_MAX_BYTES = 4096
/** A message below HEAD_MAX_BYTES is filled up to a multiple of this with spaces: its length then tells little. */
export const PADDING_BYTES = 256
/** The most body that a message of an unknown kind may have. */
export const UNKNOWN_BODY_MAX_BYTES = 1_048_576
export const POST_MAX_BYTES = 1_048_576
const POST_TYPE_MAX_BYTES = 64
export const HINTS_MAX = 8
const LENGTH_BYTES = 4

/** Reasons of a `no`, a `stop`, a `withdraw`, a `skip`. */
export const NO_REASONS = ['declined', 'no_space', 'too_many', 'unsupported', 'closing', 'failed'] as const
export const STOP_REASONS = ['cancelled', 'no_space', 'failed', 'withdrawn'] as const
export const WITHDRAW_REASONS = ['cancelled', 'source_changed', 'failed'] as const
export const SKIP_REASONS = ['changed', 'unreadable'] as const
/** Words for a no. */
export type NoReason = (typeof NO_REASONS)[number]
export type StopReason = (typeof STOP_REASONS)[number]
export type WithdrawReason = (typeof WITHDRAW_REASONS)[number]
/** Words for an entry that is left out: it changed, or cannot be read. */
export type SkipReason = (typeof SKIP_REASONS)[number] | 'failed'

/** Throws RangeError for a word of an app that is none of these: the peer would end the pairing for some. */
export function requireReason(kind: 'no' | 'stop', reason: string): void {
  const reasons: readonly string[] = kind === 'no' ? NO_REASONS : STOP_REASONS
  if (!reasons.includes(reason)) throw new RangeError(`reason is one of: ${reasons.join(', ')}`)
}

const Count = form.integer(0)
const Ordinal = form.integer(1)
const Bytes16 = base64Url(16)
const ofOffer = { offer: Ordinal }
/** An app's word for what a post is, at most 64 bytes. */
export const PostType = form.string({
  max: POST_TYPE_MAX_BYTES,
  holds: (type) => utf8Length(type) <= POST_TYPE_MAX_BYTES,
})

const Answer = form.object(
  {
    ...ofOffer,
    accepted: form.boolean(),
    reason: form.optional(knownWord(NO_REASONS, 'declined')),
    through: form.optional(Count),
    resume: form.optional(Bytes16),
  },
  ({ accepted, reason, through }) => (accepted ? through : reason) !== undefined,
)

const Take = form.object(
  {
    offer: form.optional(Ordinal),
    taken: form.optional(Count),
    through: form.optional(Count),
    posts: form.optional(Count),
  },
  ({ offer, taken, through, posts }) =>
    offer === undefined ? posts !== undefined : taken !== undefined && through !== undefined,
)

/** The JSON of each kind, unknown fields ignored. `met` and `remember` belong to remembered devices and read as unknown. */
const HEADS = {
  hello: form.object({ offers: form.boolean(), posts: Count, name: form.optional(DeviceName), features: Features }),
  offer: form.object({
    ...ofOffer,
    count: Ordinal,
    bytes: form.optional(Count),
    token: Bytes16,
    resumes: form.optional(form.array(Bytes16, HINTS_MAX)),
  }),
  answer: Answer,
  check: form.object(ofOffer),
  start: form.object(ofOffer),
  content: form.object(ofOffer),
  skip: form.object({ ...ofOffer, entry: Count, reason: knownWord(SKIP_REASONS, 'failed') }),
  sent: form.object({ ...ofOffer, bytes: Count }),
  take: Take,
  receipt: form.object({ ...ofOffer, bytes: Count, skipped: form.optional(Count) }),
  withdraw: form.object({ ...ofOffer, reason: knownWord(WITHDRAW_REASONS, 'failed') }),
  stop: form.object({ ...ofOffer, reason: knownWord(STOP_REASONS, 'failed') }),
  post: form.object({ type: form.optional(PostType), re: form.optional(Ordinal) }),
  bye: form.object({}),
}

export type Kind = keyof typeof HEADS
export type Head =
  | { [K in Exclude<Kind, 'bye'>]: { readonly kind: K } & Readonly<form.Infer<(typeof HEADS)[K]>> }[Exclude<
      Kind,
      'bye'
    >]
  | { readonly kind: 'bye' }
export type HeadOf<K extends Kind> = Extract<Head, { kind: K }>
/** A head that is known, or one of a later version. */
export type AnyHead = Head | { readonly kind: 'unknown' }

/** The bytes in front of a body of `bodyBytes`: length, JSON, and the spaces that fill up a short message. */
export function encodeHead(head: Head, bodyBytes = 0): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(head))
  const length = LENGTH_BYTES + json.length
  const whole = length + bodyBytes
  const padding = whole < HEAD_MAX_BYTES ? Math.ceil(whole / PADDING_BYTES) * PADDING_BYTES - whole : 0
  if (json.length + padding > HEAD_MAX_BYTES) throw new RangeError('the head of a message is too long')
  const bytes = new Uint8Array(length + padding).fill(0x20, length)
  new DataView(bytes.buffer).setUint32(0, json.length + padding)
  bytes.set(json, LENGTH_BYTES)
  return bytes
}

/**
 * Reads the head of a message from the plaintext of its first frame, which always has all of it. Throws PairingError
 * `corrupt` for a wrong form.
 */
export function decodeHead(plaintext: Uint8Array): { head: AnyHead; bodyAt: number } {
  if (plaintext.length < LENGTH_BYTES + HEAD_MIN_BYTES) throw new PairingError('corrupt')
  const length = new DataView(plaintext.buffer, plaintext.byteOffset).getUint32(0)
  const bodyAt = LENGTH_BYTES + length
  if (length < HEAD_MIN_BYTES || length > HEAD_MAX_BYTES || bodyAt > plaintext.length) throw new PairingError('corrupt')
  const value = jsonOf(plaintext.subarray(LENGTH_BYTES, bodyAt))
  const { kind } = Object(value)
  if (typeof kind !== 'string') throw new PairingError('corrupt')
  if (!Object.hasOwn(HEADS, kind)) return { head: { kind: 'unknown' }, bodyAt }
  const read = HEADS[kind as Kind].safeParse(value)
  if (!read.success) throw new PairingError('corrupt')
  return { head: { kind, ...read.data } as Head, bodyAt }
}

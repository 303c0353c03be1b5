import * as z from 'zod/mini'
import { base64Url, DeviceName, Features, knownWord } from '../../protocol/fields.ts'
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
export const HINTS_MAX = 8
const LENGTH_BYTES = 4

/** Reasons of a `no`, a `stop`, a `withdraw`, a `skip`. */
export const NO_REASONS = ['declined', 'no_space', 'too_many', 'unsupported', 'closing'] as const
export const STOP_REASONS = ['cancelled', 'no_space', 'failed', 'withdrawn'] as const
export const WITHDRAW_REASONS = ['cancelled', 'source_changed', 'failed'] as const
export const SKIP_REASONS = ['changed', 'unreadable'] as const
export type NoReason = (typeof NO_REASONS)[number]
export type StopReason = (typeof STOP_REASONS)[number]
export type WithdrawReason = (typeof WITHDRAW_REASONS)[number]
export type SkipReason = (typeof SKIP_REASONS)[number] | 'failed'

const Count = z.int().check(z.minimum(0))
const Ordinal = z.int().check(z.minimum(1))
const Bytes16 = base64Url(16)
const ofOffer = { offer: Ordinal }

const Answer = z
  .object({
    ...ofOffer,
    accepted: z.boolean(),
    reason: z.optional(knownWord(NO_REASONS, 'declined')),
    through: z.optional(Count),
    resume: z.optional(Bytes16),
  })
  .check(z.refine(({ accepted, reason, through }) => (accepted ? through : reason) !== undefined))

const Take = z
  .object({
    offer: z.optional(Ordinal),
    taken: z.optional(Count),
    through: z.optional(Count),
    posts: z.optional(Count),
  })
  .check(
    z.refine(({ offer, taken, through, posts }) =>
      offer === undefined ? posts !== undefined : taken !== undefined && through !== undefined,
    ),
  )

/** The JSON of each kind, unknown fields ignored. `met` and `remember` belong to remembered devices and read as unknown. */
const HEADS = {
  hello: z.object({ offers: z.boolean(), posts: Count, name: z.optional(DeviceName), features: Features }),
  offer: z.object({
    ...ofOffer,
    count: Ordinal,
    bytes: z.optional(Count),
    token: Bytes16,
    resumes: z.optional(z.array(Bytes16).check(z.maxLength(HINTS_MAX))),
  }),
  answer: Answer,
  check: z.object(ofOffer),
  start: z.object(ofOffer),
  content: z.object(ofOffer),
  skip: z.object({ ...ofOffer, entry: Count, reason: knownWord(SKIP_REASONS, 'failed') }),
  sent: z.object({ ...ofOffer, bytes: Count }),
  take: Take,
  receipt: z.object({ ...ofOffer, bytes: Count, skipped: z.optional(Count) }),
  withdraw: z.object({ ...ofOffer, reason: knownWord(WITHDRAW_REASONS, 'failed') }),
  stop: z.object({ ...ofOffer, reason: knownWord(STOP_REASONS, 'failed') }),
  post: z.object({ type: z.optional(z.string().check(z.maxLength(64))), re: z.optional(Ordinal) }),
  bye: z.object({}),
}

export type Kind = keyof typeof HEADS
export type Head =
  | { [K in Exclude<Kind, 'bye'>]: { readonly kind: K } & Readonly<z.infer<(typeof HEADS)[K]>> }[Exclude<Kind, 'bye'>]
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

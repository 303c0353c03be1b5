/**
 * The limits of protocol v1 that both halves know and no operator changes. What an operator can change has its default
 * in `server/config.ts`. Sizes in bytes, times in milliseconds, unless the name says otherwise.
 */

/** Sender and receiver codes, as the relay sees them: 4–64 of `[A-Za-z0-9_-]`. */
export const CODE_MIN_LENGTH = 4
export const CODE_MAX_LENGTH = 64
export const CLIENT_ID_MAX_LENGTH = 64
/** A device's name, counted as the bytes of UTF-8 it takes inside a JSON string, so that the view stays bounded. */
export const NAME_MAX_BYTES = 64
/** A public key as the relay sees it: 1 to 128 bytes. A suite has a length of its own. */
export const PUBLIC_KEY_MAX_BYTES = 128
/** A profile: the suite in its first byte, the rest is the app's. Absent, it is the one byte 01. */
export const PROFILE_MAX_BYTES = 64
export const PROFILE_DEFAULT = 'AQ'
export const SESSION_ID_BYTES = 16
export const TOKEN_BYTES = 32

export const TTL_MIN_SECONDS = 30
export const TTL_MAX_SECONDS = 86_400
/** How long the end of a session can still be asked for. */
export const EPITAPH_MS = 300_000

export const RECEIVERS_MAX = 8
export const PENDING_MAX = 8
/** Pending receivers that have not been attached for this long in a row end as `left`. */
export const PENDING_ABSENT_MS = 20_000
/** Joins that count, with which a code takes none: who waits, was approved, or spent a guess or a person's attention. */
export const JOINS_MAX = 32
/** Joins of one session, all told, however they ended. The last one retires the code. */
export const JOINS_EVER_MAX = 1_024
/** Rows of receivers in a view. */
export const RECEIVER_ROWS_MAX = 32
/** Receivers of one client address in a session: pending at once, and joins in all. */
export const ADDRESS_PENDING_MAX = 2
export const ADDRESS_JOINS_MAX = 8
/** Spent guesses of receivers from one client address. To that address the code is then no code any more. */
export const ADDRESS_FAILURES_MAX = 5
export const VIEW_MAX_BYTES = 16_384

/** Binary frame: `u8 type · u8 0 · u16 channel · u32 seq`, then the ciphertext. */
export const FRAME_HEADER_BYTES = 8
/** The least that a frame costs against a window. Many small frames cannot take more memory than they pay for. */
export const FRAME_MIN_COST = 256
export const SEQ_MAX = 0xffff_ffff

/** Before approval a channel carries the handshake and nothing else. */
export const HANDSHAKE_MAX_SEQ = 2
export const HANDSHAKE_MAX_CIPHERTEXT_BYTES = 2048
/** The window of each direction of a channel until it is approved and both ends are attached. */
export const HANDSHAKE_WINDOW_BYTES = 4096
/** An end that was away for this long gives back its window and what the relay holds for it. */
export const ABSENT_GIVES_BACK_MS = 60_000

export const ATTACH_MAX_BYTES = 4096
export const ATTACH_TIMEOUT_MS = 5_000
/** A relay that sent nothing for this long sends the view, and pings; two pings unanswered drop the socket. */
export const SILENCE_MS = 25_000
export const MISSED_PINGS_MAX = 2
/** A client that heard nothing for this long reconnects. */
export const CLIENT_SILENCE_MS = 60_000
/** The longest a `GET` of the view is held. */
export const LONG_POLL_MAX_MS = 25_000
/** A role attached over HTTP that has not asked for this long counts as gone. */
export const POLL_LEASE_MS = 60_000

export const BODY_MAX_BYTES = 8192
export const HEADERS_MAX_BYTES = 8192

/** The cost of a frame with this much ciphertext against the window, on both sides of the wire. */
export function frameCost(ciphertextBytes: number): number {
  return Math.max(FRAME_MIN_COST, FRAME_HEADER_BYTES + ciphertextBytes)
}

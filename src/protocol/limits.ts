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
export const PUBLIC_KEY_BYTES = 32
export const SESSION_ID_BYTES = 16
export const TOKEN_BYTES = 32

export const TTL_MIN_SECONDS = 30
export const TTL_MAX_SECONDS = 3600
/** How long the end of a session can still be asked for. */
export const EPITAPH_MS = 60_000

export const RECEIVERS_MAX = 8
export const PENDING_MAX = 8
/** All joins of one session, however they ended. The code retires itself with the last one. */
export const JOINS_MAX = 32
/** Failed handshakes of receivers from one source. To that source the code is then no code any more. */
export const SOURCE_FAILURES_MAX = 5
export const VIEW_MAX_BYTES = 8192

/** Binary frame: `u8 type · u8 0 · u16 channel · u32 seq`, then the ciphertext. */
export const FRAME_HEADER_BYTES = 8
/** What a frame costs at least against a window, so that many small frames cannot take more memory than they pay for. */
export const FRAME_MIN_COST = 256
export const SEQ_MAX = 0xffff_ffff

/** Before approval a channel carries the handshake and nothing else. */
export const HANDSHAKE_MAX_SEQ = 4
export const HANDSHAKE_MAX_CIPHERTEXT_BYTES = 2048
/** The window of each direction of a channel before approval: 8 pending receivers take 64 KiB a session. */
export const HANDSHAKE_WINDOW_BYTES = 4096

export const ATTACH_MAX_BYTES = 1024
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

/** What a frame with this much ciphertext costs against the window, on both sides of the wire. */
export function frameCost(ciphertextBytes: number): number {
  return Math.max(FRAME_MIN_COST, FRAME_HEADER_BYTES + ciphertextBytes)
}

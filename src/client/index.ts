/** The Pairlay SDK: what an app needs to hand data over, or to take it. */

export { formatMatchNumber } from '../crypto/handshake.ts'
export { warmUp } from '../crypto/warm-up.ts'
export { RelayRefusal, RelayUnreachable } from './calls/http-call.ts'
export { relayUrl } from './calls/relay-api.ts'
export { cleanText, withoutInvisible } from './clean.ts'
export { type CodeEntry, parseEntry } from './entry.ts'
export type { Environment, WebSocketLike } from './environment.ts'
export { PAIRING_ERRORS } from './error-messages.ts'
export { PairingError, type PairingErrorCode } from './errors.ts'
export { indexed, type List, mapped, PackedList } from './list.ts'
export type { ConnectionStatus } from './options.ts'
export { type Delivered, PairedDevice } from './paired-device.ts'
export type { PairingRequest } from './pairing/approvals.ts'
export type { AttemptStore } from './pairing/emitted-tags.ts'
export type { FailedAttempts } from './pairing/waiting-room.ts'
export { Receiver, type ReceiverOptions } from './receiver.ts'
export { Sender, type SenderOptions } from './sender.ts'
export {
  blobSource,
  bytesSource,
  hasOnce,
  linesOf,
  type Source,
  streamSource,
  TEXT_TYPE,
  textSource,
} from './source.ts'
export type { Takes } from './transfer/conversation.ts'
export { ENTRIES_MAX, type Entry, totalOf } from './transfer/entries.ts'
export type { AcceptOptions, IncomingItem, ReceiveProgress } from './transfer/incoming-item.ts'
export type { IncomingOffer as Offer } from './transfer/incoming-offer.ts'
export type { NoReason, SkipReason } from './transfer/kinds.ts'
export type { OfferOptions } from './transfer/outgoing-offer.ts'
export { type Partial, type Partials, type SaveOptions, save } from './transfer/partials.ts'
export type { AskOptions, Post, PostOptions } from './transfer/posts.ts'
export type { Transfers } from './transfer/resume.ts'
export type { Receipt, SendOptions, SendProgress } from './transfer/sending.ts'

/** The Pairlay SDK: what an app needs to hand data over, or to take it. */

export { formatMatchNumber } from '../crypto/handshake.ts'
export { cleanText } from './clean.ts'
export type { ConnectionStatus } from './connection.ts'
export type { Receipt, SendProgress } from './delivery.ts'
export type { Environment, WebSocketLike } from './environment.ts'
export { PAIRING_ERRORS, PairingError, type PairingErrorCode } from './errors.ts'
export type { AcceptOptions, IncomingItem, Offer, ReceiveProgress } from './offer.ts'
export { Receiver, type ReceiverOptions } from './receiver.ts'
export { type FailedAttempts, type PairingRequest, Sender, type SenderOptions } from './sender.ts'
export { blobSource, bytesSource, type Source, streamSource } from './source.ts'
export type { ItemInfo } from './transfer.ts'

import type { DenialReason } from './fields.ts'

/** The requests of a client as types alone: what checks them, in `requests.ts`, only a relay has. */

export interface CreateSessionRequest {
  readonly clientId: string
  readonly senderCode: string
  readonly ttlSeconds?: number | undefined
  readonly maxReceivers?: number | undefined
  readonly profile?: string | undefined
}

export interface JoinRequest {
  readonly senderCode: string
  readonly receiverCode: string
  readonly publicKey: string
  readonly name?: string | undefined
  readonly profile?: string | undefined
}

export type DecisionRequest =
  | { readonly decision: 'approved'; readonly reason?: undefined }
  | { readonly decision: 'denied'; readonly reason?: DenialReason | undefined }

import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { call } from '../../support/http.ts'
import { publicKey } from '../../support/relay.ts'
import { WireSocket } from '../../support/wire-socket.ts'

/** A node, as a client knows it. */
export interface Node {
  readonly url: string
}

export interface Member {
  readonly sessionId: string
  readonly token: string
}

export interface ReceivingMember extends Member {
  readonly receiverCode: string
  readonly channel: number
}

export const freshCode = () => randomBytes(9).toString('base64url')

export async function open(
  { url }: Node,
  request: Record<string, unknown> = {},
): Promise<Member & { readonly senderCode: string }> {
  const senderCode = freshCode()
  const answer = await call(url, 'POST', '/v1/sessions', {
    body: { clientId: freshCode(), senderCode, maxReceivers: 8, ...request },
  })
  expect(answer.status, answer.text).toBe(201)
  return { ...answer.json<Member>(), senderCode }
}

export async function join({ url }: Node, senderCode: string): Promise<ReceivingMember> {
  const receiverCode = freshCode()
  const answer = await call(url, 'POST', '/v1/receivers', {
    body: { senderCode, receiverCode, publicKey: publicKey(1) },
  })
  expect(answer.status, answer.text).toBe(201)
  return { ...answer.json<ReceivingMember>(), receiverCode }
}

export function decide(
  { url }: Node,
  { sessionId, token }: Member,
  receiverCode: string,
  body: unknown = { decision: 'approved' },
) {
  return call(url, 'PUT', `/v1/sessions/${sessionId}/receivers/${receiverCode}/decision`, { token, body })
}

export function end({ url }: Node, { sessionId, token }: Member) {
  return call(url, 'DELETE', `/v1/sessions/${sessionId}`, { token })
}

export function view({ url }: Node, { sessionId, token }: Member, query = '') {
  return call(url, 'GET', `/v1/sessions/${sessionId}${query}`, { token })
}

/** A sender at one node and a receiver at another, approved, both attached, and both aware of it. */
export async function pair(senderNode: Node, receiverNode: Node) {
  const sender = await open(senderNode)
  const receiver = await join(receiverNode, sender.senderCode)
  const S = await WireSocket.attach(senderNode.url, sender)
  const R = await WireSocket.attach(receiverNode.url, receiver)
  const decided = await decide(senderNode, sender, receiver.receiverCode)
  expect(decided.status, decided.text).toBe(204)
  const both = (wire: WireSocket) =>
    wire.view.receivers[0]?.state === 'approved' && wire.view.receivers[0].present === true
  await S.until(() => both(S))
  await R.until(() => both(R) && R.view.senderPresent === true)
  return { sender, receiver, S, R }
}

import { expect } from 'vitest'
import { joinWith, openSession, type Receiver, type Sender } from '../../conformance/client.ts'
import { relayAt } from '../../conformance/relay.ts'
import { call } from '../../support/http.ts'
import { WireSocket } from '../../support/wire-socket.ts'

export { freshCode } from '../../conformance/client.ts'

/** A node, as a client knows it. */
export interface Node {
  readonly url: string
}

export interface Member {
  readonly sessionId: string
  readonly token: string
}

export function open({ url }: Node, request: Readonly<Record<string, unknown>> = {}): Promise<Sender> {
  return openSession(relayAt(url), request)
}

export function join({ url }: Node, senderCode: string): Promise<Receiver> {
  return joinWith(relayAt(url), senderCode)
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

import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { call } from './http.ts'
import { NOTHING_LEFT, publicKey } from './relay.ts'
import type { ProcessState, RelayProcess } from './relay-process.ts'
import { WireSocket } from './wire-socket.ts'

/** Growth allowed to a heap after everything is forgotten: caches and compiled code, not sessions. */
const HEAP_SLACK_BYTES = 6 * 1024 * 1024

/** An honest pairing with one frame in each direction, its acks, and its end. */
export async function expectHealthy({ url }: { readonly url: string }): Promise<void> {
  const senderCode = randomBytes(9).toString('base64url')
  const post = async (path: string, body: unknown, status = 201) => {
    const answer = await call(url, 'POST', path, { body })
    expect(answer.status, answer.text).toBe(status)
    return answer.json<{ sessionId: string; token: string }>()
  }
  const sender = await post('/v1/sessions', { clientId: senderCode, senderCode, maxReceivers: 1 })
  const receiverCode = 'honest'
  const receiver = await post('/v1/receivers', { senderCode, receiverCode, publicKey: publicKey(7) })
  const session = `/v1/sessions/${sender.sessionId}`
  const body = { decision: 'approved' }
  const decided = await call(url, 'PUT', `${session}/receivers/${receiverCode}/decision`, { token: sender.token, body })
  expect(decided.status, decided.text).toBe(204)
  const S = await WireSocket.attach(url, sender)
  const R = await WireSocket.attach(url, receiver)
  S.data(1, 1, 'to the receiver')
  R.data(1, 1, 'to the sender')
  await R.until(() => R.texts.includes('to the receiver'))
  await S.until(() => S.texts.includes('to the sender'))
  S.ack(1, 1)
  R.ack(1, 1)
  const acked = (wire: WireSocket) => wire.messages.some((each) => each.kind === 'ack' && each.seq === 1)
  await S.until(() => acked(S))
  await R.until(() => acked(R))
  expect((await call(url, 'DELETE', session, { token: sender.token })).status).toBe(204)
  expect((await S.closed()).code).toBe(4410)
  expect((await R.closed()).code).toBe(4410)
}

/** Lets the process load, compile and cache what any traffic makes it load, compile and cache. */
export async function warmUp(relay: RelayProcess): Promise<void> {
  for (let i = 0; i < 200; i++) await expectHealthy(relay)
  await relay.forgetEverything()
}

/** After everything's time is over the relay holds nothing, and its heap is what it was. */
export async function expectIdle(relay: RelayProcess, before: ProcessState): Promise<void> {
  await relay.forgetEverything()
  const after = await relay.state()
  expect(after.counters).toEqual(NOTHING_LEFT)
  expect(after.heapBytes - before.heapBytes).toBeLessThan(HEAP_SLACK_BYTES)
  expect(after.externalBytes - before.externalBytes).toBeLessThan(HEAP_SLACK_BYTES)
  expect(relay.failures).toEqual([])
  expect(relay.exitCode()).toBeUndefined()
}

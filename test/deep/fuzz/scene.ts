import { randomBytes } from 'node:crypto'
import type { Attach } from '../../../src/protocol/requests.ts'
import { call } from '../../support/http.ts'
import { publicKey, type TestRelay } from '../../support/relay.ts'
import { ack, channel, type JudgedChannel } from './judge.ts'

/** A session with one receiver in each state a channel knows: 1 is approved, 2 is pending, 3 was denied. */
export interface Scene {
  readonly sessionId: string
  readonly tokens: Readonly<Record<'sender' | 1 | 2 | 3, string>>
  readonly channels: readonly JudgedChannel[]
  /** Claims of a client of this role that has processed everything that came for it. Changes the channels likewise. */
  resume(role: 'sender' | number): Attach['channels']
  close(): Promise<unknown>
}

interface Commands {
  create(): Promise<{ sessionId: string; token: string }>
  join(receiverCode: string, key: string): Promise<{ token: string }>
  decide(receiverCode: string, decision: 'approved' | 'denied'): Promise<unknown>
  close(): Promise<unknown>
}

export function inMemory(node: TestRelay): Promise<Scene> {
  let sender: Awaited<ReturnType<TestRelay['open']>> | undefined
  return play({
    create: async () => {
      const clientId = randomBytes(9).toString('base64url')
      sender = await node.open({ clientId })
      return sender
    },
    join: (receiverCode, key) => node.join(sender?.senderCode ?? '', { receiverCode, publicKey: key }),
    decide: async (code, decision) => sender && node.relay.decide(sender.sessionId, sender.token, code, { decision }),
    close: async () => sender && node.close(sender),
  })
}

export function overHttp(url: string): Promise<Scene> {
  const senderCode = randomBytes(9).toString('base64url')
  let session: { sessionId: string; token: string } = { sessionId: '', token: '' }
  return play({
    create: async () => {
      const body = { clientId: senderCode, senderCode }
      session = (await call(url, 'POST', '/v1/sessions', { body })).json()
      return session
    },
    join: async (receiverCode, key) => {
      const body = { senderCode, receiverCode, publicKey: key }
      return (await call(url, 'POST', '/v1/receivers', { body })).json()
    },
    decide: (code, decision) =>
      call(url, 'PUT', `/v1/sessions/${session.sessionId}/receivers/${code}/decision`, {
        token: session.token,
        body: { decision },
      }),
    close: () => call(url, 'DELETE', `/v1/sessions/${session.sessionId}`, { token: session.token }),
  })
}

async function play(commands: Commands): Promise<Scene> {
  const sender = await commands.create()
  const tokens: string[] = []
  for (const each of [1, 2, 3]) tokens.push((await commands.join(`receiver-${each}`, publicKey(each))).token)
  await commands.decide('receiver-1', 'approved')
  await commands.decide('receiver-3', 'denied')
  // Only a single end is attached at a time, so that an approved channel has the window of a handshake.
  const channels = [channel('approved', 4_096), channel('pending', 4_096), channel('ended', 0)]
  return {
    sessionId: sender.sessionId,
    tokens: { sender: sender.token, 1: tokens[0], 2: tokens[1], 3: tokens[2] },
    channels,
    close: commands.close,
    resume: (role) =>
      channels.flatMap(({ state, s2r, r2s }, i) => {
        if (state === 'ended' || (role !== 'sender' && role !== i + 1)) return []
        const [out, into] = role === 'sender' ? [s2r, r2s] : [r2s, s2r]
        ack(into, into.received)
        return [{ channel: i + 1, received: into.acked, acked: out.acked }]
      }),
  }
}

import type { FastifyReply } from 'fastify'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import { bareFastify, CreateSessionRequest, DecisionRequest, fresh, JoinRequest, listen, word } from './bare.ts'

/**
 * The calls and sockets of a pairing, answered by a stub: Fastify and ws, and of a session no more than who its two sockets
 * are. It checks no token, keeps no frame, has no window, limit or deadline, and sends only the views that are waited for.
 */

interface Pair {
  readonly senderToken: string
  receiverCode: string
  sender: WebSocket | undefined
  receiver: WebSocket | undefined
}

const pairs = new Map<string, Pair>()
const idByCode = new Map<string, string>()

const app = bareFastify()
app.post<{ Body: { senderCode: string } }>(
  '/v1/sessions',
  { schema: { body: CreateSessionRequest } },
  async ({ body }, reply) => {
    const { digest, ...answer } = fresh()
    const sessionId = word(16)
    pairs.set(sessionId, { senderToken: answer.token, receiverCode: '', sender: undefined, receiver: undefined })
    idByCode.set(body.senderCode, sessionId)
    return reply.code(201).send({ sessionId, ...answer })
  },
)
app.post<{ Body: { senderCode: string; receiverCode: string } }>(
  '/v1/receivers',
  { schema: { body: JoinRequest } },
  async ({ body }, reply) => {
    const { digest, ...answer } = fresh()
    const sessionId = idByCode.get(body.senderCode) ?? ''
    idByCode.delete(body.senderCode)
    const pair = pairs.get(sessionId)
    if (pair) pair.receiverCode = body.receiverCode
    return reply.code(201).send({ sessionId, channel: 1, ...answer })
  },
)

type OfSession = { Params: { id: string } }
const done = async (_request: unknown, reply: FastifyReply) => reply.code(204).send()
app.put('/v1/sessions/:id/receivers/:code/decision', { schema: { body: DecisionRequest } }, done)
app.delete('/v1/sessions/:id/code', done)
app.delete<OfSession>('/v1/sessions/:id/receivers/:code', async ({ params }, reply) => {
  const pair = pairs.get(params.id)
  if (pair) pair.sender?.send(viewOf(pair, 'sender', 'done'))
  return reply.code(204).send()
})
app.delete<OfSession>('/v1/sessions/:id', async ({ params }, reply) => {
  pairs.delete(params.id)
  return reply.code(204).send()
})

const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 262_272 })
app.server.on('upgrade', (request, socket, head) => {
  const pair = pairs.get(request.url?.split('/')[3] ?? '')
  if (!pair) return void socket.destroy()
  sockets.handleUpgrade(request, socket, head, (opened) => carry(opened, pair))
})
await listen(app)

/** Passes each message after the first on to the other end. */
function carry(socket: WebSocket, pair: Pair): void {
  let other: (() => WebSocket | undefined) | undefined
  socket.on('error', () => {})
  socket.on('message', (data: RawData, isBinary) => {
    if (other) return other()?.send(data, { binary: isBinary })
    const role = JSON.parse(data.toString()).token === pair.senderToken ? 'sender' : 'receiver'
    pair[role] = socket
    other = () => (role === 'sender' ? pair.receiver : pair.sender)
    socket.send(viewOf(pair, role, 'pending'))
  })
}

function viewOf({ receiverCode }: Pair, role: 'sender' | 'receiver', state: string): string {
  return JSON.stringify({
    ...{ type: 'session', version: '1', role, state: 'open', expiresInMs: 3_600_000, joinable: true },
    receivers: [{ receiverCode, channel: 1, state }],
    channels: [{ channel: 1, received: 0, acked: 0, window: 4096 }],
  })
}

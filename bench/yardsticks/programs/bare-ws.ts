import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'

/**
 * The stack's limit: `ws` and nothing else. `/pair/<id>` joins two sockets and pauses one while the other is behind,
 * `/echo` answers the first message, `/fan/<id>/…` sends on to all and never looks whether they take it.
 */

/** As the relay has it. */
const CONGESTED_BYTES = 512 * 1024

const waiting = new Map<string, WebSocket>()
const fans = new Map<string, WebSocket[]>()

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, maxPayload: 1024 * 1024, perMessageDeflate: false })
server.on('connection', (socket, request) => {
  const [, kind, id = '', role] = (request.url ?? '/').split('/')
  socket.on('error', () => {})
  if (kind === 'echo') return void socket.once('message', (data) => socket.send(data.toString()))
  if (kind === 'fan') return fan(socket, id, role)
  const other = waiting.get(id)
  if (!other) return void waiting.set(id, socket)
  waiting.delete(id)
  join(socket, other)
  join(other, socket)
  socket.send('paired')
  other.send('paired')
})
server.on('listening', () => process.stdout.write(`port ${(server.address() as AddressInfo).port}\n`))

function join(from: WebSocket, to: WebSocket): void {
  let paused = false
  const sent = () => {
    if (!paused || to.bufferedAmount > CONGESTED_BYTES / 2) return
    paused = false
    from.resume()
  }
  from.on('message', (data, isBinary) => {
    to.send(data, { binary: isBinary }, sent)
    if (paused || to.bufferedAmount <= CONGESTED_BYTES) return
    paused = true
    from.pause()
  })
  from.on('close', () => to.terminate())
}

function fan(socket: WebSocket, id: string, role: string | undefined): void {
  const receivers = fans.get(id) ?? []
  fans.set(id, receivers)
  if (role === 'receiver') return void receivers.push(socket)
  socket.on('message', (data, isBinary) => {
    for (const receiver of receivers) receiver.send(data, { binary: isBinary })
  })
  socket.on('close', () => fans.delete(id))
}

import { type AddressInfo, createServer, type Socket } from 'node:net'

/** Raw TCP in Node: two connections that name the same place are piped into each other. */

const waiting = new Map<string, Socket>()

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {})
  socket.once('data', (line) => {
    socket.pause()
    const id = line.toString()
    const other = waiting.get(id)
    if (!other) return void waiting.set(id, socket)
    waiting.delete(id)
    for (const each of [socket, other]) each.write('ok\n')
    socket.pipe(other)
    other.pipe(socket)
  })
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`port ${(server.address() as AddressInfo).port}\n`))

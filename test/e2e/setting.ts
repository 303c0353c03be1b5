import type { Socket } from 'node:net'
import { type RunningRelay, type ServerOptions, startRelay as startServer } from '../support/server.ts'
import { SETTING } from '../support/setting.ts'

/** The setting that this suite runs in. */
export const setting = {
  /** Reports whether anything between the devices and the relay lets WebSockets pass. Where not, every SDK goes on over HTTP. */
  webSocketsPass: SETTING !== 'http',
}

/** Ends the devices that a test has left in their sessions. */
export const leaving: (() => Promise<void>)[] = []

/** A relay for a test. `end` lets its devices leave before it closes, which they would take for a lost connection. */
export type TestRelay = RunningRelay & { end(): Promise<void> }

/** A relay as this setting has it. */
export async function startRelay(options: ServerOptions = {}): Promise<TestRelay> {
  // Each device comes from an address of its own, as through a proxy.
  const relay = await startServer({ trustProxy: ['127.0.0.1'], ...options })
  const connections = new Set<Socket>()
  relay.server.on('connection', (socket) => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
  })
  // Look up each time what a relay counts or logs.
  const own = Object.assign(Object.create(relay) as RunningRelay, {
    end: () => {
      for (const leave of leaving.splice(0)) void leave()
      return own.close()
    },
    close: async () => {
      // The fetch of Node keeps a connection that it opened for a call which was aborted. The relay would wait for its request.
      const looking = setInterval(() => {
        if (relay.server.listening) return
        for (const socket of connections) if (socket.bytesRead === 0) socket.destroy()
      }, 1)
      await relay.close()
      clearInterval(looking)
    },
  })
  return own
}

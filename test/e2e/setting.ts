import type { Socket } from 'node:net'
import { type RunningRelay, type ServerOptions, startRelay as startServer } from '../support/server.ts'

/** One way of running this suite. `vitest.config.ts` has them all, and says which one it is. */
interface Setting {
  readonly name: string
  /** Whether anything between the devices and the relay lets WebSockets pass. Where not, every SDK goes on over HTTP. */
  readonly webSocketsPass: boolean
}

const SETTINGS: Readonly<Record<string, Setting>> = {
  memory: { name: 'memory', webSocketsPass: true },
  http: { name: 'http', webSocketsPass: false },
}

const chosen = process.env.E2E_SETTING ?? 'memory'

/** The setting this suite runs in. */
export const setting = settingOf(chosen)

function settingOf(name: string): Setting {
  const found = SETTINGS[name]
  if (!found) throw new Error(`there is no setting ${name}: take one of ${Object.keys(SETTINGS).join(', ')}`)
  return found
}

/** A relay as this setting has it. */
export async function startRelay(options: ServerOptions = {}): Promise<RunningRelay> {
  const relay = await startServer(options)
  const connections = new Set<Socket>()
  relay.server.on('connection', (socket) => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
  })
  return {
    ...relay,
    close: async () => {
      // The fetch of Node keeps a connection that it opened for a call which was aborted. The relay would wait for its request.
      const looking = setInterval(() => {
        if (relay.server.listening) return
        for (const socket of connections) if (socket.bytesRead === 0) socket.destroy()
      }, 1)
      await relay.close()
      clearInterval(looking)
    },
  }
}

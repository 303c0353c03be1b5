import type { Environment } from './environment.ts'
import { HttpSocket } from './link/http-socket.ts'
import { webSocketOpener } from './web-socket.ts'

/**
 * The environment of this runtime, but for what an app has put in its place. In Node the `ws` package carries the socket,
 * elsewhere the runtime's own.
 */
export async function environmentWith(own?: Partial<Environment>): Promise<Environment> {
  const openWebSocket = own?.openWebSocket ?? (await webSocketOpener())
  return {
    fetch: (url, init) => fetch(url, init),
    openWebSocket,
    openHttpSocket: (sessionUrl, environment) => new HttpSocket(sessionUrl, environment),
    now: () => performance.now(),
    setTimeout: (callback, ms) => setTimeout(callback, ms),
    clearTimeout: (timer) => clearTimeout(timer as number),
    random: (length) => crypto.getRandomValues(new Uint8Array(length)),
    jitter: () => Math.random(),
    ...own,
  }
}

import { type Environment, MESSAGE_MAX_BYTES, type WebSocketLike } from './environment.ts'
import { HttpSocket } from './link/http-socket.ts'

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

async function webSocketOpener(): Promise<Environment['openWebSocket']> {
  if (!isNode()) return (url, protocol) => new WebSocket(url, protocol) as WebSocketLike
  const { WebSocket: NodeWebSocket } = await import('ws')
  // Ciphertext does not compress, and the package would take a hundred times the size.
  const options = { perMessageDeflate: false, maxPayload: MESSAGE_MAX_BYTES, generateMask: maskNothing }
  return (url, protocol) => new NodeWebSocket(url, protocol, options) as unknown as WebSocketLike
}

/**
 * A mask of zeros: what is sent is ciphertext, which nobody else can choose. Masks are there so that a page in a browser
 * cannot put bytes of its choice on the network.
 */
function maskNothing(mask: Uint8Array): void {
  mask.fill(0)
}

function isNode(): boolean {
  const { process, Deno, Bun } = globalThis as {
    process?: { versions?: { node?: string } }
    Deno?: unknown
    Bun?: unknown
  }
  return process?.versions?.node !== undefined && Deno === undefined && Bun === undefined
}

import type { ClientOptions } from 'ws'
import { type Environment, MESSAGE_MAX_BYTES, type WebSocketLike } from './environment.ts'

/** Resolves with what opens sockets: the `ws` package in Node, elsewhere the runtime's own. */
export async function webSocketOpener(): Promise<Environment['openWebSocket']> {
  if (!isNode()) return (url, protocol) => new WebSocket(url, protocol) as WebSocketLike
  const { WebSocket: NodeWebSocket } = await import('ws')
  // Ciphertext does not compress, and the package would take a hundred times the size.
  const options = { perMessageDeflate: false, maxPayload: MESSAGE_MAX_BYTES, generateMask: maskNothing }
  return (url, protocol) => {
    const agent = url.startsWith('wss:') ? tlsAgent() : undefined
    return new NodeWebSocket(url, protocol, { ...options, agent }) as unknown as WebSocketLike
  }
}

/**
 * The agent of this process for TLS, which goes through a proxy where Node was told to. `ws` takes none by itself. Without TLS
 * an agent would hand the upgrade to the proxy itself, and few pass it on.
 */
function tlsAgent(): ClientOptions['agent'] {
  const { process } = globalThis as {
    process?: { getBuiltinModule?: (id: string) => { globalAgent: ClientOptions['agent'] } }
  }
  return process?.getBuiltinModule?.('node:https').globalAgent
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

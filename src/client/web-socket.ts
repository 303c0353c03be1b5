import { type Environment, MESSAGE_MAX_BYTES, type WebSocketLike } from './environment.ts'

/** Resolves with what opens sockets: the `ws` package in Node, elsewhere the runtime's own. */
export async function webSocketOpener(): Promise<Environment['openWebSocket']> {
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

import type { Environment } from '../client/index.ts'

/** Stands in for the choice of the SDK between sockets: a browser has its own. */
export function webSocketOpener(): Environment['openWebSocket'] {
  return (url, protocol) => new WebSocket(url, protocol) as ReturnType<Environment['openWebSocket']>
}

import type { Socket } from 'node:net'

/** Ends a connection with a reset. On a unix socket there is none, and Node throws when asked for one: it is cut. */
export function reset(socket: Socket): void {
  if (socket.remoteAddress === undefined) socket.destroy()
  else socket.resetAndDestroy()
}

import type { WebSocketLike } from '../environment.ts'
import { PairingError } from '../errors.ts'

/** The bytes of a message. Throws `relay_misbehaved` for one that has none. */
export function bytesOf(data: unknown): Uint8Array {
  if (data instanceof ArrayBuffer) return new Uint8Array(data)
  if (data instanceof Uint8Array) return data
  throw new PairingError('relay_misbehaved')
}

/** Sends a frame, and calls `onLeaving` when it goes: at once, unless the socket has it wait for its turn. */
export function sendOn(socket: WebSocketLike | undefined, frame: Uint8Array, onLeaving: () => void = () => {}): void {
  if (socket?.sendWhenDue) return socket.sendWhenDue(frame, onLeaving)
  if (socket) onLeaving()
  socket?.send(frame)
}

import { DeviceName } from '../protocol/fields.ts'
import { NAME_MAX_BYTES } from '../protocol/limits.ts'
import type { Environment } from './environment.ts'

/** State of the connection to the relay. One that is lost is made again by itself. */
export type ConnectionStatus = 'connected' | 'reconnecting'

/** Options of either side. */
export interface DeviceOptions {
  /** The longest that a relay which limits rates may make `open` or `join` wait, in milliseconds. */
  readonly patienceMs?: number | undefined
  /** Aborting it ends the session, or leaves it. */
  readonly signal?: AbortSignal | undefined
  /** Called when the connection to the relay is lost, and when it is there again. */
  readonly onStatus?: ((status: ConnectionStatus) => void) | undefined
  /** Called once, when no WebSocket passes and the session goes on over HTTP. */
  readonly onFallback?: (() => void) | undefined
  /** Called once, when something on the way takes no large requests and smaller ones are sent from now on. */
  readonly onSmallFrames?: ((maxBytes: number) => void) | undefined
  /** Parts that take the place of this runtime's, for tests. */
  readonly environment?: Partial<Environment> | undefined
}

/** Throws RangeError for what cannot be the name of a device, and TypeError for what would be taken for nothing. */
export function requireOptions(options: DeviceOptions & { readonly name?: unknown; readonly takes?: unknown }): void {
  const { name, takes, signal } = Object(options)
  if (name !== undefined && !DeviceName.safeParse(name).success) {
    throw new RangeError(`name is a text of 1 to ${NAME_MAX_BYTES} bytes`)
  }
  if (takes && typeof takes !== 'object')
    throw new TypeError('takes is an object such as { offers: true, posts: true }')
  if (signal && !signal.addEventListener) throw new TypeError('signal is an AbortSignal, such as controller.signal')
}

import type { Environment } from '../../src/client/environment.ts'
import { PairingError, type PairingErrorCode } from '../../src/client/errors.ts'
import { Channel } from '../../src/client/link/channel.ts'
import { decodeFrame, FRAME_ACK } from '../../src/protocol/frame.ts'
import { FRAME_HEADER_BYTES } from '../../src/protocol/limits.ts'
import { FakeTime } from './fake-time.ts'
import { FakeWebSocket } from './fake-web-socket.ts'

/** A world without network and clock. What a test does not expect to be used throws. */
export class FakeWorld {
  readonly time = new FakeTime()
  readonly sockets: FakeWebSocket[] = []
  jitter = 0
  fetch: Environment['fetch'] = () => Promise.reject(new Error('nobody expected a request'))
  readonly environment: Environment = {
    fetch: (url, init) => this.fetch(url, init),
    openWebSocket: (url, protocol) => {
      const socket = new FakeWebSocket(url, protocol)
      this.sockets.push(socket)
      return socket
    },
    openHttpSocket: (sessionUrl) => {
      const socket = new FakeWebSocket(sessionUrl, 'over HTTP')
      this.sockets.push(socket)
      return socket
    },
    now: this.time.now,
    setTimeout: this.time.setTimeout,
    clearTimeout: this.time.clearTimeout,
    random: (length) => new Uint8Array(length).fill(7),
    jitter: () => this.jitter,
  }

  /** The newest socket. */
  get socket(): FakeWebSocket {
    const socket = this.sockets.at(-1)
    if (!socket) throw new Error('no socket was opened')
    return socket
  }
}

/** The code of the PairingError a call throws or rejects with; undefined when it does neither. Anything else is thrown on. */
export async function pairingErrorOf(call: (() => unknown) | Promise<unknown>): Promise<PairingErrorCode | undefined> {
  try {
    await (typeof call === 'function' ? call() : call)
    return undefined
  } catch (error) {
    if (error instanceof PairingError) return error.code
    throw error
  }
}

/** A frame with room for its header, filled with one byte. */
export function frameOf(length: number, fill = 1): Uint8Array {
  return new Uint8Array(FRAME_HEADER_BYTES + length).fill(fill)
}

export const WIDE_WINDOW = 64 * 1024 * 1024

/** The two ends of one channel, wired to each other by something that loses nothing and takes no time. */
export function linkedChannels(environment: Environment): { near: Channel; far: Channel; wire: Uint8Array[] } {
  const near = new Channel(1, WIDE_WINDOW, environment)
  const far = new Channel(1, WIDE_WINDOW, environment)
  for (const end of [near, far]) {
    end.verified()
    end.approved()
  }
  const wire: Uint8Array[] = []
  const row = { channel: 1, received: 0, acked: 0, window: WIDE_WINDOW }
  const carry = (to: Channel) => (bytes: Uint8Array) => {
    const frame = decodeFrame(bytes.slice())
    if (frame.type === FRAME_ACK) return to.takeAck(frame.seq)
    wire.push(bytes.slice())
    to.takeData(frame)
  }
  near.attach(row, carry(far))
  far.attach(row, carry(near))
  return { near, far, wire }
}

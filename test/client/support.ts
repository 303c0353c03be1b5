import type { Environment } from '../../src/client/environment.ts'
import { PairingError, type PairingErrorCode } from '../../src/client/errors.ts'
import { Channel } from '../../src/client/link/channel.ts'
import { Connection } from '../../src/client/link/connection.ts'
import type { ConnectionStatus } from '../../src/client/options.ts'
import { decodeFrame, FRAME_ACK } from '../../src/protocol/frame.ts'
import { FRAME_HEADER_BYTES } from '../../src/protocol/limits.ts'
import type { ChannelRow, View } from '../../src/protocol/view.ts'
import { FakeTime } from './fake-time.ts'
import { channelRow, FakeWebSocket } from './fake-web-socket.ts'

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

export const SESSION = 'A'.repeat(22)
export const TOKEN = 'T'.repeat(43)

/** A connection, and everything that is told of it. */
export function startedConnection({
  windowBytes = 1_000_000,
  expiresInMs = 900_000,
  jitter = 0,
  world = new FakeWorld(),
} = {}) {
  world.jitter = jitter
  const views: View[] = []
  const statuses: (ConnectionStatus | 'fallback')[] = []
  const ends: PairingError[] = []
  /** Channels that ended by themselves, and sizes and waits. */
  const dropped: string[] = []
  const told: string[] = []
  const connection = new Connection({
    relayUrl: 'https://relay.example/base',
    session: { sessionId: SESSION, token: TOKEN, expiresInMs, limits: { windowBytes } },
    environment: world.environment,
    app: {
      onStatus: (status) => void statuses.push(status),
      onFallback: () => void statuses.push('fallback'),
      onSmallFrames: (bytes) => void told.push(`small ${bytes}`),
    },
    onView: (view) => void views.push(view),
    onAway: () => {},
    onChannelError: (number, { code }) => void dropped.push(`${number} ${code}`),
    onBusy: (number) => void told.push(`busy ${number}`),
    onEnd: (error) => void ends.push(error),
  })
  connection.start()
  return { world, connection, views, statuses, ends, dropped, told, codes: () => ends.map(({ code }) => code) }
}

/** The newest socket opens, and shows a channel. */
export function attach({ socket }: FakeWorld, row: Partial<ChannelRow> = {}): void {
  socket.open()
  socket.show({ channels: [channelRow(row)] })
}

/** The newest socket is lost so many times, each before it has shown a view; and the next is opened. */
export async function fail(world: FakeWorld, times = 1, code?: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    world.socket.drop(code)
    await world.time.advance(0)
  }
}

/** Loses the newest socket, and says how long it takes until there is another, in steps of 10 ms. */
export async function dropAndWait(world: FakeWorld): Promise<number> {
  const before = world.sockets.length
  const lostAt = world.time.now()
  world.socket.drop()
  while (world.sockets.length === before) await world.time.advance(10)
  return world.time.now() - lostAt
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
  const carry = (to: Channel) => (bytes: Uint8Array, onLeaving?: () => void) => {
    onLeaving?.()
    const frame = decodeFrame(bytes.slice())
    if (frame.type === FRAME_ACK) return to.takeAck(frame.seq)
    wire.push(bytes.slice())
    to.takeData(frame)
  }
  near.attach(row, carry(far))
  far.attach(row, carry(near))
  return { near, far, wire }
}

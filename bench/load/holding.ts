import { performance } from 'node:perf_hooks'
import { HttpWire } from './http.ts'
import { AttachedSocket, createSession, freshCode, type Joined } from './relay-client.ts'
import { measured, type Usage } from './time.ts'
import { WebSocketWire } from './websocket.ts'
import type { Address } from './wire.ts'

/** Sessions and sockets that are there and do nothing; and what happens when all sockets go and come back at once. */

const CONNECTIONS = 16
/** How many sockets are opened at a time when nobody measures the rush. */
const OPENING_AT_ONCE = 64

interface Held {
  open(): Promise<void>
  drop(): void
}

const sessions: Joined[] = []
const sockets: Held[] = []

/** Creates sessions that wait for a receiver. */
export async function holdSessions({ address, count }: { address: Address; count: number }): Promise<Usage> {
  const clientId = freshCode()
  return withoutResult(
    measured(async () => {
      const wires = await Promise.all(Array.from({ length: CONNECTIONS }, () => HttpWire.connect(address)))
      let started = 0
      await Promise.all(
        wires.map(async (wire) => {
          while (started++ < count) sessions.push(await createSession(wire, freshCode(), clientId))
        }),
      )
      for (const wire of wires) wire.close()
    }),
  )
}

/** Attaches the senders of `count` sessions that have no socket yet. */
export async function attachSockets({ address, count }: { address: Address; count: number }): Promise<Usage> {
  const free = sessions.slice(sockets.length, sockets.length + count)
  if (free.length < count) throw new Error('there are fewer sessions than sockets')
  return withoutResult(measured(() => openAll(free.map((session) => relaySocket(address, session)))))
}

/** The same number of sockets at the bare WebSocket server, each after one message and its echo. */
export async function connectSockets({ address, count }: { address: Address; count: number }): Promise<Usage> {
  return withoutResult(measured(() => openAll(Array.from({ length: count }, () => bareSocket(address)))))
}

export interface StormResult extends Usage {
  /** For each socket, milliseconds from the moment all were cut to its first view. */
  readonly backAfterMs: Float64Array
  readonly failed: number
}

/** Cuts all sockets and has all come back at once, without the jitter that the SDK would spread them with. */
export async function storm(): Promise<StormResult> {
  const startedAt = performance.now()
  for (const socket of sockets) socket.drop()
  const backAfterMs: number[] = []
  let failed = 0
  const { seconds, cpuSeconds } = await measured(() =>
    Promise.all(
      sockets.map(async (socket) => {
        try {
          await socket.open()
          backAfterMs.push(performance.now() - startedAt)
        } catch {
          failed++
        }
      }),
    ),
  )
  return { seconds, cpuSeconds, failed, backAfterMs: Float64Array.from(backAfterMs) }
}

/** Lets go of everything, without telling the server. */
export async function release(): Promise<void> {
  for (const socket of sockets.splice(0)) socket.drop()
  sessions.length = 0
}

async function openAll(held: readonly Held[]): Promise<void> {
  let next = 0
  const lane = async () => {
    for (let each = held[next++]; each; each = held[next++]) await each.open()
  }
  await Promise.all(Array.from({ length: OPENING_AT_ONCE }, lane))
  sockets.push(...held)
}

function relaySocket(address: Address, session: Joined): Held {
  let socket: AttachedSocket | undefined
  return {
    open: async () => {
      socket = await AttachedSocket.open(address, session)
    },
    drop: () => socket?.socket.destroy(),
  }
}

function bareSocket(address: Address): Held {
  let socket: WebSocketWire | undefined
  return {
    open: async () => {
      const opened = await WebSocketWire.connect(address, '/echo')
      socket = opened
      const echoed = new Promise<void>((resolve, reject) => {
        opened.onText = () => resolve()
        opened.onClose = (code) => reject(new Error(`closed with ${code}`))
      })
      opened.sendText('hello')
      await echoed
    },
    drop: () => socket?.destroy(),
  }
}

async function withoutResult<T>(usage: Promise<Usage & { readonly result: T }>): Promise<Usage> {
  const { seconds, cpuSeconds } = await usage
  return { seconds, cpuSeconds }
}

import type { Environment, WebSocketLike } from '../../src/client/environment.ts'
import { environmentWith } from '../../src/client/runtime.ts'
import type { FakeTime } from '../client/fake-time.ts'
import { setting } from './setting.ts'

type Data = string | Uint8Array

/** Hooks of a test into the messages of a socket. Returning undefined swallows one; `socket.cut()` ends it all. */
export interface SocketHooks {
  outgoing?: ((data: Data, socket: WatchedSocket) => Data | undefined) | undefined
  incoming?: ((data: Data, socket: WatchedSocket) => Data | undefined) | undefined
}

/** The real socket of this runtime, with a test's hand on it. */
export class WatchedSocket implements WebSocketLike {
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number }) => void) | null = null
  onerror: (() => void) | null = null
  closeCode: number | undefined
  /** Reports whether the SDK has closed it. */
  closed = false
  #cut = false
  readonly #inner: WebSocketLike
  readonly #hooks: SocketHooks
  /** Messages that came while it was paused. */
  #held: (() => void)[] | undefined

  constructor(inner: WebSocketLike, hooks: SocketHooks, onClosed: () => void) {
    this.#inner = inner
    this.#hooks = hooks
    inner.onopen = () => this.onopen?.()
    inner.onerror = () => this.onerror?.()
    inner.onclose = ({ code }) => {
      this.closeCode = code
      onClosed()
      this.onclose?.({ code })
    }
    inner.onmessage = ({ data }) => this.#take(data)
  }

  get binaryType(): string {
    return this.#inner.binaryType
  }

  set binaryType(type: string) {
    this.#inner.binaryType = type
  }

  get bufferedAmount(): number {
    return this.#inner.bufferedAmount
  }

  send(data: Data): void {
    const changed = this.#hooks.outgoing ? this.#hooks.outgoing(data, this) : data
    if (changed !== undefined) this.#inner.send(changed)
  }

  close(): void {
    this.closed = true
    this.#inner.close()
  }

  /** The network is gone, without a word. */
  cut(): void {
    this.#cut = true
    if (isOfWs(this.#inner)) this.#inner.terminate()
    else this.#inner.close()
  }

  /** Reads nothing more from the network, until `resume`. */
  pause(): void {
    if (isOfWs(this.#inner)) this.#inner.pause()
    else this.#held = []
  }

  resume(): void {
    if (isOfWs(this.#inner)) return this.#inner.resume()
    const held = this.#held ?? []
    this.#held = undefined
    for (const take of held) take()
  }

  /** Says something to the SDK as if it had come from the relay. */
  inject(data: Data): void {
    this.onmessage?.({ data })
  }

  #take(data: unknown): void {
    if (this.#cut) return
    if (this.#held) return void this.#held.push(() => this.#take(data))
    const taken = data instanceof ArrayBuffer ? new Uint8Array(data) : (data as string)
    const changed = this.#hooks.incoming ? this.#hooks.incoming(taken, this) : taken
    if (changed !== undefined) this.onmessage?.({ data: changed })
  }
}

/** Members of the `ws` package beyond those the SDK uses. */
interface SocketOfWs extends WebSocketLike {
  terminate(): void
  pause(): void
  resume(): void
}

function isOfWs(socket: WebSocketLike): socket is SocketOfWs {
  return 'terminate' in socket
}

let addresses = 0

/** An address that no other device has. */
export function freshAddress(): string {
  addresses++
  return `198.18.${addresses >> 8}.${addresses & 0xff}`
}

function always<T>(value: T): () => T {
  return () => value
}

/** As a proxy would forward it that has it from a device with this address. */
function fromAddress(address: string, init: RequestInit): RequestInit {
  return { ...init, headers: { ...(init.headers as Record<string, string>), 'x-forwarded-for': address } }
}

/** The environment of one device: the real network, everything counted, and whatever a test changes about it. */
export class DeviceWorld {
  readonly hooks: SocketHooks = {}
  readonly environment: Partial<Environment>
  /** Where its calls come from, for a relay that trusts this machine as a proxy. */
  address: () => string = always(freshAddress())
  /** Stands between the SDK's commands and the real fetch. What a socket does over HTTP is no command. */
  onFetch: (send: () => Promise<Response>, url: string, init: RequestInit) => Promise<Response> = (send) => send()
  /** Timers set and neither fired nor cleared. */
  readonly timers = new Set<unknown>()
  /** Sockets opened and not closed. */
  readonly openSockets = new Set<WatchedSocket>()
  /** All sockets ever opened. */
  readonly sockets: WatchedSocket[] = []
  requests = 0
  jitter = 0
  /** While it is, no socket opens. */
  unplugged = false
  /** Reports whether WebSockets are let through. Where not, the SDK goes on over HTTP. */
  webSocketsPass = setting.webSocketsPass
  /** Where every random byte of the SDK comes from. */
  random: Environment['random']

  private constructor(real: Environment, time?: FakeTime) {
    this.random = real.random
    this.environment = {
      random: (length) => this.random(length),
      fetch: (url, init) =>
        this.#count(this.onFetch(() => real.fetch(url, fromAddress(this.address(), init)), url, init)),
      openWebSocket: (url, protocol) => {
        return this.webSocketsPass ? this.#open(real.openWebSocket(url, protocol)) : refusedSocket()
      },
      openHttpSocket: (sessionUrl, environment) => {
        const fetch: Environment['fetch'] = (url, init) => this.#count(real.fetch(url, init))
        return this.#open(real.openHttpSocket(sessionUrl, { ...environment, fetch }))
      },
      ...(time ? { now: time.now } : {}),
      setTimeout: (callback, ms) => {
        // Long waits are the test's to end, short ones belong to the network.
        if (time && ms >= LONG_MS) return { fake: time.setTimeout(callback, ms) }
        const timer = real.setTimeout(() => {
          this.timers.delete(timer)
          callback()
        }, ms)
        this.timers.add(timer)
        return timer
      },
      clearTimeout: (timer) => {
        if (time && isFake(timer)) return time.clearTimeout(timer.fake)
        this.timers.delete(timer)
        real.clearTimeout(timer)
      },
      jitter: () => this.jitter,
    }
  }

  /** With a `time`, waits of 100 ms and more happen when the test says so. */
  static async create(time?: FakeTime): Promise<DeviceWorld> {
    return new DeviceWorld(await environmentWith(), time)
  }

  /** The newest socket. */
  get socket(): WatchedSocket {
    const socket = this.sockets.at(-1)
    if (!socket) throw new Error('no socket was opened')
    return socket
  }

  /** Checks that nothing is left when the SDK is done. */
  get left(): { timers: number; sockets: number; requests: number } {
    return { timers: this.timers.size, sockets: this.openSockets.size, requests: this.requests }
  }

  async #count(answering: Promise<Response>): Promise<Response> {
    this.requests++
    try {
      return await answering
    } finally {
      this.requests--
    }
  }

  #open(inner: WebSocketLike): WebSocketLike {
    const socket: WatchedSocket = new WatchedSocket(inner, this.hooks, () => {
      this.openSockets.delete(socket)
    })
    this.openSockets.add(socket)
    this.sockets.push(socket)
    if (this.unplugged) socket.cut()
    return socket
  }
}

/** A socket as the SDK gets it where a proxy answers 403 to every upgrade. */
function refusedSocket(): WebSocketLike {
  const socket: WebSocketLike = {
    binaryType: 'arraybuffer',
    bufferedAmount: 0,
    onopen: null,
    onmessage: null,
    onclose: null,
    onerror: null,
    send: () => {},
    close: () => {},
  }
  queueMicrotask(() => {
    socket.onerror?.()
    socket.onclose?.({ code: 1006 })
  })
  return socket
}

const LONG_MS = 100

export const NOTHING_LEFT_HERE = { timers: 0, sockets: 0, requests: 0 }

function isFake(timer: unknown): timer is { fake: unknown } {
  return typeof timer === 'object' && timer !== null && 'fake' in timer
}

/** Waits for something that is bound to happen, and says what it was when it does not. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  for (const deadline = performance.now() + 60_000; !condition(); ) {
    if (performance.now() > deadline) throw new Error(`it did not happen: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

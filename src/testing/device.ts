import type { Environment } from '../client/index.ts'
import type { HttpErrorCode } from '../protocol/errors.ts'
import { FRAME_DATA } from '../protocol/frame.ts'
import { FRAME_HEADER_BYTES } from '../protocol/limits.ts'
import type { Relay } from '../relay/relay.ts'
import { answerCall, refuse } from './calls.ts'
import type { TestClock } from './clock.ts'
import { TestSocket } from './socket.ts'

/** State of the network of a device: it works, everything fails at once, or nothing is ever answered. */
export type Network = 'works' | 'fails' | 'silent'

/** A device at a relay in memory: what the SDK takes from the world around it, with the test's hand on it. */
export class TestDevice {
  /** For the option `environment` of `Sender.open` and `Receiver.join`. */
  readonly environment: Partial<Environment>
  /** Reports whether WebSockets pass. Where not, the SDK goes on over HTTP. */
  webSocketsPass = true
  #network: Network = 'works'
  readonly #sockets = new Set<TestSocket>()
  readonly #refusals: Response[] = []
  #corrupts = false

  /** @internal `address` is the one that the relay sees. */
  constructor(relay: Relay, address: string, clock: TestClock | undefined) {
    this.environment = {
      fetch: (url, init) => untilAborted(init.signal, this.#call(relay, address, url, init)),
      openWebSocket: (url) => this.#open(relay, url),
      ...(clock ? { now: clock.now, setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout } : {}),
    }
  }

  get network(): Network {
    return this.#network
  }

  /** Any change cuts what was open: nothing that was silent for a while is whole again. */
  set network(network: Network) {
    if (network === this.#network) return
    this.#network = network
    if (network !== 'silent') this.cut()
  }

  /** Cuts the sockets that are open. The SDK opens new ones. */
  cut(): void {
    for (const socket of this.#sockets) socket.end()
  }

  /** Has the relay answer the next call with this error of PROTOCOL.md, section 6. */
  refuse(code: HttpErrorCode, retryAfterSeconds?: number): void {
    this.#refusals.push(refuse(code, retryAfterSeconds))
  }

  /** Lies about the next frame of the other device: a bit of it is another one when it arrives. */
  corrupt(): void {
    this.#corrupts = true
  }

  async #call(relay: Relay, address: string, url: string, init: RequestInit): Promise<Response> {
    if (this.#network === 'fails') throw new TypeError('the network of the test fails')
    if (this.#network === 'silent') return new Promise(() => {})
    const refusal = this.#refusals.shift()
    if (refusal) return refusal
    const answer = await answerCall(relay, address, url, init)
    if (!this.#corrupts || init.method !== 'GET' || answer.status !== 200 || !url.includes('/frames/')) return answer
    const { headers } = answer
    return new Response(this.#corrupted(new Uint8Array(await answer.arrayBuffer())), { headers })
  }

  #open(relay: Relay, url: string): TestSocket {
    const socket = new TestSocket((ended) => this.#sockets.delete(ended))
    this.#sockets.add(socket)
    const sessionId = new URL(url).pathname.split('/').at(-2) ?? ''
    const unlessSilent = <T>(data: T) => (this.#network === 'silent' ? undefined : data)
    if (!this.webSocketsPass || this.#network === 'fails') socket.end()
    else if (this.#network === 'works') {
      socket.connect(relay, sessionId, unlessSilent, (data) =>
        unlessSilent(this.#corrupts && isDataFrame(data) ? this.#corrupted(data) : data),
      )
    }
    return socket
  }

  #corrupted<T extends Uint8Array>(bytes: T): T {
    this.#corrupts = false
    const changed = bytes.slice() as T
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
    return changed
  }
}

function isDataFrame(data: string | Uint8Array): data is Uint8Array {
  return data instanceof Uint8Array && data[0] === FRAME_DATA && data.length > FRAME_HEADER_BYTES
}

/** Rejects as fetch does when its signal is aborted first. */
function untilAborted<T>(signal: AbortSignal | null | undefined, work: Promise<T>): Promise<T> {
  if (!signal) return work
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

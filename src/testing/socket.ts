import type { WebSocketLike } from '../client/index.ts'
import { ABNORMAL_CLOSURE, ERRORS } from '../protocol/errors.ts'
import { inOnePiece } from '../relay/pieces.ts'
import type { Relay } from '../relay/relay.ts'

/** Changes something on its way to a device. Undefined swallows it. */
export type Change = (data: string | Uint8Array) => string | Uint8Array | undefined

/** A WebSocket to a relay's domain, and no network between. Everything arrives in a later turn, in order. */
export class TestSocket implements WebSocketLike {
  binaryType = 'arraybuffer'
  readonly bufferedAmount = 0
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: WebSocketLike['onclose'] = null
  onerror: (() => void) | null = null
  readonly #ended: (socket: TestSocket) => void
  #hears: ((data: string | Uint8Array) => void) | undefined
  #gone: () => void = () => {}
  #isOver = false

  /** `ended` is called once, when it is over for the device. */
  constructor(ended: (socket: TestSocket) => void) {
    this.#ended = ended
  }

  /** Opens it for a session. */
  connect(relay: Relay, sessionId: string, outgoing: Change, incoming: Change): void {
    const connection = relay.connect(sessionId, {
      send: (data) => {
        const changed = incoming(typeof data === 'string' ? data : inOnePiece(data))
        const message = changed instanceof Uint8Array ? changed.slice().buffer : changed
        if (message !== undefined) queueMicrotask(() => this.#isOver || this.onmessage?.({ data: message }))
        return 'sent'
      },
      ping: () => queueMicrotask(() => connection.pong()),
      close: (code) => this.end(ERRORS[code].closeCode),
      destroy: () => this.end(),
    })
    this.#hears = (data) => {
      const changed = outgoing(data)
      if (changed !== undefined) connection.receive(changed)
    }
    this.#gone = () => connection.gone()
    queueMicrotask(() => this.#isOver || this.onopen?.())
  }

  send(data: string | Uint8Array): void {
    if (!this.#isOver) this.#hears?.(typeof data === 'string' ? data : data.slice())
  }

  close(): void {
    this.end(1005)
  }

  /** Ends it for both sides, behind everything that was said. */
  end(code: number = ABNORMAL_CLOSURE): void {
    queueMicrotask(() => {
      if (this.#isOver) return
      this.#isOver = true
      this.#ended(this)
      this.#gone()
      if (code === ABNORMAL_CLOSURE) this.onerror?.()
      this.onclose?.({ code })
    })
  }
}

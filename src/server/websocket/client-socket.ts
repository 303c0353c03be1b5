import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import { type CloseErrorCode, ERRORS } from '../../protocol/errors.ts'
import { ATTACH_MAX_BYTES } from '../../protocol/limits.ts'
import type { PeerSocket } from '../../relay/ports.ts'
import type { Relay } from '../../relay/relay.ts'

/** Bytes a socket may have taken and not yet passed to the kernel before it counts as congested. */
const CONGESTED_BYTES = 512 * 1024

/** Joins a WebSocket to the relay's domain. Call it in the turn of the upgrade, or early frames are lost. */
export function carry(
  relay: Relay,
  sessionId: string,
  webSocket: WebSocket,
  below: Duplex,
  maxFrameBytes: number,
  onClose: (code: CloseErrorCode) => void = () => {},
): void {
  // ws itself answers each breach of RFC 6455, with the right close code.
  webSocket.on('error', () => {})
  setMaximum(webSocket, Math.min(ATTACH_MAX_BYTES, maxFrameBytes))
  // The relay says nothing before a socket has attached, but how it is closed. Until then it takes the attach and no more.
  const attached = () => setMaximum(webSocket, maxFrameBytes)
  const peer = new Peer(webSocket, below, { attached, closing: onClose })
  const connection = relay.connect(sessionId, peer)
  webSocket.on('message', (data: Buffer, isBinary: boolean) => {
    connection.receive(isBinary ? owned(data) : data.toString())
  })
  webSocket.on('pong', () => connection.pong())
  webSocket.on('close', () => connection.gone())
  below.on('drain', () => {
    if (peer.recover()) connection.drained()
  })
}

/** Bounds the next messages. ws knows one maximum for all its sockets, and has no public way to another. */
function setMaximum(webSocket: WebSocket, bytes: number): void {
  const { _receiver: receiver } = webSocket as unknown as { readonly _receiver: { _maxPayload: number } | null }
  if (receiver) receiver._maxPayload = bytes
}

/** A copy of a message that is part of a larger buffer, because a mailbox would keep all of that alive. */
function owned(data: Buffer): Uint8Array {
  return data.byteLength === data.buffer.byteLength ? data : new Uint8Array(data)
}

/**
 * Gathers the messages of one turn of the event loop into one system call. Without it small messages cost the relay 1.2 to
 * 1.5 times the CPU (`npm run bench -- --only optimisations`).
 */
class Peer implements PeerSocket {
  readonly #webSocket: WebSocket
  readonly #below: Duplex
  readonly #closing: (code: CloseErrorCode) => void
  #attached: (() => void) | undefined
  #gathering = false
  #congested = false

  /** `attached` is called once, before the first thing is sent; `closing` before the relay closes it. */
  constructor(
    webSocket: WebSocket,
    below: Duplex,
    told: { readonly attached: () => void; readonly closing: (code: CloseErrorCode) => void },
  ) {
    this.#webSocket = webSocket
    this.#below = below
    this.#attached = told.attached
    this.#closing = told.closing
  }

  send(data: string | Uint8Array): 'sent' | 'congested' {
    if (this.#webSocket.readyState !== WebSocket.OPEN) return 'sent'
    this.#attached?.()
    this.#attached = undefined
    if (!this.#gathering) {
      this.#gathering = true
      this.#below.cork()
      setImmediate(() => this.#flush())
    }
    this.#webSocket.send(data)
    if (this.#below.writableLength > CONGESTED_BYTES) this.#flush()
    this.#congested = this.#below.writableLength > CONGESTED_BYTES
    return this.#congested ? 'congested' : 'sent'
  }

  /** To be called when all was written. Says whether it had been too much. */
  recover(): boolean {
    const recovered = this.#congested
    this.#congested = false
    return recovered
  }

  ping(): void {
    this.#webSocket.ping()
  }

  close(code: CloseErrorCode): void {
    this.#closing(code)
    this.#webSocket.close(ERRORS[code].closeCode, code)
  }

  destroy(): void {
    this.#webSocket.terminate()
  }

  #flush(): void {
    if (!this.#gathering) return
    this.#gathering = false
    this.#below.uncork()
  }
}

import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import { type CloseErrorCode, ERRORS } from '../../protocol/errors.ts'
import { ATTACH_MAX_BYTES } from '../../protocol/limits.ts'
import { type Bytes, piecesOf } from '../../relay/pieces.ts'
import type { PeerSocket } from '../../relay/ports.ts'
import type { Relay } from '../../relay/relay.ts'
import { BINARY, TEXT, WholeMessages, writeHeader } from './fast-path.ts'

/** Bytes a socket may have taken and not yet passed to the kernel before it counts as congested. */
const CONGESTED_BYTES = 512 * 1024
/** Up to here copying costs less than a second write. */
const SMALL_BYTES = 1024

/**
 * Joins a WebSocket to the relay's domain. ws does the upgrade, control frames, closing and whatever is wrong; whole messages go
 * past it in both directions, on the socket below. Call it in the turn of the upgrade, or early frames are lost.
 */
export function carry(
  relay: Relay,
  sessionId: string,
  webSocket: WebSocket,
  below: Duplex,
  maxFrameBytes: number,
  onClose: (code: CloseErrorCode) => void = () => {},
): void {
  webSocket.on('error', answeredByWs)
  // The relay says nothing before a socket has attached, but how it is closed. Until then it takes the attach and no more.
  const peer = new Peer(webSocket, below, { attached: () => setMaximum(maxFrameBytes), closing: onClose })
  const connection = relay.connect(sessionId, peer)
  const firstMaximum = Math.min(ATTACH_MAX_BYTES, maxFrameBytes)
  const messages = takeWholeMessages(below, firstMaximum, (message) => connection.receive(message))
  const setMaximum = (bytes: number) => {
    if (messages) messages.maxBytes = bytes
    setMaximumOfWs(webSocket, bytes)
  }
  setMaximum(firstMaximum)
  webSocket.on('message', (data: Buffer, isBinary: boolean) => {
    connection.receive(isBinary ? owned(data) : data.toString())
  })
  webSocket.on('pong', () => connection.pong())
  webSocket.on('close', () => connection.gone())
  below.on('drain', () => {
    if (peer.recover()) connection.drained()
  })
}

/** ws itself answers each breach of RFC 6455, with the right close code. */
const answeredByWs = () => {}

/** Bounds what ws collects of fragments. It knows one maximum for all its sockets, and has no public way to another. */
function setMaximumOfWs(webSocket: WebSocket, bytes: number): void {
  const { _receiver: receiver } = webSocket as unknown as { readonly _receiver: { _maxPayload: number } | null }
  if (receiver) receiver._maxPayload = bytes
}

/** A copy of a message that is part of a larger buffer, because a mailbox would keep all of that alive. */
function owned(data: Buffer): Uint8Array {
  return data.byteLength === data.buffer.byteLength ? data : new Uint8Array(data)
}

/** Reads whole messages before ws does. Undefined where ws does not listen on the socket itself: only as fast as ws then. */
function takeWholeMessages(
  below: Duplex,
  maxBytes: number,
  take: (message: string | Bytes) => void,
): WholeMessages | undefined {
  const [listener] = below.listeners('data') as ((bytes: Buffer) => void)[]
  if (!listener) return undefined
  const toWs = (bytes: Buffer) => listener.call(below, bytes)
  const messages = new WholeMessages(maxBytes, {
    take,
    leave: toWs,
    handOver: (bytes) => {
      below.on('data', listener)
      below.off('data', read)
      toWs(bytes)
    },
  })
  const read = (chunk: Buffer) => messages.push(chunk)
  below.on('data', read)
  below.off('data', listener)
  return messages
}

/** Writes whole messages, unmasked, as servers do, and gathers those of one turn into one system call. */
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

  send(data: string | Bytes): 'sent' | 'congested' {
    if (this.#webSocket.readyState !== WebSocket.OPEN) return 'sent'
    this.#attached?.()
    this.#attached = undefined
    if (!this.#gathering) {
      this.#gathering = true
      this.#below.cork()
      setImmediate(() => this.#flush())
    }
    const text = typeof data === 'string'
    const payload = text ? Buffer.from(data) : data
    const header = writeHeader(text ? TEXT : BINARY, payload.length)
    const parts = [header, ...piecesOf(payload)]
    if (payload.length <= SMALL_BYTES) this.#below.write(Buffer.concat(parts))
    else for (const part of parts) this.#below.write(part)
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

import type { Server } from 'node:http'
import { isIP, type Socket } from 'node:net'
import ipaddr from 'ipaddr.js'
import { reset } from './reset.ts'

/** First bytes of version 2, which no version 1 and no HTTP has. */
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const V1 = Buffer.from('PROXY ', 'latin1')
/** The longest line of version 1, and the most that version 2 may bring: addresses, and extensions nobody reads here. */
const V1_MAX_BYTES = 107
const V2_MAX_BYTES = 2_048

/** Start of a connection as a proxy tells it. */
export type ProxyHeader =
  | { readonly kind: 'partial' }
  | { readonly kind: 'wrong' }
  /** `address` is undefined for a connection that the proxy made for itself, such as a health check. */
  | { readonly kind: 'read'; readonly length: number; readonly address: string | undefined }

const PARTIAL: ProxyHeader = { kind: 'partial' }
const WRONG: ProxyHeader = { kind: 'wrong' }

/** Reads a header of the PROXY protocol, version 1 or 2, from the first bytes of a connection. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (begins(bytes, SIGNATURE)) return readV2(bytes)
  return begins(bytes, V1) ? readV1(bytes) : WRONG
}

/** Reports whether bytes begin as a prefix does, as far as they are there. */
function begins(bytes: Buffer, prefix: Buffer): boolean {
  const length = Math.min(bytes.length, prefix.length)
  return bytes.compare(prefix, 0, length, 0, length) === 0
}

function readV1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, V1_MAX_BYTES).indexOf('\r\n')
  if (end < 0) return bytes.length < V1_MAX_BYTES ? PARTIAL : WRONG
  const line = bytes.toString('latin1', 0, end)
  const length = end + 2
  if (/^PROXY UNKNOWN( |$)/.test(line)) return { kind: 'read', length, address: undefined }
  const [, family, address = ''] = /^PROXY TCP([46]) (\S+) \S+ \d{1,5} \d{1,5}$/.exec(line) ?? []
  return isIP(address) > 0 && isIP(address) === Number(family) ? { kind: 'read', length, address } : WRONG
}

/** Version 2: a signature, version and command, family, the length of the rest, two addresses, two ports, extensions. */
function readV2(bytes: Buffer): ProxyHeader {
  if (bytes.length < 16) return PARTIAL
  const [command = 0, family = 0] = bytes.subarray(12)
  const length = 16 + bytes.readUInt16BE(14)
  const isLocal = command === 0x20
  if ((command !== 0x21 && !isLocal) || length > V2_MAX_BYTES) return WRONG
  if (bytes.length < length) return PARTIAL
  const size = { 1: 4, 2: 16 }[family >> 4]
  if (isLocal || size === undefined) return { kind: 'read', length, address: undefined }
  if (length < 16 + 2 * size + 4) return WRONG
  const address = ipaddr.fromByteArray([...bytes.subarray(16, 16 + size)]).toString()
  return { kind: 'read', length, address }
}

export interface ProxyConnections {
  /** Reports whether the other end is a proxy, which has to send a header. Others send none. */
  readonly isProxy: (socket: Socket) => boolean
  /** Called with the address of the client, before anything of the connection is read. */
  readonly told: (socket: Socket, address: string) => void
  /** Called for the first connection of a proxy that begins with something else. */
  readonly missed: () => void
  /** How long the header may take, in milliseconds. */
  readonly timeoutMs: number
}

/**
 * Has a server read a header of the PROXY protocol first on each connection of a proxy. A connection whose header is missing
 * or wrong is reset: to guess would let a client choose its address. To be called once, before anything else listens.
 * Returns a call that resets the connections whose header is still to come: a server that closes does not know of them.
 */
export function takeProxyProtocol(server: Server, { isProxy, told, missed, timeoutMs }: ProxyConnections): () => void {
  const waiting = new Set<Socket>()
  let hasMissed = false
  const listeners = server.listeners('connection') as ((socket: Socket) => void)[]
  server.removeAllListeners('connection')
  const serve = (socket: Socket) => {
    for (const listener of listeners) listener.call(server, socket)
  }
  server.on('connection', (socket: Socket) => {
    if (!isProxy(socket)) return serve(socket)
    let bytes: Buffer = Buffer.alloc(0)
    const refuse = () => reset(socket)
    const miss = () => {
      if (!hasMissed) missed()
      hasMissed = true
      refuse()
    }
    const timer = setTimeout(refuse, timeoutMs)
    waiting.add(socket)
    const stop = () => {
      clearTimeout(timer)
      waiting.delete(socket)
      socket.off('readable', read).off('close', stop).off('end', refuse).off('error', refuse)
    }
    const read = () => {
      const piece: Buffer | null = socket.read()
      if (piece === null) return
      bytes = bytes.length === 0 ? piece : Buffer.concat([bytes, piece])
      const header = readProxyHeader(bytes)
      if (header.kind === 'partial') return
      stop()
      if (header.kind === 'wrong') return miss()
      if (header.address !== undefined) told(socket, header.address)
      serve(socket)
      // Node's parser takes what is unread from here on.
      if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length))
      socket.resume()
    }
    socket.on('readable', read).on('close', stop).on('end', refuse).on('error', refuse)
  })
  return () => waiting.forEach(reset)
}

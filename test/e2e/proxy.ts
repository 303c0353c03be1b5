import { type AddressInfo, createServer, type Server, Socket } from 'node:net'

/** What a proxy counts, in both directions: what a socket carries, whether it is one or goes over HTTP, and commands. */
export type Kind = 'sockets' | 'requests'

/**
 * A network between a device and the relay that can be cut at any byte. What sockets carry is told from commands by
 * the line that each request begins with, so that a test can cut either.
 */
export class CuttingProxy {
  readonly #server: Server
  readonly #connections = new Set<() => void>()
  #cutAt: { kind: Kind | 'any'; left: number } | undefined
  #again: number | undefined
  /** Bytes that have passed so far. */
  readonly passed = { sockets: 0, requests: 0 }
  /** How often the network was cut. */
  cuts = 0
  /** Called when it is, for the test that wants the next one. */
  onCut: (() => void) | undefined

  private constructor(targetPort: number) {
    this.#server = createServer({ noDelay: true }, (client) => this.#connect(client, targetPort))
  }

  static async start(targetPort: number): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(targetPort)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Cuts the connection on which the byte after so many passes, once. */
  cutAfter(bytes: number, kind: Kind | 'any' = 'sockets'): void {
    this.#cutAt = { kind, left: bytes }
  }

  /** Cuts the connection on which a socket's byte after so many passes, and from then on again. Infinity: no more. */
  cutEvery(bytes: number): void {
    this.#again = Number.isFinite(bytes) ? bytes : undefined
    this.cutAfter(bytes)
  }

  async close(): Promise<void> {
    for (const destroy of this.#connections) destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #connect(client: Socket, targetPort: number): void {
    const relay = new Socket().setNoDelay().connect(targetPort, '127.0.0.1')
    let kind: Kind = 'requests'
    const destroy = () => {
      client.destroy()
      relay.destroy()
      this.#connections.delete(destroy)
    }
    this.#connections.add(destroy)
    const carry = (to: Socket) => (chunk: Buffer) => {
      kind = kindOf(chunk) ?? kind
      const allowed = this.#allow(kind, chunk.length)
      to.write(chunk.subarray(0, allowed))
      if (allowed === chunk.length) return
      this.cuts++
      if (this.#again !== undefined) this.cutAfter(this.#again)
      // What passed before the cut arrives.
      to.end()
      client.pause()
      relay.pause()
      setImmediate(destroy)
      this.onCut?.()
    }
    client.on('data', carry(relay))
    relay.on('data', carry(client))
    for (const [socket, other] of [
      [client, relay],
      [relay, client],
    ]) {
      socket.on('error', destroy)
      socket.on('end', () => other.end())
      socket.on('close', destroy)
    }
  }

  #allow(kind: Kind, length: number): number {
    this.passed[kind] += length
    if (!this.#cutAt || (this.#cutAt.kind !== kind && this.#cutAt.kind !== 'any')) return length
    const { left } = this.#cutAt
    this.#cutAt = left < length ? undefined : { ...this.#cutAt, left: left - length }
    return Math.min(left, length)
  }
}

/** What a request carries that these bytes are the beginning of, if they are. */
function kindOf(chunk: Buffer): Kind | undefined {
  const [, target] = /^(?:GET|PUT|POST|DELETE) (\S+) HTTP\/1\.1\r\n/.exec(chunk.toString('latin1', 0, 300)) ?? []
  if (target === undefined) return undefined
  return /\/(?:socket|attachment|frames\/\d+)(?:$|\?)|\?version=/.test(target) ? 'sockets' : 'requests'
}

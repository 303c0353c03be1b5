import type { Socket } from 'node:net'
import { directions, TcpProxy } from './tcp-proxy.ts'

/** Kinds of bytes, in both directions: those of a socket, or of HTTP in its place, and those of commands. */
export type Kind = 'sockets' | 'requests'

/**
 * A network between a device and the relay that can be cut at any byte. What sockets carry is told from commands by
 * the line that each request begins with, for a test that cuts one of them.
 */
export class CuttingProxy {
  /** Bytes that have passed. */
  readonly passed = { sockets: 0, requests: 0 }
  /** How often the network was cut. */
  cuts = 0
  /** Called at each cut, for a test that wants another. */
  onCut: (() => void) | undefined
  /** While it is set, upgrades to a WebSocket are answered with 403. */
  refusesSockets = false
  /** How many were. */
  refused = 0
  #proxy: TcpProxy | undefined
  #port: number
  #cutAt: { kind: Kind | 'any'; left: number } | undefined

  private constructor(port: number) {
    this.#port = port
  }

  static async start(port: number): Promise<CuttingProxy> {
    const cutting = new CuttingProxy(port)
    cutting.#proxy = await TcpProxy.start({
      ports: (line) => {
        if (!cutting.refusesSockets || !/^GET \S+\/socket HTTP/.test(line)) return [cutting.#port]
        cutting.refused++
        return []
      },
      carry: (client, relay) => cutting.#carry(client, relay),
    })
    return cutting
  }

  get url(): string {
    return this.#proxy?.url ?? ''
  }

  async close(): Promise<void> {
    await this.#proxy?.close()
  }

  /** Cuts every connection, and leads to another relay from now on. */
  moveTo(port: number): void {
    this.#port = port
    this.#proxy?.cut()
  }

  /** Cuts the connection on which the byte after so many passes, once. */
  cutAfter(bytes: number, kind: Kind | 'any' = 'sockets'): void {
    this.#cutAt = { kind, left: bytes }
  }

  /** Cuts the connection on which a socket's byte after so many passes, and from then on again. */
  cutEvery(bytes: number): void {
    const again = () => this.cutAfter(bytes)
    this.onCut = again
    again()
  }

  /** Cuts at each of these bytes, in ascending order, counted over all that passes. */
  cutAt(places: readonly number[]): void {
    const left = [...places]
    this.onCut = () => {
      const place = left.shift()
      if (place !== undefined) this.cutAfter(Math.max(0, place - this.passed.sockets - this.passed.requests), 'any')
    }
    this.onCut()
  }

  #carry(client: Socket, relay: Socket): void {
    let kind: Kind = 'requests'
    const destroy = () => {
      client.destroy()
      relay.destroy()
    }
    for (const [from, to] of directions(client, relay)) {
      from.on('data', (chunk: Buffer) => {
        kind = kindOf(chunk) ?? kind
        const allowed = this.#allow(kind, chunk.length)
        to.write(chunk.subarray(0, allowed))
        if (allowed === chunk.length) return
        this.cuts++
        // Bytes before the cut arrive.
        to.end()
        client.pause()
        relay.pause()
        setImmediate(destroy)
        this.onCut?.()
      })
      from.on('end', () => to.end())
      from.on('close', destroy)
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

/** Returns the kind of a request that begins with these bytes. */
function kindOf(chunk: Buffer): Kind | undefined {
  const [, target] = /^(?:GET|PUT|POST|DELETE) (\S+) HTTP\/1\.1\r\n/.exec(chunk.toString('latin1', 0, 300)) ?? []
  if (target === undefined) return undefined
  return /\/(?:socket|attachment|frames\/\d+)(?:$|\?)|\?version=/.test(target) ? 'sockets' : 'requests'
}

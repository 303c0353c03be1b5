import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

const FORBIDDEN = 'HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'

/** A TCP proxy in front of a relay, for cutting connections in the middle of something, or for refusing WebSockets. */
export class CuttingProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #cutsAfter: number[]
  /** While it is set, a connection that begins with a request for a socket is answered with 403. */
  refusesSockets = false
  #refused = 0
  #passed = 0
  #cuts = 0

  private constructor(server: Server, cutsAfter: readonly number[]) {
    this.#server = server
    this.#cutsAfter = [...cutsAfter]
  }

  /** `cutsAfter`: all connections are cut once so many bytes have gone through in all, both ways together. */
  static async start(port: number, cutsAfter: readonly number[]): Promise<CuttingProxy> {
    const server = createServer((near) => proxy.#meet(near, () => connect(port, '127.0.0.1')))
    const proxy = new CuttingProxy(server, cutsAfter)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** How often there were connections to cut. */
  get cuts(): number {
    return this.#cuts
  }

  /** How many sockets it has refused. */
  get refused(): number {
    return this.#refused
  }

  async close(): Promise<void> {
    this.#destroyAll()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #meet(near: Socket, reach: () => Socket): void {
    if (!this.refusesSockets) return this.#carry(near, reach())
    near.on('error', () => {})
    near.once('data', (bytes) => {
      if (/^GET \S+\/socket HTTP/.test(bytes.toString('latin1', 0, 200))) {
        this.#refused++
        near.end(FORBIDDEN)
        return
      }
      near.pause()
      near.unshift(bytes)
      this.#carry(near, reach())
    })
  }

  #carry(near: Socket, far: Socket): void {
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from)
      from.on('data', (bytes) => this.#count(bytes.length))
      from.on('error', () => to.destroy())
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  }

  #count(bytes: number): void {
    this.#passed += bytes
    const [next] = this.#cutsAfter
    if (next === undefined || this.#passed < next) return
    this.#cutsAfter.shift()
    this.#cuts++
    this.#destroyAll()
  }

  #destroyAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }
}

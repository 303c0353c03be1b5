import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, Socket } from 'node:net'

export interface ProxyHooks {
  /**
   * The ports that a connection may go to, best first. A function gets the request line that the connection begins with:
   * no port refuses it with 403, and where none of them is listened on, the answer is 502.
   */
  readonly ports: number | ((requestLine: string) => readonly number[])
  /** Called with the port that took a connection. */
  readonly onConnected?: (port: number) => void
  /** Passes on what comes in both directions, and each end. Without it everything passes as it comes. */
  readonly carry?: (client: Socket, relay: Socket) => void
}

/** A TCP proxy on loopback in front of relays. Its hooks say where a connection goes and what happens to its bytes. */
export class TcpProxy {
  readonly #hooks: ProxyHooks
  readonly #sockets = new Set<Socket>()
  readonly #server: Server

  private constructor(hooks: ProxyHooks) {
    this.#hooks = hooks
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => void this.#connect(client))
  }

  static async start(hooks: ProxyHooks): Promise<TcpProxy> {
    const proxy = new TcpProxy(hooks)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Ends every connection there is. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #connect(client: Socket): Promise<void> {
    this.#track(client)
    const { ports, carry = pipeBoth } = this.#hooks
    const socket = () => this.#track(new Socket({ allowHalfOpen: true }).setNoDelay())
    if (typeof ports === 'number') return carry(client, socket().connect(ports, '127.0.0.1'))
    const [bytes] = (await once(client, 'data').catch(() => [])) as Buffer[]
    if (!bytes) return
    client.pause()
    client.unshift(bytes)
    const wanted = ports(bytes.toString('latin1', 0, bytes.indexOf('\r\n')))
    for (const port of wanted) {
      const relay = socket()
      if (!(await isConnected(relay, port))) continue
      this.#hooks.onConnected?.(port)
      carry(client, relay)
      return void client.resume()
    }
    const status = wanted.length === 0 ? '403 Forbidden' : '502 Bad Gateway'
    client.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
  }

  #track(socket: Socket): Socket {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    return socket.on('close', () => this.#sockets.delete(socket))
  }
}

function isConnected(socket: Socket, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(true)).once('close', () => resolve(false))
    socket.connect(port, '127.0.0.1')
  })
}

/** Both directions of a connection. */
export function directions(client: Socket, relay: Socket): readonly (readonly [from: Socket, to: Socket])[] {
  return [
    [client, relay],
    [relay, client],
  ]
}

function pipeBoth(client: Socket, relay: Socket): void {
  for (const [from, to] of directions(client, relay)) from.pipe(to).on('close', () => from.destroy())
}

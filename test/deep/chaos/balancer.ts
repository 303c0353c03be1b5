import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * `by session` brings all of a session to one node, as a hash on the path does; `in turn` gives each connection to the
 * next node; a number is a node that everything goes to as long as it lives.
 */
export type Rule = 'by session' | 'in turn' | number

/** What a proxy with two upstreams does: passes on, and takes the other one when a node does not take the connection. */
export class Balancer {
  rule: Rule = 'by session'
  readonly #ports: number[]
  readonly #turns = { requests: 0, sockets: 0 }
  readonly #fronts = new Set<Front>()

  constructor(ports: readonly number[]) {
    this.#ports = [...ports]
  }

  /** A node has come back at another port. */
  replace(node: number, port: number): void {
    this.#ports[node] = port
  }

  /** An address at which the nodes can be reached. Each device has its own, so that a test knows which node serves it. */
  async front(): Promise<Front> {
    const front = await Front.start((kind, path) => this.#order(kind, path))
    this.#fronts.add(front)
    return front
  }

  /** An address for each side of a pairing. */
  async fronts() {
    const [sender, receiver] = [await this.front(), await this.front()]
    return {
      sender,
      receiver,
      relays: { sender: sender.url, receiver: receiver.url },
      close: async () => {
        for (const front of [sender, receiver]) await front.close()
      },
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#fronts].map((front) => front.close()))
  }

  /** The nodes to try, best first. */
  #order(kind: 'requests' | 'sockets', path: string): { node: number; port: number }[] {
    const count = this.#ports.length
    const first = this.#first(kind, path) % count
    return this.#ports.map((_, i) => {
      const node = (first + i) % count
      return { node, port: this.#ports[node] }
    })
  }

  #first(kind: 'requests' | 'sockets', path: string): number {
    if (typeof this.rule === 'number') return this.rule
    const sessionId = /\/sessions\/([^/?]+)/.exec(path)?.[1]
    // What names no session yet may go anywhere.
    if (this.rule === 'in turn' || sessionId === undefined) return this.#turns[kind]++
    return Buffer.from(sessionId).reduce((sum, byte) => sum + byte, 0)
  }
}

type Order = (kind: 'requests' | 'sockets', path: string) => { node: number; port: number }[]

/** One listening address of a balancer. */
export class Front {
  readonly #order: Order
  readonly #server: Server
  readonly #connections = new Set<Duplex>()
  #lastNode: number | undefined

  private constructor(order: Order) {
    this.#order = order
    this.#server = createServer((incoming, answer) => void this.#pass(incoming, answer))
    this.#server.on('upgrade', (incoming, client, head) => void this.#upgrade(incoming, client, head))
    this.#server.on('connection', (socket) => {
      this.#connections.add(socket)
      socket.on('close', () => this.#connections.delete(socket))
    })
  }

  static async start(order: Order): Promise<Front> {
    const front = new Front(order)
    front.#server.listen(0, '127.0.0.1')
    await once(front.#server, 'listening')
    return front
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** The node that served something here last: the one that holds the socket, when there is one. */
  get node(): number | undefined {
    return this.#lastNode
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #pass(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { method, url = '/', headers } = incoming
    const body: Buffer[] = []
    for await (const chunk of incoming) body.push(chunk)
    for (const { node, port } of this.#order('requests', url)) {
      const outcome = await new Promise<'done' | 'refused'>((resolve) => {
        const outgoing = request({ host: '127.0.0.1', port, method, path: url, headers, agent: false }, (response) => {
          this.#lastNode = node
          answer.writeHead(response.statusCode ?? 502, response.headers)
          response.pipe(answer)
          // An answer that was cut off is cut off here too.
          response.on('error', () => answer.destroy())
          response.on('aborted', () => answer.destroy())
          resolve('done')
        })
        outgoing.on('error', (error: NodeJS.ErrnoException) => {
          // The node never saw it: another may. What it may have done must not be done twice by us.
          if (error.code === 'ECONNREFUSED') return resolve('refused')
          if (!answer.headersSent) answer.writeHead(502).end()
          resolve('done')
        })
        outgoing.end(Buffer.concat(body))
      })
      if (outcome === 'done') return
    }
    answer.writeHead(502).end()
  }

  async #upgrade(incoming: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
    const { method, url = '/', httpVersion, rawHeaders } = incoming
    client.on('error', () => {})
    for (const { node, port } of this.#order('sockets', url)) {
      const relay = await connected(port)
      if (!relay) continue
      if (client.destroyed) return void relay.destroy()
      this.#lastNode = node
      const lines = [`${method} ${url} HTTP/${httpVersion}`]
      for (let i = 0; i < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`)
      relay.write(`${lines.join('\r\n')}\r\n\r\n`)
      relay.write(head)
      relay.on('error', () => {})
      for (const [one, other] of [
        [relay, client],
        [client, relay],
      ]) {
        one.pipe(other)
        one.on('close', () => other.destroy())
      }
      return
    }
    client.end('HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
  }
}

/** A connection to a port, or undefined when nobody listens there. */
function connected(port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    socket.once('connect', () => resolve(socket))
    socket.once('error', () => resolve(undefined))
  })
}

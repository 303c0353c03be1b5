import { TcpProxy } from '../../support/tcp-proxy.ts'
import type { Side } from './pairing.ts'

/**
 * `by session` brings all of a session to one node, as a hash on the path does; `in turn` gives each socket to the next
 * node, and each connection for commands to the one after that; a number is a node that everything goes to while it lives.
 */
export type Rule = 'by session' | 'in turn' | number

/** An address of a balancer. Each device has its own, by which a test knows the node that serves it. */
export interface Front {
  readonly url: string
  /** The node that took a connection here last. */
  readonly node: number | undefined
  close(): Promise<void>
}

/** A proxy in front of nodes, which takes another one when a node does not take a connection. */
export class Balancer {
  rule: Rule = 'by session'
  readonly #ports: number[]
  readonly #turns = { commands: 1, sockets: 0 }

  constructor(ports: readonly number[]) {
    this.#ports = [...ports]
  }

  /** A node has come back at another port. */
  replace(node: number, port: number): void {
    this.#ports[node] = port
  }

  async front(): Promise<Front> {
    let node: number | undefined
    const proxy = await TcpProxy.start({
      ports: (line) => this.#order(line),
      onConnected: (port) => {
        node = this.#ports.indexOf(port)
      },
    })
    return {
      url: proxy.url,
      get node() {
        return node
      },
      close: () => proxy.close(),
    }
  }

  /** An address for each side of a pairing. */
  async fronts() {
    const fronts: Record<Side, Front> = { sender: await this.front(), receiver: await this.front() }
    const { sender, receiver } = fronts
    return {
      ...fronts,
      relays: { sender: sender.url, receiver: receiver.url },
      close: async () => {
        for (const front of [sender, receiver]) await front.close()
      },
    }
  }

  /** The ports of the nodes to try, best first. */
  #order(line: string): number[] {
    const first = this.#first(line) % this.#ports.length
    return [...this.#ports.slice(first), ...this.#ports.slice(0, first)]
  }

  #first(line: string): number {
    if (typeof this.rule === 'number') return this.rule
    const sessionId = /\/sessions\/([^/? ]+)/.exec(line)?.[1]
    // A request that names no session yet may go anywhere.
    if (this.rule === 'in turn' || sessionId === undefined) {
      return this.#turns[/\/socket HTTP/.test(line) ? 'sockets' : 'commands']++
    }
    return Buffer.from(sessionId).reduce((sum, byte) => sum + byte, 0)
  }
}

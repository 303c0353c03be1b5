import { setTimeout as delay } from 'node:timers/promises'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type RelayProcess, startRelayProcess } from '../../support/relay-process.ts'
import { Balancer } from './balancer.ts'
import { RedisKeys } from './redis-keys.ts'

export interface ClusterOptions {
  readonly nodes: number
  /** Without it each node keeps what it has in its memory. */
  readonly redis: boolean
  readonly settings?: Readonly<Record<string, string>>
}

/** Relay processes, the Redis between them, and a balancer in front. */
export class Cluster {
  readonly balancer: Balancer
  /** Undefined without Redis. */
  readonly keys: RedisKeys | undefined
  readonly #redis: RedisServer | undefined
  readonly #settings: Readonly<Record<string, string>>
  readonly #nodes: RelayProcess[]
  readonly #failures: string[] = []

  private constructor(
    redis: RedisServer | undefined,
    settings: Readonly<Record<string, string>>,
    nodes: readonly RelayProcess[],
  ) {
    this.#redis = redis
    this.#settings = settings
    this.#nodes = [...nodes]
    this.balancer = new Balancer(nodes.map(({ port }) => port))
    this.keys = redis && new RedisKeys(redis)
  }

  static async start(options: ClusterOptions): Promise<Cluster> {
    const redis = options.redis ? await startRedis() : undefined
    const settings = { DRAIN_SECONDS: '0', ...options.settings, ...(redis ? { REDIS_URL: redis.url } : {}) }
    try {
      const nodes = await Promise.all(Array.from({ length: options.nodes }, () => startNode(settings)))
      return new Cluster(redis, settings, nodes)
    } catch (error) {
      await redis?.stop()
      throw error
    }
  }

  /** How many nodes. */
  get size(): number {
    return this.#nodes.length
  }

  /** Errors that the nodes logged, those that are gone included. */
  get failures(): readonly string[] {
    return [...this.#failures, ...this.#nodes.flatMap(({ failures }) => failures)]
  }

  /** Ends a node at once. Others take what comes until it is back. */
  kill(node: number): Promise<void> {
    return this.#nodes[node].kill()
  }

  /** Stops a node in order. Resolves with its exit code. */
  stop(node: number): Promise<number> {
    return this.#nodes[node].stop()
  }

  /** A fresh process in the place of one that is gone. */
  async startAgain(node: number): Promise<void> {
    this.#failures.push(...this.#nodes[node].failures)
    this.#nodes[node] = await startNode(this.#settings)
    this.balancer.replace(node, this.#nodes[node].port)
  }

  async close(): Promise<void> {
    for (const node of this.#nodes) await node.kill()
    await this.#redis?.stop()
  }
}

/** Resolves when the node reaches its Redis. */
export async function startNode(settings: Readonly<Record<string, string>>): Promise<RelayProcess> {
  const node = await startRelayProcess(settings)
  while (!(await fetch(`${node.url}/readyz`)).ok) await delay(20)
  return node
}

import { afterEach, beforeEach } from 'vitest'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type RunningNode, type ServerOptions, startNode } from '../../support/server.ts'

export interface TwoNodes {
  readonly redis: RedisServer
  readonly A: RunningNode
  readonly B: RunningNode
}

/** Two nodes that know each other. */
export async function startTwo(redisUrl: string, options: ServerOptions = {}): Promise<[RunningNode, RunningNode]> {
  const [A, B] = [await startNode(redisUrl, options), await startNode(redisUrl, options)]
  for (const node of [A, B, A]) await node.tick()
  return [A, B]
}

/** Two nodes and their Redis for each test of a suite. They tick as the process does, but sooner. */
export function eachWithTwoNodes(use: (nodes: TwoNodes) => void): void {
  let redis: RedisServer
  let nodes: RunningNode[] = []
  let ticking: NodeJS.Timeout
  beforeEach(async () => {
    redis = await startRedis()
    const [A, B] = await startTwo(redis.url)
    nodes = [A, B]
    ticking = setInterval(() => {
      for (const node of nodes) node.tick().catch(() => {})
    }, 100)
    use({ redis, A, B })
  })
  afterEach(async () => {
    clearInterval(ticking)
    await Promise.all(nodes.map((node) => node.close()))
    await redis.stop()
  })
}

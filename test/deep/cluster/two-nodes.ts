import { afterEach, beforeEach } from 'vitest'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type RunningNode, startNode } from '../../support/server.ts'

export interface TwoNodes {
  readonly redis: RedisServer
  readonly A: RunningNode
  readonly B: RunningNode
}

/** Two nodes and their Redis for each test of a suite. They tick as the process does, but sooner. */
export function eachWithTwoNodes(use: (nodes: TwoNodes) => void): void {
  let redis: RedisServer
  let nodes: RunningNode[] = []
  let ticking: NodeJS.Timeout
  beforeEach(async () => {
    redis = await startRedis()
    const [A, B] = [await startNode(redis.url), await startNode(redis.url)]
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
